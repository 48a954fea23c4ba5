//! LISTEN, seen from the client's task: what must have happened before it is told that its
//! transaction has ended.
//!
//! Owns: the two waits for the listening connection, both bounded. A client whose LISTEN cannot be
//! served is closed: PostgreSQL has already said that it worked.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use super::close::Departure;
use super::serve::Client;
use crate::error::ClientError;
use crate::link::listening::{Heard, judge};

/// Longest wait for the client's own notifications: they come later if not now.
const OWN: Duration = Duration::from_secs(1);

/// What came of a wait.
type Answer = <Heard as Future>::Output;

impl Client {
    /// HOT. Whether the end of a transaction must wait, or can bring notifications.
    #[inline]
    pub(super) fn must_settle(&self) -> bool {
        let side = &self.side;
        let may_hear = side.listening.is_some() && (side.has_notified || side.has_mail());
        may_hear || !side.listens.is_empty()
    }

    /// A transaction has ended and its ReadyForQuery is not sent: what it has LISTENed to is heard
    /// from now on, and its own notifications come with it. Cancel safe.
    pub(super) async fn settle_listening(&mut self) -> Result<(), Departure> {
        let has_notified = std::mem::take(&mut self.side.has_notified);
        let ticket = self.side.apply_listens().map_err(Departure::error)?;
        if let Some(ticket) = ticket {
            let heard = self.side.wait_for(ticket);
            let answer = self.unless_ordered(heard).await?;
            judge(answer).map_err(Departure::error)?;
        } else if has_notified {
            let ticket = self.side.listening.as_ref().and_then(|it| it.sync());
            if let Some(ticket) = ticket {
                // In vain: they come later.
                let heard = Box::pin(tokio::time::timeout(OWN, ticket));
                let _ = self.unless_ordered(heard).await?;
            }
        }
        if self.side.has_mail() {
            self.side.take_mail_before_ready();
        }
        Ok(())
    }

    /// Waits, unless the client is ordered to leave.
    async fn unless_ordered(&self, mut heard: Pin<Box<Heard>>) -> Result<Answer, Departure> {
        poll_fn(|cx| {
            if let Some(order) = self.side.slot.order() {
                return Poll::Ready(Err(Departure::error(order)));
            }
            heard.as_mut().poll(cx).map(Ok)
        })
        .await
    }

    /// HOT. Between two transactions: what waits goes on its way.
    #[inline]
    pub(super) fn take_news(&mut self) -> Result<(), ClientError> {
        if !self.side.has_news() || !self.side.block.is_none() {
            return Ok(());
        }
        // Without a server a client can only have stopped listening.
        self.side.apply_listens()?;
        self.side.take_mail();
        Ok(())
    }
}
