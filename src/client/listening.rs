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
use crate::listen::Ticket;

/// Longest wait for the listening connection where server_connect_timeout sets no limit.
const LONGEST: Duration = Duration::from_secs(15);
/// Longest wait for the client's own notifications: they come later if not now.
const OWN: Duration = Duration::from_secs(1);

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
            let connect = self.side.pool.limits().connect_timeout;
            let limit = if connect.is_zero() { LONGEST } else { connect };
            let waited = tokio::time::timeout(limit, self.wait_for(ticket)).await;
            let timeout = || Departure::error(ClientError::listen_failed("timeout"));
            waited.map_err(|_| timeout())??;
        } else if has_notified {
            let ticket = self.side.listening.as_ref().and_then(|it| it.sync());
            if let Some(ticket) = ticket {
                // In vain: they come later.
                let _ = tokio::time::timeout(OWN, self.wait_for(ticket)).await;
            }
        }
        if self.side.has_mail() {
            self.side.take_mail_before_ready();
        }
        Ok(())
    }

    async fn wait_for(&self, mut ticket: Ticket) -> Result<(), Departure> {
        poll_fn(|cx| {
            if let Some(order) = self.side.slot.order() {
                return Poll::Ready(Err(Departure::error(order)));
            }
            Pin::new(&mut ticket)
                .poll(cx)
                .map_err(|error| Departure::error(ClientError::listen_failed(&error.to_string())))
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
