//! What one client holds of a hub.
//!
//! Owns: the client's membership, given back when it is dropped. Never: waits; the client polls its
//! ticket.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::book::Answer;
use super::mailbox::Mailbox;
use super::{Hub, ListenError};
use crate::session::state::ListenChange;
use crate::stats::ClientSlot;

/// One client's subscription.
#[derive(Debug)]
pub struct Subscription {
    hub: Arc<Hub>,
    mailbox: Arc<Mailbox>,
}

/// Whether a client gets the notifications of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hears {
    /// It does not listen to it.
    No,
    /// As soon as its ticket has resolved.
    Soon,
    /// It does.
    Yes,
}

/// Resolves when the listening connection has carried out what the client asked for.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<Answer>);

impl Future for Ticket {
    type Output = Answer;

    /// Cancel safe: what was asked for is carried out all the same.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let answer = Pin::new(&mut self.0).poll(cx);
        answer.map(|told| told.unwrap_or(Err(ListenError::Closed)))
    }
}

impl Subscription {
    /// A client comes to a hub. `limit`: bytes that may wait for it (`listen_buffer`).
    pub fn open(hub: Arc<Hub>, slot: Arc<ClientSlot>, limit: usize) -> Self {
        let mailbox = Mailbox::with_limit(slot, limit);
        hub.book().arrive(&mailbox);
        Self { hub, mailbox }
    }

    /// A transaction with LISTEN or UNLISTEN has committed. A ticket: the client may be told only
    /// when that resolves. `most`: channels it may have (`max_listen_channels`).
    ///
    /// # Errors
    /// Too many channels, or the pool is gone.
    pub fn change(
        &self,
        changes: &[ListenChange],
        most: usize,
    ) -> Result<Option<Ticket>, ListenError> {
        let id = self.mailbox.slot.id;
        let changed = self.hub.book().change(id, changes, most);
        let (answer, dropped) = changed?;
        self.count_gone(dropped);
        self.hub.call();
        Ok(answer.map(Ticket))
    }

    /// Resolves when everything that had been committed before has been put into the mailbox;
    /// `None` while there is no connection to ask.
    pub fn sync(&self) -> Option<Ticket> {
        if self.hub.counters.connections.load(Relaxed) == 0 {
            return None;
        }
        let answer = self.hub.book().sync(self.mailbox.slot.id);
        self.hub.call();
        Some(Ticket(answer))
    }

    /// Whether notifications on a channel come to the client from here.
    pub fn hears(&self, channel: &[u8]) -> Hears {
        let id = self.mailbox.slot.id;
        let name = std::str::from_utf8(channel);
        name.map_or(Hears::No, |name| self.hub.book().hears(id, name))
    }

    /// How many channels it listens to.
    pub fn channels(&self) -> usize {
        self.hub.book().channels_of(self.mailbox.slot.id)
    }

    /// HOT. Whether a notification waits.
    #[inline]
    pub fn has_mail(&self) -> bool {
        self.mailbox.has_mail()
    }

    /// Whole NotificationResponse frames, in order: one at least if any waits, about `most` bytes.
    pub fn take_mail(&self, most: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let taken = self.mailbox.take(&mut out, most);
        let delivered = &self.hub.counters.delivered;
        delivered.fetch_add(taken as u64, Relaxed);
        out
    }

    fn count_gone(&self, dropped: usize) {
        if dropped > 0 {
            let counter = &self.hub.counters.dropped_gone;
            counter.fetch_add(dropped as u64, Relaxed);
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.book().leave(self.mailbox.slot.id);
        self.count_gone(self.mailbox.forget(None));
        self.hub.call();
    }
}
