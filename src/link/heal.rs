//! HOT. Prepared statements whose plan is out of date: prepared afresh where no client can tell.
//!
//! When the columns of a prepared statement's result have changed since it was parsed, PostgreSQL
//! refuses to run it: "cached plan must not change result type" (0A000, `RevalidateCachedQuery` in
//! `plancache.c`). On a direct connection only the client that parsed it before the change gets to
//! see that. Here a statement may have been parsed for somebody else, long ago. So
//! - what is parsed behind a change of the schema that went through the same pool is another
//!   statement on the servers (`Database::schema_age` is part of the parse context);
//! - for what changed elsewhere the client's messages are copied from the first use of such a
//!   statement in a batch on, until its first answer. If that is this error, and the batch is a
//!   transaction of its own, the batch is sent again with a Parse under a new name.
//!
//! A named statement that the client has used before is left alone: the client may have been told
//! the columns of its result, and is told by the error that they have changed, as on a direct
//! connection. Never: sends anything twice that may have had an effect.

use std::sync::Arc;

use super::{End, Link};
use crate::net::buf::{LARGE, SMALL};
use crate::server::pending::{Answering, Reply, Request};
use crate::session::functions::changes_functions;
use crate::session::prepared::{Statement, Unnamed};
use crate::wire::backend::{self, Status};
use crate::wire::frame::{HEADER, Header};
use crate::wire::frontend::{self, tag};

/// Longest copy of a client's messages, in bytes.
const LONGEST: usize = LARGE;
/// Times that one link heals. Each needs another change of the schema; a loop would be ours.
const MOST: u8 = 8;

/// How far healing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Nothing to heal.
    #[default]
    Idle,
    /// A statement is used that the server may refuse; messages are copied.
    Armed,
    /// Its batch is complete: nothing may be sent behind it.
    Complete,
    /// It was refused; ReadyForQuery is awaited to send the batch again.
    Refused,
}

/// What a link knows of the batch that is being sent.
#[derive(Debug, Default)]
pub(super) struct Heal {
    stage: Stage,
    /// A message of the client's batch was sent that the server answers.
    pub is_dirty: bool,
    /// The batch is inside of an explicit transaction.
    pub is_explicit: bool,
    /// The schema was changed in the open transaction.
    pub has_new_schema: bool,
    /// So did one that changed functions.
    pub has_new_functions: bool,
    /// A Flush was put behind the copied messages.
    is_flushed: bool,
    attempts: u8,
    /// The statement parsed last in this batch: its plan is new.
    pub fresh: u64,
    /// The reply at hand is kept back.
    is_kept_back: bool,
}

impl Heal {
    /// HOT. Whether the client's messages are copied, or wait.
    #[inline]
    pub fn is_armed(&self) -> bool {
        self.stage != Stage::Idle
    }

    /// What becomes of the reply at hand.
    pub fn verdict(&mut self, reply: Reply) -> Reply {
        if std::mem::take(&mut self.is_kept_back) {
            Reply::Swallow
        } else {
            reply
        }
    }

    /// HOT. The client's batch is complete.
    #[inline]
    pub fn end_batch(&mut self) {
        self.is_dirty = false;
        self.is_explicit = false;
        self.fresh = 0;
    }
}

