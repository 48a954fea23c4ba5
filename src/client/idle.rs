//! HOT. A client without a server: what it wants next.
//!
//! Owns: waiting without a buffer, the answers of ours on their way out, the deadlines of an idle
//! client.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::answers::Answer;
use super::close::Departure;
use super::serve::Client;
use super::timeouts::ClientTimeouts;
use crate::error::ClientError;
use crate::link;
use crate::request::{self, Unlinked};
use crate::session::block::Block;
use crate::stats::ClientState;
use crate::stats::clock::now_us;
use crate::stats::slots::NEVER;
use crate::wire::frame::{self, HEADER, Peeked};

/// How often at most an idle server is looked for on behalf of a held BEGIN, µs.
const SHORTEST_HOLD_US: u64 = 10_000;

/// What an idle client wants.
pub(super) enum Next {
    /// A message that needs a server is there.
    Request,
    /// Nothing, and the lane is too full.
    Move,
    /// Nothing yet, and a BEGIN is held.
    Open,
    /// It leaves.
    Leave(Departure),
}

impl Client {
    /// HOT. Waits for a message that needs a server. Cancel safe.
    pub(super) async fn next_request(&mut self) -> Next {
        self.follow_reload();
        if self.side.block.is_none() {
            self.side.slot.set_state(ClientState::Idle);
            if self.timeouts.idle != NEVER {
                self.arm(now_us());
            }
        } else {
            self.arm(now_us());
        }
        let next = poll_fn(|cx| self.poll_idle(cx)).await;
        if self.side.slot.deadline_us() != NEVER {
            self.side.slot.set_deadline_us(NEVER);
        }
        next
    }

    /// Sets the deadline of a client that is silent since `since_us`.
    pub(super) fn arm(&self, since_us: u64) {
        let limit = match &self.side.block {
            Block::None => self.timeouts.idle,
            block => {
                let limits = self.side.pool.timeouts.load();
                let hold = match block {
                    // A reload may have made it 0: no server is idle then, and asking again at once
                    // would never end.
                    Block::Held(_) => self.side.pool.hold_begin_us().max(SHORTEST_HOLD_US),
                    _ => NEVER,
                };
                limits.idle_transaction.min(limits.transaction).min(hold)
            }
        };
        let deadline = since_us.saturating_add(limit);
        self.side.slot.set_deadline_us(deadline);
    }

    /// HOT. Takes over timeouts that a reload has changed; true when it has.
    pub(super) fn follow_reload(&mut self) -> bool {
        if self.timeouts.reload == self.directory.shared.reloads() {
            return false;
        }
        let login = self.side.slot.identity().map(|who| Arc::clone(&who.user));
        self.timeouts = ClientTimeouts::resolve(&self.side.pool, &login.unwrap_or_default());
        self.resolve_answers();
        true
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            if let Some(order) = self.side.slot.order() {
                return Poll::Ready(Next::Leave(Departure::error(order)));
            }
            if let Some(next) = self.judge() {
                return Poll::Ready(next);
            }
            if let Err(error) = self.take_news() {
                return Poll::Ready(Next::Leave(Departure::error(error)));
            }
            if !self.side.outbound.is_empty() {
                match link::poll_flush(&mut self.side, cx) {
                    // A buffer's worth has gone; nobody wakes us for what still waits.
                    Poll::Ready(Ok(())) if self.side.has_mail() && self.side.block.is_none() => {
                        continue;
                    }
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(reason)) => {
                        return Poll::Ready(Next::Leave(Departure::gone(reason)));
                    }
                    Poll::Pending => return self.poll_parked(),
                }
            }
            // The buffer is the lane's and goes back at once when nothing is there.
            let space = self.side.inbound.space();
            match self.side.stream.poll_read(cx, space) {
                Poll::Ready(Ok(n)) if n > 0 => self.side.inbound.received(n),
                Poll::Ready(_) => {
                    return Poll::Ready(Next::Leave(Departure::gone("client unexpected eof")));
                }
                Poll::Pending => {
                    self.side.inbound.release_if_empty();
                    return self.poll_parked();
                }
            }
        }
    }

    /// Nothing to do: too long already, or on too full a lane?
    fn poll_parked(&mut self) -> Poll<Next> {
        if self.follow_reload() {
            // Idle since its last request, or since its login.
            let slot = &self.side.slot;
            self.arm(slot.request_us().max(slot.connected_us));
        }
        let deadline = self.side.slot.deadline_us();
        if deadline != NEVER && deadline < now_us() {
            return Poll::Ready(self.overdue(now_us()));
        }
        let lane = self.directory.shared.lanes.get(self.side.lane);
        if self.side.inbound.is_empty() && lane.is_some_and(|lane| lane.take_shed()) {
            return Poll::Ready(Next::Move);
        }
        Poll::Pending
    }

    /// Whether a BEGIN has been answered and nothing is behind it.
    fn opens_block(&self) -> bool {
        matches!(self.side.block, Block::Held(_)) && self.side.inbound.is_empty()
    }

    /// The deadline has passed: a timeout has run out, or a BEGIN is held no longer.
    fn overdue(&mut self, now: u64) -> Next {
        let error = if self.side.block.is_none() {
            Some(ClientError::client_idle_timeout())
        } else {
            let limits = self.side.pool.timeouts.load();
            let slot = &self.side.slot;
            if now > slot.request_us().saturating_add(limits.idle_transaction) {
                Some(ClientError::idle_transaction_timeout())
            } else if now
                > slot
                    .activity
                    .transaction_us()
                    .saturating_add(limits.transaction)
            {
                Some(ClientError::transaction_timeout())
            } else {
                None
            }
        };
        match error {
            Some(error) => Next::Leave(Departure::error(error)),
            None => Next::Open,
        }
    }

    /// HOT. What the bytes at hand ask for; `None`: more must come.
    fn judge(&mut self) -> Option<Next> {
        loop {
            if self.skip > 0 {
                let n = self.skip.min(self.side.inbound.unparsed().len());
                self.side.inbound.discard(n);
                self.skip -= n;
            }
            let unparsed = self.side.inbound.unparsed();
            let header = match frame::peek(unparsed, self.side.max_packet) {
                Peeked::Short => return None,
                Peeked::Bad => {
                    let error = ClientError::bad_header(&unparsed[..HEADER.min(unparsed.len())]);
                    return Some(Next::Leave(Departure::error(error)));
                }
                Peeked::Header(header) => header,
            };
            match request::unlinked(header.tag) {
                Unlinked::NeedsServer => match self.answer(header) {
                    Answer::Given if self.opens_block() => return Some(Next::Open),
                    Answer::Given => {}
                    Answer::NeedsServer => return Some(Next::Request),
                    Answer::Short => return None,
                },
                Unlinked::Terminate => {
                    return Some(Next::Leave(Departure::gone("client close request")));
                }
                Unlinked::Unknown => {
                    let error = ClientError::unknown_packet();
                    return Some(Next::Leave(Departure::error(error)));
                }
                Unlinked::Drop => self.skip = header.total,
            }
        }
    }
}
