//! The client's session on whichever server it gets.
//!
//! Owns: what goes in front of the client's first message (settings that differ, a BEGIN that was
//! held), and what the client is told when its settings go back to where it started. May touch the
//! client's virtual state and the server's record of its own. Never: waits.

use std::sync::Arc;

use super::{ClientSide, End, Link};
use crate::net::buf::Buf;
use crate::request;
use crate::server::pending::{Own, Request};
use crate::session::block::Block;
use crate::session::settings::{AUTHORIZATION, ROLE, Settings};
use crate::sql::{Control, Summary};
use crate::stats::clock::now_us;
use crate::stats::events::Event;
use crate::wire::backend::{self, Status};
use crate::wire::frame::{self, HEADER, Header, Peeked};
use crate::wire::frontend::{self, tag};

/// Begins a block and makes it fail, for a client that has been told so.
const FAILED_BLOCK: &[u8] = b"BEGIN;ROLLBACK TO SAVEPOINT pgweir_begin_was_refused";

/// How often settings are sent again that a timeout has hit.
const TRIES: u8 = 6;

/// Longest Query, in bytes, that may be nothing but a COMMIT or ROLLBACK.
const LONGEST_END: usize = 128;

/// A BEGIN that was answered, and is held or on its way to a server.
#[derive(Debug)]
pub(super) struct Held {
    begin: Box<[u8]>,
    is_sent: bool,
    /// When it is sent even without a statement, µs.
    until_us: u64,
    /// The client's bytes behind it, while all of it can be sent again: nothing was answered.
    again: Option<Box<[u8]>>,
    /// The server refused the BEGIN: the client is told that its block has failed.
    is_refused: bool,
    /// A Sync of ours is due as soon as the client's frame is complete.
    owes_sync: bool,
}