impl Link<'_> {
    /// Notes whether the batch that begins is known to be inside of a transaction.
    pub(super) fn hold_explicit(&mut self) {
        let is_known = self.server.pending.awaits_nothing();
        self.heal.is_explicit |= is_known && self.server.status == Status::InTransaction;
    }

    /// HOT. Whether an error of the message at hand could be healed.
    pub(super) fn can_arm(&self, header: Header) -> bool {
        self.heal.stage == Stage::Idle
            && !self.heal.is_dirty
            && self.heal.attempts < MOST
            && header.total <= LONGEST
            && self.client.inbound.unparsed().len() >= header.total
    }

    /// HOT. From here on the client's messages are copied, where the statement needs it; `name`: the
    /// client's.
    pub(super) fn arm(
        &mut self,
        header: Header,
        statement: &Arc<Statement>,
        name: Option<Box<[u8]>>,
    ) -> bool {
        let is_sound = self.heal.fresh == statement.id || self.heal.is_explicit;
        if is_sound || !self.can_arm(header) {
            return false;
        }
        let frame = &self.client.inbound.unparsed()[..header.total];
        let copied = &mut self.server.copied;
        copied.messages.clear();
        copied.messages.extend_from_slice(frame);
        copied.statement = Some(Arc::clone(statement));
        copied.name = name;
        self.heal.stage = Stage::Armed;
        self.heal.is_flushed = false;
        true
    }

    /// HOT. A message behind one that may be healed: it is copied, or waits; `None`: it waits.
    /// Otherwise how long the copy was without it.
    pub(super) fn copy_request(&mut self, header: Header) -> Option<usize> {
        let before = self.server.copied.messages.len();
        let is_step = matches!(
            header.tag,
            tag::PARSE | tag::BIND | tag::DESCRIBE | tag::EXECUTE | tag::CLOSE | tag::FLUSH
        ) || header.tag == tag::SYNC;
        let unparsed = self.client.inbound.unparsed();
        match unparsed.get(..header.total) {
            Some(frame)
                if self.heal.stage == Stage::Armed
                    && is_step
                    && before + header.total <= LONGEST =>
            {
                self.server.copied.messages.extend_from_slice(frame);
                if header.tag == tag::SYNC {
                    self.heal.stage = Stage::Complete;
                }
                Some(before)
            }
            _ => {
                self.hold_for_answer();
                None
            }
        }
    }

    /// The message did not go out after all.
    pub(super) fn uncopy(&mut self, length: usize) {
        if self.heal.stage == Stage::Armed {
            self.server.copied.messages.truncate(length);
        }
    }

    /// The message waits for the first answer; where the server may keep that, it is asked for it.
    fn hold_for_answer(&mut self) {
        self.hold.is_held = true;
        let is_asked = self.heal.stage != Stage::Armed || self.heal.is_flushed;
        if !is_asked {
            self.heal.is_flushed = true;
            self.client.inbound.insert_parsed(&frontend::FLUSH);
        }
    }

    /// HOT. A reply while something may be healed; false when it must be complete and is not. The
    /// first answer to what may be healed ends it.
    pub(super) fn take_first_answer(&mut self, header: Header) -> bool {
        if self.server.pending.answering() == Answering::Query {
            self.disarm();
            return true;
        }
        if !self.server.pending.is_healable() {
            return true;
        }
        if header.tag != backend::tag::PARAMETER_DESCRIPTION || header.total > LARGE {
            self.disarm();
            return true;
        }
        let Some(frame) = self.client.outbound.unparsed().get(..header.total) else {
            self.client.outbound.grow(header.total);
            return false;
        };
        self.server.copied.described.extend_from_slice(frame);
        self.heal.is_kept_back = true;
        true
    }

    /// HOT. What could have been refused was not, or nothing can be done about it.
    /// INVARIANT: called between two frames of the server only.
    pub(super) fn disarm(&mut self) {
        let copied = &mut self.server.copied;
        if !copied.described.is_empty() {
            let described = std::mem::take(&mut copied.described);
            self.client.outbound.insert_parsed(&described);
        }
        self.heal.stage = Stage::Idle;
        copied.statement = None;
        copied.messages.clear();
        if copied.messages.capacity() > SMALL {
            copied.messages = Vec::new();
        }
    }

    /// ErrorResponse, whole: true when it is healed and nobody's business.
    pub(super) fn heals(&mut self, header: Header) -> bool {
        let is_query = self.server.pending.answering() == Answering::Query;
        if !is_query && !self.server.pending.is_healable() {
            return false;
        }
        let frame = &self.client.outbound.unparsed()[..header.total];
        let is_alone = self.server.status == Status::Idle;
        if !is_alone || !backend::is_stale_plan(frame) {
            self.disarm();
            return false;
        }
        self.server.copied.described = Vec::new();
        let (executes, others) = self.server.pending.runs_to_sync();
        self.server.tracker.taken_back(executes + others);
        self.undo();
        self.asked = None;
        if !self.server.pending.take_sync() {
            self.client.inbound.insert_parsed(&frontend::SYNC);
            self.server.pending.push_final(Request::OwnSync);
        }
        self.renew_stale();
        self.heal.stage = Stage::Refused;
        self.heal.attempts += 1;
        true
    }

    /// The client's statement is from now on one that no server has.
    fn renew_stale(&mut self) {
        let Some(stale) = self.server.copied.statement.take() else {
            return;
        };
        let rules = self.client.params.rules();
        let fresh = self.client.pool.shared.dictionary.renew(&stale, rules);
        match self.server.copied.name.take() {
            None => self.client.unnamed_statement = Unnamed::Kept(fresh),
            Some(name) => {
                if let Some(held) = &mut self.client.statements {
                    held.replace(&name, fresh);
                }
            }
        }
    }

    /// ReadyForQuery behind a refused batch, swallowed: the batch is sent again.
    pub(super) fn send_copied(&mut self) -> Result<(), End> {
        if self.heal.stage != Stage::Refused {
            return Ok(());
        }
        let messages = &self.server.copied.messages;
        self.client.inbound.splice(0..0, messages);
        self.disarm();
        self.heal.end_batch();
        self.take_requests()
    }

    /// CommandComplete: notes a change of the schema.
    pub(super) fn note_schema(&mut self, header: Header) {
        let command = &self.client.outbound.unparsed()[HEADER..header.total];
        if changes_schema(command) {
            self.heal.has_new_schema = true;
            self.client.pool.database.schema_changes();
        }
        if changes_functions(command) {
            self.heal.has_new_functions = true;
            self.client.pool.database.functions.change();
        }
    }

    /// HOT. ReadyForQuery: what was changed in a transaction is there for all when that ends.
    #[inline]
    pub(super) fn settle_schema(&mut self, status: Status) {
        if self.heal.has_new_schema && status == Status::Idle {
            self.heal.has_new_schema = false;
            let database = &self.client.pool.database;
            database.schema_changes();
            if std::mem::take(&mut self.heal.has_new_functions) {
                database.functions.change();
            }
        }
    }
}

/// Whether a command tag is that of a change after which a text may mean something else.
fn changes_schema(command: &[u8]) -> bool {
    let Some(kind) = ["ALTER ", "CREATE ", "DROP ", "IMPORT "]
        .iter()
        .find_map(|word| command.strip_prefix(word.as_bytes()))
    else {
        return false;
    };
    const HARMLESS: [&[u8]; 9] = [
        b"INDEX",
        b"STATISTICS",
        b"DATABASE",
        b"ROLE",
        b"SEQUENCE",
        b"TRIGGER",
        b"EVENT TRIGGER",
        b"PUBLICATION",
        b"SUBSCRIPTION",
    ];
    !HARMLESS.iter().any(|name| kind.starts_with(name))
}
