//! What a server holds for its client, which therefore keeps it.
//!
//! Owns: when the server is asked, the question, and what its answer means. Nobody counts locks or
//! tables: PostgreSQL says what is left.

use super::{ClientSide, End, Link};
use crate::error::ClientError;
use crate::server::pending::{Own, Request};
use crate::session::prepared::SERVER_PREFIX;
use crate::sql::{Class, Touches};
use crate::stats::Pins;
use crate::stats::clock::now_us;
use crate::wire::backend::{self, Status};
use crate::wire::frame::Header;
use crate::wire::frontend;

/// What keeps a server with its client.
pub(super) const PINNING: Touches = Touches::LOCKS
    .or(Touches::TEMPORARY)
    .or(Touches::CURSORS)
    .or(Touches::LIBRARY);

/// Code whose text does not say what it does.
pub(super) const OPAQUE: Touches = Touches::CODE.or(Touches::FUNCTION);

/// After what a server is asked what it holds.
pub(super) const ASKING: Touches = PINNING.or(OPAQUE);

/// What `QUESTION` tells, and what code may have left.
const ASKED: Pins = Pins::ADVISORY_LOCK.or(Pins::TEMPORARY).or(Pins::CURSOR);

/// Asks a server what it holds for its session, a letter each: advisory locks, temporary objects,
/// cursors; and whether its statement_timeout is under a second. Whatever stands in a schema depends
/// on it: tables, but functions and types too; 2615 is pg_namespace. Means the same under any
/// search_path, and needs no right to the views.
const QUESTION: &str = "SELECT pg_catalog.concat(\
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_lock_status() \
    WHERE locktype OPERATOR(pg_catalog.=) 'advisory' \
    AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()) THEN 'l' END, \
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_depend \
    WHERE refclassid OPERATOR(pg_catalog.=) 2615::pg_catalog.oid \
    AND refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()) THEN 't' END, \
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_cursor() WHERE is_holdable) THEN 'c' END, \
    CASE WHEN pg_catalog.current_setting('statement_timeout') \
    OPERATOR(pg_catalog.~~) '%ms' THEN 's' END)";

/// In front of it where it was refused: a timeout that a function has left.
const UNHURRIED: &str = "SET LOCAL statement_timeout = 0;";

/// How often it is asked, should it be cancelled together with the client's statement.
const TRIES: u8 = 6;

/// How often it is asked while there is no room for one more pin: some milliseconds.
const ROOM_TRIES: u8 = 100;