impl Link<'_> {
    /// HOT. Puts what is due in front of the client's first message.
    #[inline]
    pub(super) fn match_session(&mut self) {
        self.match_sequences();
        self.match_settings();
        if !self.client.block.is_none() {
            self.take_block();
        }
    }

    /// The client is in a block that no server knows of.
    fn take_block(&mut self) {
        match std::mem::take(&mut self.client.block) {
            Block::None => {}
            Block::Failed => self.send_own(FAILED_BLOCK, Own::FailedBlock),
            Block::Held(begin) => {
                let now = now_us();
                let until_us = now.saturating_add(self.client.pool.hold_begin_us());
                self.held = Some(Box::new(Held {
                    begin,
                    is_sent: false,
                    until_us,
                    again: None,
                    is_refused: false,
                    owes_sync: false,
                }));
                if self.client.inbound.unparsed().is_empty() {
                    self.timing.block_opened(self.client, now);
                    let deadline = self.client.slot.deadline_us();
                    self.client.slot.set_deadline_us(deadline.min(until_us));
                }
            }
        }
    }

    /// HOT. Whether a BEGIN is held and its server knows nothing of it.
    #[inline]
    pub(super) fn holds_begin(&self) -> bool {
        self.held.as_ref().is_some_and(|held| !held.is_sent)
    }

    /// The first message of the client behind a held BEGIN. True when it ends the block: nothing was
    /// done, so no server hears of either.
    pub(super) fn leave_or_begin(&mut self, header: Header) -> Option<bool> {
        let unparsed = self.client.inbound.unparsed();
        if header.tag == tag::QUERY && header.total <= LONGEST_END {
            let text = unparsed.get(HEADER..header.total)?;
            let found = request::control(text, self.client.params.rules());
            let command = match found.map(|found| found.control) {
                Some(Control::Commit) => Some("COMMIT"),
                Some(Control::Rollback) => Some("ROLLBACK"),
                _ => None,
            };
            if let (Some(command), Some(found)) = (command, found) {
                self.end_without_work(header, command, found.what);
                return Some(true);
            }
        }
        self.send_begin(header.tag == tag::QUERY);
        Some(false)
    }

    fn end_without_work(&mut self, header: Header, command: &str, what: Summary) {
        self.held = None;
        let now = now_us();
        let verdict = (command, Status::Idle);
        self.client.answer(header, verdict, what, now, |_| {});
        self.timing.block_ended(self.client, now);
    }

    /// Sends a BEGIN that was held long enough; true when there was one.
    pub(super) fn begin_when_due(&mut self) -> bool {
        let is_due = self.holds_begin()
            && self.in_frame == 0
            && self
                .held
                .as_ref()
                .is_some_and(|held| held.until_us <= now_us());
        if is_due {
            self.send_begin(false);
            self.client.inbound.insert_parsed(&frontend::SYNC);
            self.server.pending.push_final(Request::BeginSync);
        }
        is_due
    }

    /// Whether exactly one Query is at hand.
    fn is_one_query(&self) -> bool {
        let unparsed = self.client.inbound.unparsed();
        match frame::peek(unparsed, self.client.max_packet) {
            Peeked::Header(header) => header.tag == tag::QUERY && header.total == unparsed.len(),
            _ => false,
        }
    }

    pub(super) fn send_own(&mut self, sql: &[u8], own: Own) {
        self.server.unnamed = None;
        let mut query = Vec::with_capacity(sql.len() + HEADER + 1);
        frontend::query(&mut query, sql);
        self.client.inbound.insert_parsed(&query);
        self.server.pending.push_final(Request::Own(own));
    }

    /// The BEGIN goes as Parse, Bind and Execute without a Sync: whatever hits it (a cancel, an
    /// error) makes PostgreSQL skip the statement behind it too. With two Queries the statement
    /// would run and commit alone.
    fn send_begin(&mut self, is_query_next: bool) {
        let can_repeat = !self.server.is_fresh && self.is_one_query();
        let Some(held) = &mut self.held else { return };
        held.is_sent = true;
        self.heal.is_explicit = true;
        held.again = can_repeat.then(|| self.client.inbound.unparsed().into());
        self.server.unnamed = None;
        let mut out = Vec::with_capacity(held.begin.len() + 40);
        frontend::parse_bind_execute(&mut out, &held.begin);
        self.server.tracker.block_begins();
        self.server.pending.push_extended(Request::Begin);
        if !is_query_next {
            // A Query ends the unnamed statement; for all else ours must not be there any more.
            frontend::close_statement(&mut out, b"");
            let forget = Request::InjectedForget;
            self.server.pending.push_extended(forget);
        }
        self.client.inbound.insert_parsed(&out);
    }

    /// Whether the client's settings were refused by a timeout that somebody's function has left, and
    /// are to be sent again.
    pub(super) fn hurries(&mut self, sqlstate: &str) -> bool {
        let is_timeout = sqlstate == "57014" && self.hold.for_session;
        let again = is_timeout && self.ledger.session_tries < TRIES;
        self.ledger.session_tries += u8::from(again);
        again
    }

    /// HOT. Puts what makes the server's session the client's in front of its first message.
    pub(super) fn match_settings(&mut self) {
        if let Some(reason) = self.server.suspect.take() {
            let events = &self.client.pool.shared.events;
            events.count(
                Event::SuspectServer,
                &self.client.pool.database.name,
                reason,
            );
            // A timeout that is left may hit what takes it away: then it is sent again, and nothing of
            // the client's must have run in between.
            self.hold.for_session = self.changes_user() || self.server.is_hurried;
            let sql = self.session_from_scratch();
            return self.send_own(sql.as_bytes(), Own::Session);
        }
        let is_same = Arc::ptr_eq(&self.client.params, &self.server.params)
            && Arc::ptr_eq(
                self.client.session.settings(),
                self.server.session.settings(),
            );
        if is_same {
            return;
        }
        self.hold.for_session = self.changes_user();
        match self.session_difference() {
            Some(sql) => self.send_own(sql.as_bytes(), Own::Session),
            // Alike but for spelling: from now on the comparison is one of pointers.
            None => self.client.params = Arc::clone(&self.server.params),
        }
        self.server.session.committed();
    }

    /// SQL for settings that the transaction has put back to where the server started: to where the
    /// client did, for as long. The client is told.
    pub(super) fn local_starts(&mut self) -> String {
        let tracked = Arc::clone(&self.client.pool.shared.tracked);
        let mut sql = String::new();
        for name in std::mem::take(&mut self.ledger.local_resets) {
            let Some(index) = tracked.index_of(name.as_bytes()) else {
                let start = self.client.session.startup().local(&name);
                sql.push_str(&start.unwrap_or_default());
                continue;
            };
            let start = self.client.startup.get(index).cloned();
            let Some(start) = start.filter(|s| Some(s) != self.server.start_params.get(index))
            else {
                continue;
            };
            sql.push_str(&tracked.local(index, &start));
            self.server.params = tracked.with_value(&self.server.params, index, &start);
            let which = 1u64.checked_shl(index as u32).unwrap_or(0);
            self.client.restore_params(which);
        }
        sql
    }

    /// HOT. The client is told of these values before the ReadyForQuery behind its statement.
    #[inline]
    pub(super) fn tell_local_starts(&mut self) {
        for name in &self.ledger.local_resets {
            let index = self.client.pool.shared.tracked.index_of(name.as_bytes());
            let which = index.map_or(0, |index| 1u64.checked_shl(index as u32).unwrap_or(0));
            self.client.restore_params(which);
        }
    }

    /// Whether the client, or whoever had the server before, has another user or role. Should
    /// PostgreSQL refuse the change, the client's statement would run with rights that are not its
    /// own: it waits for the answer.
    fn changes_user(&self) -> bool {
        let has_user = |settings: &Settings| {
            settings.get(ROLE).is_some() || settings.get(AUTHORIZATION).is_some()
        };
        has_user(self.client.session.settings()) || has_user(self.server.session.settings())
    }

    /// The first sign of life of a server that a held BEGIN was sent to; an error when it was dead
    /// before it could begin.
    pub(super) fn first_reply(&mut self, header: Header) -> Result<(), End> {
        let whole = self.client.outbound.unparsed().get(..header.total);
        let is_dead = header.tag == backend::tag::ERROR
            && whole.is_none_or(|whole| backend::error_fields(whole).sqlstate.starts_with(b"57P"));
        if is_dead {
            return Err(End::ServerLost("server conn crashed?"));
        }
        if let Some(held) = &mut self.held
            && held.is_sent
        {
            held.again = None;
        }
        Ok(())
    }

    /// HOT. Whether the server has said nothing yet behind a held BEGIN.
    #[inline]
    pub(super) fn awaits_first_reply(&self) -> bool {
        let held = self.held.as_ref();
        held.is_some_and(|held| !held.is_sent || held.again.is_some())
    }

    /// More came from the client: what was sent cannot be sent again.
    #[inline]
    pub(super) fn cannot_repeat(&mut self) {
        if let Some(held) = &mut self.held {
            held.again = None;
        }
    }

    /// The server is lost. When nothing had begun, everything is as it was before the link.
    pub(super) fn take_back(&mut self) -> bool {
        let Some(held) = self.held.take() else {
            return false;
        };
        match held.again {
            Some(again) => self.client.inbound = Buf::holding(&again),
            None if held.is_sent => return false,
            None => {
                // What was ours and did not go out must not reach another server, unasked there.
                let ours = self.client.inbound.unsent().len();
                self.client.inbound.sent(ours);
            }
        }
        let heard = self.client.outbound.unparsed().len();
        self.client.outbound.discard(heard);
        self.out_frame = 0;
        self.in_frame = 0;
        self.client.block = Block::Held(held.begin);
        true
    }

    /// The held BEGIN was refused. `queries`: how many Queries behind it PostgreSQL skips; it says
    /// nothing until a Sync.
    pub(super) fn begin_refused(&mut self, queries: usize) {
        if let Some(held) = &mut self.held {
            held.is_refused = true;
            held.owes_sync = queries > 0;
        }
        self.pay_sync();
    }

    /// Sends the Sync that is due, once the client's frame is complete.
    pub(super) fn pay_sync(&mut self) {
        let Some(held) = &mut self.held else { return };
        if held.owes_sync && self.in_frame == 0 {
            held.owes_sync = false;
            self.client.inbound.insert_parsed(&frontend::SYNC);
            self.server.pending.push_final(Request::Sync);
        }
    }

    /// ReadyForQuery behind a refused BEGIN: the client has been told that its block is open, so to
    /// it the block has failed.
    pub(super) fn note_refused(&mut self, status: Status) {
        let Some(held) = &mut self.held else { return };
        if held.is_refused && status == Status::Idle {
            held.is_refused = false;
            self.client.block = Block::Failed;
            let failed = [Status::Failed.byte()];
            self.client.outbound.splice(HEADER..HEADER + 1, &failed);
        }
    }
}

impl ClientSide {
    /// DISCARD ALL and RESET go back to what the client started with. The client is told; the next
    /// link makes it true. `which`: a set of positions.
    /// INVARIANT: called between two frames only.
    pub fn restore_params(&mut self, which: u64) {
        if self.params.is_as_at_start(&self.startup, which) {
            return;
        }
        let tracked = Arc::clone(&self.pool.shared.tracked);
        let restored = tracked.restored(&self.params, &self.startup, which);
        for (index, name) in tracked.names().enumerate() {
            let (now, then) = (self.params.get(index), restored.get(index));
            if let Some(value) = then.filter(|_| now != then) {
                let frame = backend::parameter_status_frame(name, value);
                self.outbound.insert_parsed(&frame);
            }
        }
        self.params = restored;
    }
}
