//! A client that waits for a server: watched, bounded in time, and shown with what it asks for.
//!
//! Owns: the wait and its deadlines, and the reading of a request that waits long. May touch the
//! client's buffers and slot. Never: parses or sends anything of the request.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::close::{self, Departure};
use super::serve::Client;
use crate::insight::lane::NewText;
use crate::net::buf::LARGE;
use crate::pool::{PooledServer, Waiting};
use crate::sql::{self, Summary};
use crate::stats::ClientState;
use crate::stats::clock::now_us;
use crate::stats::slots::NEVER;
use crate::wire::frame::{self, HEADER, Peeked};
use crate::wire::frontend::{self, tag};

/// A request that waits for longer than this, µs, is read for SHOW ACTIVITY. Those that are served
/// sooner, which is nearly all, are read once: on their way out.
const READ_AFTER_US: u64 = 100_000;

/// What is still to be done for a queued client as its wait goes on.
#[derive(Debug)]
struct Due {
    since: u64,
    /// query_wait_notify has been sent.
    notified: bool,
    /// Its request has been read.
    is_read: bool,
}

impl Client {
    /// Waits in the queue; `Ok(None)`: what was granted is dead, ask again.
    pub(super) async fn wait(
        &mut self,
        waiting: Waiting,
        since: u64,
    ) -> Result<Option<Box<PooledServer>>, Departure> {
        let slot = Arc::clone(&self.side.slot);
        slot.set_state(ClientState::Waiting);
        slot.set_waiting_since_us(since);
        let mut due = Due {
            since,
            notified: self.timeouts.notify == NEVER,
            is_read: !self.side.pool.shared.insight.is_enabled(),
        };
        slot.set_deadline_us(self.next_due(&due));
        let granted = poll_fn(|cx| {
            // First, since what was granted goes back when `waiting` is dropped.
            if !self.side.inbound.has_space() && self.side.stream.socket().is_hung_up() {
                return Poll::Ready(Err(Departure::gone("client unexpected eof")));
            }
            if let Some(granted) = waiting.take() {
                return Poll::Ready(granted.map_err(Departure::error));
            }
            if let Some(order) = slot.order() {
                return Poll::Ready(Err(Departure::error(order)));
            }
            self.do_what_is_due(&mut due);
            if let Some(error) = self.timeouts.overdue_in_queue(since) {
                return Poll::Ready(Err(Departure::error(error)));
            }
            self.poll_while_queued(cx).map(Err)
        })
        .await;
        slot.set_deadline_us(NEVER);
        slot.set_waiting_since_us(0);
        slot.activity.set_queued(0);
        granted
    }

    /// When the janitor shall wake it.
    fn next_due(&self, due: &Due) -> u64 {
        let next = self.timeouts.next_while_queued(due.since, due.notified);
        match due.is_read {
            true => next,
            false => next.min(due.since.saturating_add(READ_AFTER_US)),
        }
    }

    fn do_what_is_due(&mut self, due: &mut Due) {
        let reload = self.follow_reload();
        let notifies = !due.notified && self.timeouts.is_notify_due(due.since);
        let reads = !due.is_read && now_us() > due.since.saturating_add(READ_AFTER_US);
        if notifies {
            due.notified = true;
            self.side.outbound.insert_parsed(close::queued_notice());
        }
        if reads {
            due.is_read = true;
            self.show_request();
        }
        if reload || notifies || reads {
            self.side.slot.set_deadline_us(self.next_due(due));
        }
    }

    /// Says in its slot what it asks for.
    fn show_request(&self) {
        let Some((what, text)) = self.request() else {
            return;
        };
        let fingerprint = what.fingerprint;
        let insight = &self.side.pool.shared.insight;
        if !insight.known.has(fingerprint) {
            let mut records = insight.recorder(self.side.lane).lock();
            if records.push_text(fingerprint, NewText::Raw(text.into())) {
                insight.known.insert(fingerprint);
            }
        }
        self.side.slot.activity.set_queued(fingerprint);
    }

    /// The first statement of the request at hand and its text, where it is here whole.
    fn request(&self) -> Option<(Summary, &[u8])> {
        let unparsed = self.side.inbound.unparsed();
        let Peeked::Header(header) = frame::peek(unparsed, self.side.max_packet) else {
            return None;
        };
        let whole = unparsed.get(..header.total)?;
        let text = match header.tag {
            tag::QUERY => &whole[HEADER..],
            tag::PARSE => frontend::split_parse(whole)?.1,
            tag::BIND => {
                let name = frontend::bind_statement(whole, header.total).ok()??;
                let statement = self.side.statements.as_ref()?.get(&whole[name])?;
                return Some((statement.what, statement.text()));
            }
            _ => return None,
        };
        let first = sql::single(text, self.side.params.rules());
        let text = text.get(first.span.clone())?;
        Some((Summary::from(&first), text))
    }

    /// A queued client is still watched: one that hangs up leaves at once and its query is never
    /// run. Half-closed counts as hung up.
    fn poll_while_queued(&mut self, cx: &mut Context<'_>) -> Poll<Departure> {
        while !self.side.outbound.unsent().is_empty() {
            let unsent = self.side.outbound.unsent();
            match self.side.stream.poll_write(cx, unsent) {
                Poll::Ready(Ok(n)) => self.side.outbound.sent(n),
                Poll::Ready(Err(_)) => break,
                Poll::Pending => break,
            }
        }
        // A hang-up is seen behind what was sent ahead of it, so that is read too, up to a bound.
        if self.side.inbound.capacity() > 0 && !self.side.inbound.has_space() {
            self.side.inbound.grow(LARGE);
        }
        while self.side.inbound.has_space() {
            let space = self.side.inbound.space();
            match self.side.stream.poll_read(cx, space) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(n)) if n > 0 => {
                    self.side.inbound.received(n);
                    if !self.side.inbound.has_space() {
                        self.side.inbound.grow(LARGE);
                    }
                }
                Poll::Ready(_) => return Poll::Ready(Departure::gone("client unexpected eof")),
            }
        }
        // Nothing wakes a task that does not read: the janitor does, each time it comes by.
        self.side.slot.set_deadline_us(0);
        Poll::Pending
    }
}
