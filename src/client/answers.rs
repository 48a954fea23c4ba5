//! Statements that need no server: what a client may be told from its own state.
//!
//! Owns: the answers to DISCARD, RESET ALL, DEALLOCATE ALL and UNLISTEN of a client that has no
//! server, and to a BEGIN that is held until there is work, with its COMMIT or ROLLBACK. Never:
//! answers where a server might say something else. Simple protocol only; what comes as Parse goes
//! to a server.

use std::sync::Arc;

use super::serve::Client;
use crate::config::{PoolMode, SessionMode};
use crate::link::ClientSide;
use crate::request::{self, ControlText};
use crate::session::block::Block;
use crate::session::sequences::Memory;
use crate::session::state::ListenChange;
use crate::sql::{Control, Effect};
use crate::stats::clock::now_us;
use crate::stats::{ClientState, Count};
use crate::wire::backend::Status;
use crate::wire::frame::{HEADER, Header};
use crate::wire::frontend::tag;

/// Longest Query that is looked at, in bytes: what we answer is short.
const LONGEST: usize = 512;

/// Settings whose values PostgreSQL tells the client, and that we do not know: it must be asked.
const REPORTED: [&str; 6] = [
    "default_transaction_read_only",
    "search_path",
    "role",
    "session_authorization",
    "intervalstyle",
    "scram_iterations",
];

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It needs a server.
    NeedsServer,
    /// More of it must arrive.
    Short,
    /// It is answered.
    Given,
}

impl Client {
    /// HOT. Answers a message of a client without server where that is right.
    #[inline]
    pub(super) fn answer(&mut self, header: Header) -> Answer {
        if header.tag != tag::QUERY || header.total > LONGEST || !self.answers {
            return Answer::NeedsServer;
        }
        let unparsed = self.side.inbound.unparsed();
        let Some(text) = unparsed.get(HEADER..header.total) else {
            return Answer::Short;
        };
        match request::control(text, self.side.params.rules()) {
            Some(found) => self.answer_control(header, found),
            None => Answer::NeedsServer,
        }
    }

    fn answer_control(&mut self, header: Header, found: ControlText) -> Answer {
        let control = found.control;
        let Some((command, status)) = self.verdict(found) else {
            return Answer::NeedsServer;
        };
        let now = now_us();
        if status == Status::InTransaction {
            self.hold_begin(header, now);
        } else {
            self.end_block(now);
        }
        let counters = self.side.pool.counters.lane(self.side.lane);
        counters.add(Count::Received, header.total as u64);
        let verdict = (command, status);
        self.side.answer(header, verdict, found.what, now, |side| {
            forget(side, control);
        });
        self.arm(now);
        Answer::Given
    }

    /// No block is open from here on.
    fn end_block(&mut self, now: u64) {
        self.side.block = Block::None;
        let slot = &self.side.slot;
        slot.set_request_us(now);
        slot.set_state(ClientState::Idle);
        slot.activity.set_transaction_us(0);
        slot.activity.set_thinking_us(0);
    }

    /// Command tag and transaction status that PostgreSQL would answer; `None`: ask it.
    fn verdict(&self, found: ControlText) -> Option<(&'static str, Status)> {
        let control = found.control;
        let idle = |command| Some((command, Status::Idle));
        let restores = matches!(control, Control::DiscardAll | Control::ResetAll);
        if restores && REPORTED.iter().any(|name| self.has_changed(name)) {
            return None;
        }
        match (&self.side.block, control) {
            (Block::None, Control::Begin) if self.side.pool.hold_begin_us() > 0 => {
                let command = match found.is_start {
                    true => "START TRANSACTION",
                    false => "BEGIN",
                };
                Some((command, Status::InTransaction))
            }
            (Block::None, Control::DiscardAll) => idle("DISCARD ALL"),
            (Block::None, Control::DiscardTemp) => idle("DISCARD TEMP"),
            (Block::None, Control::DiscardPlans) => idle("DISCARD PLANS"),
            (Block::None, Control::DiscardSequences) => idle("DISCARD SEQUENCES"),
            (Block::None, Control::ResetAll) => idle("RESET"),
            (Block::None, Control::DeallocateAll) => idle("DEALLOCATE ALL"),
            (Block::None, Control::UnlistenAll) => idle("UNLISTEN"),
            (Block::Held(_), Control::Commit) => idle("COMMIT"),
            (Block::Held(_) | Block::Failed, Control::Rollback)
            | (Block::Failed, Control::Commit) => idle("ROLLBACK"),
            _ => None,
        }
    }

    /// Whether a setting is another one than at the client's start.
    fn has_changed(&self, name: &str) -> bool {
        let session = &self.side.session;
        let (now, start) = (session.settings(), session.startup());
        !Arc::ptr_eq(now, start) && now.get(name) != start.get(name)
    }

    fn hold_begin(&mut self, header: Header, now: u64) {
        let text = &self.side.inbound.unparsed()[HEADER..header.total];
        self.side.block = Block::Held(text.strip_suffix(b"\0").unwrap_or(text).into());
        let slot = &self.side.slot;
        slot.set_request_us(now);
        slot.set_state(ClientState::IdleInTransaction);
        slot.activity.set_transaction_us(now);
        slot.activity.set_thinking_us(now);
    }

    /// Takes over what the pool's settings say about answers of ours.
    pub(super) fn resolve_answers(&mut self) {
        let pool = &self.side.pool;
        self.answers =
            pool.mode() == PoolMode::Transaction && pool.session_state() != SessionMode::Pgbouncer;
    }
}

/// What the statement takes away from the client's session.
fn forget(side: &mut ClientSide, control: Control) {
    match control {
        Control::DiscardAll => {
            side.forget_statements();
            side.session.discard_all();
            side.sequences = Memory::default();
            side.listens = vec![ListenChange::UnlistenAll];
        }
        Control::ResetAll => {
            let shared = &side.pool.shared;
            let (store, tracked) = (&shared.settings, &shared.tracked);
            side.session.apply(&Effect::ResetAll, store, tracked);
            side.session.committed();
        }
        Control::DiscardSequences => side.sequences = Memory::default(),
        Control::DeallocateAll => side.forget_statements(),
        Control::UnlistenAll => side.listens = vec![ListenChange::UnlistenAll],
        _ => {}
    }
    if matches!(control, Control::DiscardAll | Control::ResetAll) {
        side.restore_params(u64::MAX);
        side.note_application();
    }
}
