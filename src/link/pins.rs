//! What a server holds for its client, which therefore keeps it.
//!
//! Owns: when the server is asked, the question, and what its answer means. Nobody counts locks or
//! tables: PostgreSQL says what is left.

use super::{End, Link};
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

/// What `QUESTION` tells.
const ASKED: Pins = Pins::ADVISORY_LOCK.or(Pins::TEMPORARY).or(Pins::CURSOR);

/// Asks a server what it holds for its session: 1 advisory locks, 2 temporary objects, 4 cursors.
/// Whatever stands in a schema depends on it: tables, but functions and types too. 2615 is
/// pg_namespace.
const QUESTION: &[u8] = b"SELECT (EXISTS (SELECT FROM pg_catalog.pg_locks \
    WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid()))::int4 \
    + 2 * (EXISTS (SELECT FROM pg_catalog.pg_depend \
    WHERE refclassid = 2615 AND refobjid = pg_catalog.pg_my_temp_schema()))::int4 \
    + 4 * (EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable))::int4\0\0\0";

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

    /// The question is planned once for each server: 35 µs of PostgreSQL instead of 130.
    fn send_question(&mut self) {
        self.ledger.answer = None;
        let name = format!("{SERVER_PREFIX}pins");
        let mut out = Vec::with_capacity(QUESTION.len() + 80);
        self.ledger.is_fresh_question = !std::mem::replace(&mut self.server.has_question, true);
        if self.ledger.is_fresh_question {
            // The name may be left from before a DEALLOCATE that nobody has seen fail.
            frontend::close_statement(&mut out, name.as_bytes());
            frontend::parse_named(&mut out, name.as_bytes(), QUESTION);
        }
        frontend::execute_named(&mut out, name.as_bytes());
        self.client.inbound.insert_parsed(&out);
        self.server.pending.push_final(Request::Own(Own::Pins));
    }

    /// A row of the answer: one column of one digit.
    pub(super) fn pins_row(&mut self, header: Header) {
        let whole = self.client.outbound.unparsed().get(..header.total);
        let digit = whole.and_then(|whole| whole.last()).copied();
        self.ledger.answer = digit.and_then(|digit| digit.checked_sub(b'0'));
    }

    /// PostgreSQL did not take the question.
    pub(super) fn question_refused(&mut self) {
        self.server.has_question = false;
    }

    /// The answer is complete.
    pub(super) fn pins_answered(&mut self) -> Result<(), End> {
        if !self.server.has_question && !self.ledger.is_fresh_question {
            // Something has deallocated it unseen.
            self.send_question();
            return Ok(());
        }
        self.pins_known()?;
        self.give_ready();
        Ok(())
    }

    /// What the server is kept for is known.
    pub(super) fn pins_known(&mut self) -> Result<(), End> {
        // Without an answer everything stays as it was taken to be.
        if let Some(answer) = self.ledger.answer.take() {
            let mut pins = self.server.pins.without(ASKED);
            for (bit, reason) in [
                (1, Pins::ADVISORY_LOCK),
                (2, Pins::TEMPORARY),
                (4, Pins::CURSOR),
            ] {
                if answer & bit != 0 {
                    pins = pins.or(reason);
                }
            }
            self.server.pins = pins;
            self.server.may_hold = false;
        }
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
