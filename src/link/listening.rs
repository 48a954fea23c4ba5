//! What the client listens to, and its notifications.
//!
//! Owns: the way from a committed LISTEN to the room `listen`, and the notifications' way into the
//! client's stream: between two frames, outside of transactions, never inside a reply. A pooled
//! server's own notifications are not passed on, but for those that the client's LISTEN of the same
//! transaction has brought about, which the listening connection came too late for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::error::Elapsed;
use tokio::time::{Timeout, timeout};

use super::{ClientSide, End, Link};
use crate::error::ClientError;
use crate::listen::{Hears, ListenError, Ticket};
use crate::net::buf::LARGE;
use crate::server::pending::Reply;
use crate::session::state::ListenChange;
use crate::wire::backend::{self, Status};
use crate::wire::frame::{self, HEADER, Header};

/// Longest wait for the listening connection where server_connect_timeout sets no limit.
const LONGEST: Duration = Duration::from_secs(15);

/// The listening connection's answer, or too long a wait for it.
pub type Heard = Timeout<Ticket>;

/// Bytes of the process id in front of the channel.
const PID: usize = 4;

impl ClientSide {
    /// HOT. Whether a notification waits, or something has changed in what the client listens to.
    #[inline]
    pub fn has_news(&self) -> bool {
        !self.listens.is_empty() || self.has_mail()
    }

    /// HOT. Whether a notification waits.
    #[inline]
    pub fn has_mail(&self) -> bool {
        self.listening.as_ref().is_some_and(|it| it.has_mail())
    }

    /// Carries out what committed transactions have changed. A ticket: the client listens only when
    /// that resolves.
    ///
    /// # Errors
    /// Too many channels; the client has been told that its LISTEN has worked, so it must close.
    pub fn apply_listens(&mut self) -> Result<Option<Ticket>, ClientError> {
        let changes = std::mem::take(&mut self.listens);
        if changes.is_empty() {
            return Ok(None);
        }
        let listens = |change: &ListenChange| matches!(change, ListenChange::Listen(_));
        if self.listening.is_none() && changes.iter().any(listens) {
            let encoding = self.params.client_encoding().map(|it| &**it);
            let subscription = self.pool.subscribe(&self.slot, encoding);
            self.listening = Some(Box::new(subscription));
        }
        let Some(subscription) = &self.listening else {
            return Ok(None);
        };
        let most = self.pool.max_listen_channels();
        let changed = subscription.change(&changes, most);
        let ticket = changed.map_err(|error| ClientError::listen_failed(&error.to_string()))?;
        if subscription.channels() == 0 {
            self.listening = None;
        }
        Ok(ticket)
    }

    /// Waits for a ticket, but no longer than for a server connection.
    pub fn wait_for(&self, ticket: Ticket) -> Pin<Box<Heard>> {
        let connect = self.pool.limits().connect_timeout;
        let limit = if connect.is_zero() { LONGEST } else { connect };
        Box::pin(timeout(limit, ticket))
    }

    /// Puts notifications that wait behind what is on its way to the client.
    /// INVARIANT: called between two frames only.
    pub fn take_mail(&mut self) {
        let room = LARGE.saturating_sub(self.outbound.unsent().len());
        if room > 0
            && let Some(subscription) = &self.listening
        {
            let mail = subscription.take_mail(room);
            self.outbound.insert_parsed(&mail);
        }
    }

    /// The same in front of the ReadyForQuery that ends what is on its way, as PostgreSQL does.
    pub fn take_mail_before_ready(&mut self) {
        let ready = backend::ready_for_query(Status::Idle);
        if !self.outbound.unsent().ends_with(&ready) {
            return self.take_mail();
        }
        if let Some(subscription) = &self.listening {
            let mail = subscription.take_mail(LARGE);
            self.outbound.insert_unsent(ready.len(), &mail);
        }
    }

    /// Whether the server's own notification on a channel is the client's.
    fn takes_from_server(&self, channel: &[u8]) -> bool {
        let hears = self.listening.as_ref().map(|it| it.hears(channel));
        match hears.unwrap_or(Hears::No) {
            Hears::Yes => false,
            Hears::Soon => true,
            Hears::No => {
                let open = self.session.listens().iter().rev();
                let last = open
                    .chain(self.listens.iter().rev())
                    .find_map(|change| match change {
                        ListenChange::Listen(name) => (name.as_bytes() == channel).then_some(true),
                        ListenChange::Unlisten(name) => {
                            (name.as_bytes() == channel).then_some(false)
                        }
                        ListenChange::UnlistenAll => Some(false),
                    });
                last.unwrap_or(false)
            }
        }
    }
}

/// What came of the wait.
///
/// # Errors
/// The listening connection cannot serve the client.
pub fn judge(answer: Result<Result<(), ListenError>, Elapsed>) -> Result<(), ClientError> {
    match answer {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(ClientError::listen_failed(&error.to_string())),
        Err(_) => Err(ClientError::listen_failed("timeout")),
    }
}

impl Link<'_> {
    /// A notification of the server's; false when it is not there whole.
    pub(super) fn take_notification(&mut self, header: Header) -> bool {
        let Some(whole) = self.client.outbound.unparsed().get(..header.total) else {
            self.client.outbound.grow(header.total);
            return false;
        };
        let body = whole.get(HEADER + PID..).unwrap_or_default();
        let channel = frame::cstr(body).map_or(&[][..], |(channel, _)| channel);
        let reply = if self.client.takes_from_server(channel) {
            Reply::Forward
        } else {
            Reply::Swallow
        };
        self.pass_reply(header, reply);
        true
    }

    /// A client that keeps its server has committed a LISTEN: it is told only when it is heard. True
    /// when it must wait.
    pub(super) fn awaits_listening(&mut self) -> Result<bool, End> {
        if self.client.listens.is_empty() {
            return Ok(false);
        }
        let ticket = self.client.apply_listens().map_err(End::Fatal)?;
        self.heard = ticket.map(|ticket| self.client.wait_for(ticket));
        Ok(self.heard.is_some())
    }

    /// Whether the listening connection has yet to answer.
    pub(super) fn poll_listening(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        if let Some(heard) = &mut self.heard {
            let answer = ready!(heard.as_mut().poll(cx));
            self.heard = None;
            judge(answer).map_err(End::Fatal)?;
        }
        Poll::Ready(Ok(()))
    }

    /// A client that keeps its server gets its notifications here. True when there is something to
    /// write.
    ///
    pub(super) fn take_news(&mut self) -> bool {
        let is_between = self.watch.is_on()
            && self.client.has_mail()
            && !self.holds_begin()
            && self.server.status == Status::Idle
            && self.server.pending.is_empty()
            && self.out_frame == 0
            && self.client.outbound.is_empty();
        if !is_between {
            return false;
        }
        self.client.take_mail();
        !self.client.outbound.is_empty()
    }
}