impl Link<'_> {
    /// HOT. Whether the server is to be asked what the transaction has left there. The client's
    /// ReadyForQuery waits for the answer: should it be refused, it hears of it as of its statement.
    #[inline]
    pub(super) fn asks_pins(&self) -> bool {
        self.watch.is_on() && self.ledger.touched.has(ASKING)
    }

    /// Asks the server what it holds. Until it has answered it is taken to hold all that it may.
    pub(super) fn ask_pins(&mut self, touched: Touches) {
        self.server.pins = self.server.pins.or(pins_of(touched));
        self.server.may_hold |= touched.has(OPAQUE);
        if self.in_frame == 0 && self.server.pending.is_done() {
            self.send_question();
            self.ask_functions();
        } else {
            // A Sync of ours would end the client's unnamed portal, or stand in its COPY: asked
            // behind its next request.
            self.ledger.touched |= touched.and(ASKING);
        }
    }

    /// The question is planned once for each server: 35 µs of PostgreSQL instead of 130. Where it was
    /// not prepared before, code may have dropped every statement: none is relied upon.
    fn send_question(&mut self) {
        self.ledger.answer = None;
        self.ledger.tries = 0;
        let name = format!("{SERVER_PREFIX}pins");
        let mut out = Vec::with_capacity(QUESTION.len() + 80);
        if !std::mem::replace(&mut self.server.has_question, true) {
            if self.server.may_hold {
                self.close_statements(&mut out);
            }
            frontend::close_statement(&mut out, name.as_bytes());
            let text = [QUESTION.as_bytes(), &[0; 3]].concat();
            frontend::parse_named(&mut out, name.as_bytes(), &text);
        }
        frontend::execute_named(&mut out, name.as_bytes());
        self.client.inbound.insert_parsed(&out);
        self.server.pending.push_final(Request::Own(Own::Pins));
    }

    /// The server has none of its statements any more, whatever code has done to them.
    fn close_statements(&mut self, out: &mut Vec<u8>) {
        while let Some(statement) = self.server.statements.evict_over(0) {
            frontend::close_statement(out, statement.server_name.as_bytes());
        }
        self.server.slot.set_prepared(0);
    }

    /// A row of the answer: one column.
    pub(super) fn pins_row(&mut self, header: Header) {
        let whole = self.client.outbound.unparsed().get(..header.total);
        let columns = backend::row_columns(whole.unwrap_or_default());
        self.ledger.answer = columns
            .first()
            .map(|letters| letters.unwrap_or_default().to_vec());
    }

    /// PostgreSQL did not take the question.
    pub(super) fn question_refused(&mut self) {
        self.server.has_question = false;
    }

    /// The answer is complete; without one it is asked again, in words that do not depend on what
    /// the session has prepared or set.
    pub(super) fn pins_answered(&mut self) -> Result<(), End> {
        if self.ledger.answer.is_none() && self.ledger.tries < TRIES {
            self.ledger.tries += 1;
            let mut out = Vec::new();
            self.close_statements(&mut out);
            self.client.inbound.insert_parsed(&out);
            self.send_own([UNHURRIED, QUESTION].concat().as_bytes(), Own::Pins);
            return Ok(());
        }
        self.take_answer();
        if self.awaits_room() {
            self.send_question();
            return Ok(());
        }
        self.pins_known()?;
        let is_heard = self.client.listening.is_some() && self.client.has_notified;
        if !is_heard || !self.server.pending.asks(Own::Functions) {
            self.give_ready();
        }
        Ok(())
    }

    /// Whether there is no room for one more pin, and it may be there in a moment: PostgreSQL has given
    /// this client the lock of another, whose server is about to say so.
    fn awaits_room(&mut self) -> bool {
        let awaits = self.ledger.room_tries < ROOM_TRIES
            && !self.server.show_pins(&self.client.slot, now_us());
        self.ledger.room_tries = if awaits {
            self.ledger.room_tries + 1
        } else {
            0
        };
        awaits
    }

    /// What it holds. Without an answer all that it may, and all that code may have left.
    fn take_answer(&mut self) {
        let Some(letters) = self.ledger.answer.take() else {
            if self.server.may_hold {
                self.server.pins = self.server.pins.or(ASKED);
            }
            return;
        };
        let mut pins = self.server.pins.without(ASKED);
        for (letter, reason) in [
            (b'l', Pins::ADVISORY_LOCK),
            (b't', Pins::TEMPORARY),
            (b'c', Pins::CURSOR),
        ] {
            if letters.contains(&letter) {
                pins = pins.or(reason);
            }
        }
        self.server.pins = pins;
        self.server.is_hurried = letters.contains(&b's') || self.ledger.tries > 0;
        self.server.may_hold = false;
    }

    /// What the server is kept for is known.
    pub(super) fn pins_known(&mut self) -> Result<(), End> {
        let has_room = self.server.show_pins(&self.client.slot, now_us());
        if !has_room {
            return Err(End::Fatal(ClientError::too_many_pins()));
        }
        if !self.server.pins.is_empty() {
            let limit = self.client.pool.limits().pin_timeout_us;
            self.timing.kept(self.client, limit);
        }
        Ok(())
    }

    /// The client gets the ReadyForQuery that was kept.
    /// INVARIANT: called between two frames only.
    pub(super) fn give_ready(&mut self) {
        if std::mem::take(&mut self.ledger.withholds_ready) {
            let ready = backend::ready_for_query(Status::Idle);
            self.client.outbound.insert_parsed(&ready);
        }
    }
}

impl ClientSide {
    /// HOT. Whether its search_path names the temporary schema: a table of no schema may be temporary.
    #[inline]
    pub(super) fn is_path_temporary(&self) -> bool {
        let settings = self.session.settings();
        let path = if settings.is_empty() {
            None
        } else {
            settings.get("search_path")
        };
        path.is_some_and(|path| path.contains("pg_temp"))
    }
}

/// Whether a statement of this class makes tables or what is like them. `writes`: of a SELECT, that
/// it may be a SELECT INTO.
pub(super) fn makes_table(class: Class, writes: bool) -> bool {
    class == Class::Ddl || class == Class::Select && writes
}

/// What a server may be kept for after statements of these kinds.
fn pins_of(touched: Touches) -> Pins {
    let kinds = [
        (Touches::LOCKS, Pins::ADVISORY_LOCK),
        (Touches::TEMPORARY, Pins::TEMPORARY),
        (Touches::CURSORS, Pins::CURSOR),
        (Touches::LIBRARY, Pins::LIBRARY),
    ];
    let pins = kinds.into_iter().filter(|(kind, _)| touched.has(*kind));
    pins.fold(Pins::NONE, |pins, (_, reason)| pins.or(reason))
}

/// What a statement of this class may undo of a pin.
pub(super) fn may_unpin(class: Class) -> Touches {
    match class {
        Class::Ddl | Class::Control | Class::Other => Touches::TEMPORARY,
        _ => Touches::NONE,
    }
}
