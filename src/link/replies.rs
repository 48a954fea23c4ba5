//! HOT. Server to client: a walk over headers, and the few bodies that matter.

use std::sync::Arc;

use super::{End, Link};
use crate::config::PoolMode;
use crate::error::ClientError;
use crate::net::buf::LARGE;
use crate::server::pending::{Answering, Own, Reply, Request, Synthetic};
use crate::server::{drops_statements, resets_parameters};
use crate::stats::clock::now_us;
use crate::wire::backend::{self, Status, tag};
use crate::wire::frame::{self, HEADER, Header, Peeked};

/// What a command of this query put back to the server's start values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reset {
    /// Nothing.
    #[default]
    None,
    /// RESET: what is reported with it.
    Reported,
    /// DISCARD ALL: everything.
    Every,
}

/// Largest length field believed from a server: PostgreSQL's own limit on a message.
const MAX_REPLY: u32 = i32::MAX as u32;

impl Link<'_> {
    /// HOT. Looks at everything received from the server and marks what goes to the client.
    pub(super) fn take_replies(&mut self) -> Result<(), End> {
        loop {
            if self.out_frame > 0 {
                if !self.pass_reply_rest() {
                    return Ok(());
                }
                continue;
            }
            if self.server.pending.owes_synthetic() {
                self.answer_synthetics();
            }
            match frame::peek(self.client.outbound.unparsed(), MAX_REPLY) {
                Peeked::Short => break,
                Peeked::Bad => return Err(End::ServerLost("bad packet header from server")),
                Peeked::Header(header) => {
                    if self.awaits_first_reply() {
                        self.first_reply(header)?;
                    }
                    if !self.take_reply(header)? {
                        break;
                    }
                }
            }
        }
        // A frame that has begun after the last ReadyForQuery belongs to this client's session.
        // A message that has waited for this answer is still to be sent on this server, but for one
        // that begins another transaction.
        let is_held = self.hold.is_held && !self.hold.for_question;
        self.complete = self.is_free() && !is_held && self.client.outbound.unparsed().is_empty();
        self.observe_arrival();
        Ok(())
    }

    /// Passes on more of a frame that is larger than what has been received; false when nothing
    /// more is there.
    fn pass_reply_rest(&mut self) -> bool {
        let n = self.out_frame.min(self.client.outbound.unparsed().len());
        if n == 0 {
            return false;
        }
        self.out_frame -= n;
        if self.swallows_frame {
            self.client.outbound.discard(n);
        } else {
            self.client.outbound.parse(n);
        }
        true
    }

    pub(super) fn pass_reply(&mut self, header: Header, reply: Reply) {
        self.swallows_frame = reply == Reply::Swallow;
        self.out_frame = header.total;
        self.pass_reply_rest();
    }

    /// HOT. One reply; false when it must be complete to be judged and is not.
    fn take_reply(&mut self, header: Header) -> Result<bool, End> {
        match header.tag {
            tag::DATA_ROW if self.server.pending.own().is_some() => {
                return Ok(self.take_own_row(header));
            }
            tag::DATA_ROW => {
                let reply = self.own_reply();
                self.server.tracker.row(header.total);
                self.pass_reply(header, reply);
            }
            tag::COPY_DATA => {
                self.server.tracker.reply(header.total);
                self.pass_reply(header, Reply::Forward);
            }
            tag::READY_FOR_QUERY | tag::PARAMETER_STATUS | tag::COMMAND_COMPLETE | tag::ERROR => {
                return self.take_judged(header);
            }
            tag::ROW_DESCRIPTION | tag::NO_DATA if self.server.pending.describes_for_us() => {
                return Ok(self.take_columns(header));
            }
            tag::NOTIFICATION if self.watch.is_on() => return Ok(self.take_notification(header)),
            tag::NOTICE => return Ok(self.take_notice(header)),
            tag::NOTIFICATION => {
                let reply = self.own_reply();
                self.pass_reply(header, reply);
            }
            _ => {
                if self.heal.is_armed() && !self.take_first_answer(header) {
                    return Ok(false);
                }
                self.observe_reply(header);
                if header.tag == tag::PORTAL_SUSPENDED {
                    self.settle_suspended();
                }
                let reply = self.server.pending.on_reply(header.tag);
                let reply = self.heal.verdict(reply);
                self.pass_reply(header, reply);
                // Nobody is there to send what the server now waits for.
                if self.leaving && self.server.pending.in_copy() {
                    return Err(End::ClientGone("client close request"));
                }
            }
        }
        Ok(true)
    }

    /// A row of the answer to a question of ours; false when more of it must arrive first.
    fn take_own_row(&mut self, header: Header) -> bool {
        if header.total > LARGE {
            match self.server.pending.own() {
                Some(Own::Values) => self.values_refused(),
                _ => self.functions_refused(),
            }
        } else if self.client.outbound.unparsed().len() < header.total {
            self.client.outbound.grow(header.total);
            return false;
        } else {
            self.own_row(header);
        }
        self.pass_reply(header, Reply::Swallow);
        true
    }

    /// A notice; false when more of it must arrive first. About what a client has prepared before it
    /// has been told then.
    fn take_notice(&mut self, header: Header) -> bool {
        if self.server.pending.is_injected() {
            self.pass_reply(header, Reply::Swallow);
            return true;
        }
        let mut header = header;
        if self.moved.is_any() && header.total <= LARGE {
            if self.client.outbound.unparsed().len() < header.total {
                self.client.outbound.grow(header.total);
                return false;
            }
            header = self.own_positions(header);
        }
        let reply = self.own_reply();
        self.pass_reply(header, reply);
        true
    }

    /// Whether rows and notices belong to our own SET.
    fn own_reply(&self) -> Reply {
        if self.server.pending.own().is_some() {
            Reply::Swallow
        } else {
            Reply::Forward
        }
    }

    /// A reply whose body matters.
    fn take_judged(&mut self, header: Header) -> Result<bool, End> {
        if self.client.outbound.unparsed().len() < header.total {
            if header.total <= LARGE {
                self.client.outbound.grow(header.total);
                return Ok(false);
            }
            return self.take_oversized(header);
        }
        match header.tag {
            tag::READY_FOR_QUERY => self.on_ready(header)?,
            tag::PARAMETER_STATUS => self.on_parameter(header),
            tag::COMMAND_COMPLETE => self.on_command(header),
            _ => self.on_error(header),
        }
        Ok(true)
    }

    /// An error of more than 64 KiB is passed on unseen; nothing else may be so large.
    fn take_oversized(&mut self, header: Header) -> Result<bool, End> {
        if header.tag != tag::ERROR {
            return Err(End::ServerLost("bad packet header from server"));
        }
        self.observe_error(header);
        self.undo();
        if self.heal.is_armed() && !self.server.pending.holds_healable() {
            self.disarm();
        }
        let reply = self.own_reply();
        self.pass_reply(header, reply);
        Ok(true)
    }

    /// HOT. ReadyForQuery: the server says where it stands, and may be free.
    fn on_ready(&mut self, header: Header) -> Result<(), End> {
        let byte = self.client.outbound.unparsed().get(HEADER).copied();
        let Some(status) = byte.and_then(Status::parse) else {
            return Err(End::ServerLost("bad ReadyForQuery from server"));
        };
        self.server.status = status;
        let answered = self.server.pending.on_ready();
        match answered {
            Some(Request::OwnSync) => {
                self.pass_reply(header, Reply::Swallow);
                return self.send_copied();
            }
            Some(Request::Own(own)) => {
                self.pass_reply(header, Reply::Swallow);
                self.own_answered(own)?;
                return self.leave_if_done();
            }
            Some(Request::BeginSync) => {
                self.note_refused(status);
                self.pass_reply(header, Reply::Swallow);
                self.timing.block_opened(self.client, now_us());
                return self.leave_if_done();
            }
            _ => self.note_refused(status),
        }
        self.is_fronted = false;
        self.moved.forget();
        self.own_names.end();
        if status == Status::Idle {
            self.forget_asked();
        }
        self.settle_schema(status);
        let now = self.observe_ready(header, matches!(answered, Some(Request::Query(_))));
        if self.mode() == PoolMode::Session {
            // No next link would make it true.
            self.reset = Reset::None;
        } else if self.reset != Reset::None {
            self.restore_params();
        } else if self.ledger.restores != 0 {
            self.restore_settled(status);
        }
        if status == Status::InTransaction {
            self.tell_local_starts();
        }
        self.reported = 0;
        let is_last = self.server.pending.is_empty();
        let is_withheld = is_last && status == Status::Idle && self.asks_pins();
        let reply = match is_withheld {
            true => Reply::Swallow,
            false => Reply::Forward,
        };
        self.pass_reply(header, reply);
        self.ledger.withholds_ready = is_withheld;
        self.settle_ready(status)?;
        if self.ledger.withholds_ready && !self.server.pending.asks(Own::Pins) {
            self.give_ready();
        }
        if is_last {
            self.timing.query_ended(self.client, status, now);
            self.record(now, status == Status::Idle);
        }
        if status != Status::Idle && self.mode() == PoolMode::Statement {
            return Err(End::Fatal(ClientError::transaction_in_statement_mode()));
        }
        self.leave_if_done()
    }

    /// A client that has said goodbye is gone once nothing is outstanding, answers to us included.
    fn leave_if_done(&self) -> Result<(), End> {
        if self.leaving && !self.server.pending.awaits_ready() {
            return Err(End::ClientGone("client close request"));
        }
        Ok(())
    }

    /// HOT. Every request is answered, none is half sent, and the mode lets the server go.
    pub(super) fn is_free(&self) -> bool {
        self.server.is_clean()
            && self.in_frame == 0
            && self.out_frame == 0
            && !self.holds_begin()
            && self.client.inbound.unsent().is_empty()
            && self.mode() != PoolMode::Session
    }

    /// Our SET has been answered: the client takes over the server's spelling.
    pub(super) fn params_applied(&mut self) -> Result<(), End> {
        if let Some(refusal) = self.ledger.refusal.take() {
            if self.hurries(&refusal.0) {
                self.match_settings();
                return Ok(());
            }
            return Err(End::Fatal(self.refusal_error(&refusal)));
        }
        self.client.params = Arc::clone(&self.server.params);
        self.hold.for_session = false;
        Ok(())
    }

    fn on_parameter(&mut self, header: Header) {
        let is_own = self.server.pending.own().is_some();
        let tracked = Arc::clone(&self.client.pool.shared.tracked);
        let were_same = Arc::ptr_eq(&self.client.params, &self.server.params);
        let whole = &self.client.outbound.unparsed()[..header.total];
        if let Some(index) = self.server.note_parameter(whole, &tracked)
            && !is_own
        {
            self.reported |= 1u64.checked_shl(index as u32).unwrap_or(0);
        }
        if is_own {
            self.pass_reply(header, Reply::Swallow);
            return;
        }
        if were_same {
            self.client.params = Arc::clone(&self.server.params);
        } else if let Some((name, value)) = backend::parameter_status(whole)
            && let (Some(index), Ok(value)) = (tracked.index_of(name), std::str::from_utf8(value))
        {
            self.client.params = tracked.with_value(&self.client.params, index, value);
        }
        self.note_application();
        self.pass_reply(header, Reply::Forward);
    }

    /// The client's application_name may have changed.
    pub(super) fn note_application(&mut self) {
        if self.client.note_application() {
            self.server.tracker.set_app(self.client.slot.activity.app());
        }
    }

    fn on_command(&mut self, header: Header) {
        if self.server.pending.own().is_some() || self.server.pending.begins() {
            let reply = self.server.pending.on_reply(header.tag);
            return self.pass_reply(header, reply);
        }
        if self.heal.is_armed() && self.server.pending.answering() == Answering::Query {
            // An EXECUTE that brings no rows: this is its first answer.
            self.disarm();
        }
        let command = &self.client.outbound.unparsed()[HEADER..header.total];
        if resets_parameters(command) && !self.watch.is_on() {
            let is_discard = command.starts_with(b"DISCARD");
            self.reset = if is_discard {
                Reset::Every
            } else {
                Reset::Reported
            };
        }
        self.note_schema(header);
        let command = &self.client.outbound.unparsed()[HEADER..header.total];
        if drops_statements(command) {
            self.server.tracker.forget_prepared();
            self.forget_statements();
        }
        self.note_completed(header);
        self.settle_command(header);
        self.observe_command(header);
        let reply = self.server.pending.on_reply(header.tag);
        self.pass_reply(header, reply);
    }

    /// DISCARD ALL (and RESET, for what was reported with it) put back the server's start values; on
    /// a direct connection they would have been the client's.
    /// INVARIANT: called between two frames only.
    fn restore_params(&mut self) {
        // PostgreSQL reports what a command changed behind its CommandComplete.
        let which = match std::mem::take(&mut self.reset) {
            Reset::Every => u64::MAX,
            _ => self.reported,
        };
        self.client.restore_params(which);
        self.note_application();
    }

    fn on_error(&mut self, header: Header) {
        if let Some(own) = self.server.pending.own() {
            self.note_refusal(header, own);
            self.pass_reply(header, Reply::Swallow);
            return;
        }
        if self.heal.is_armed() && self.heals(header) {
            return self.pass_reply(header, Reply::Swallow);
        }
        let pending = &self.server.pending;
        let (begins, is_alone) = (pending.begins(), pending.only_begins());
        let (_, queries) = pending.runs_to_sync();
        let is_refused = pending.is_refused();
        self.settle_error();
        self.observe_error(header);
        self.undo();
        if !begins {
            self.release_query();
        }
        if self.heal.is_armed() && !self.server.pending.holds_healable() {
            self.disarm();
        }
        let header = self.names_refused(header);
        let header = self.own_names(header);
        let header = self.columns_refused(header, is_refused);
        let reply = if is_alone {
            Reply::Swallow
        } else {
            Reply::Forward
        };
        self.pass_reply(header, reply);
        if begins {
            self.begin_refused(queries);
        }
    }

    /// Puts in the answers that the server does not give, where they belong in the stream: with the
    /// answer to what follows them, or at a Flush. One of its own would cost a write more.
    /// INVARIANT: called between two frames only.
    pub(super) fn answer_synthetics(&mut self) {
        if self.out_frame > 0 {
            return;
        }
        while let Some(answer) = self.server.pending.take_synthetic() {
            let bytes = match answer {
                Synthetic::ParseComplete => backend::PARSE_COMPLETE,
                Synthetic::CloseComplete => backend::CLOSE_COMPLETE,
            };
            self.client.outbound.insert_parsed(&bytes);
        }
    }
}
