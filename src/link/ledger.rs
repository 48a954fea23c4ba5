//! What the client's statements did to its session, as PostgreSQL answers them.
//!
//! Owns: the way from a statement that is sent, over its CommandComplete and the end of its
//! transaction, to the session state of client and server. Client and server go through the same
//! changes: what they differ in (a RESET goes back to other values) is set right before the client's
//! next statement.

use std::collections::HashMap;
use std::sync::Arc;

use super::pins::{ASKING, OPAQUE, may_unpin};
use super::values::AskedSettings;
use super::{End, Link};
use crate::error::ClientError;
use crate::server::pending::Own;
use crate::session::deed::Deed;
use crate::session::prepared::Statement;
use crate::session::sequences::Seen;
use crate::session::settings::Settings;
use crate::sql::{Effect, Summary, Touches};
use crate::wire::backend::{self, Status};
use crate::wire::frame::{HEADER, Header};

/// What takes away the settings and channels that code may have left in a session unseen.
const FROM_SCRATCH: &str =
    "SET LOCAL statement_timeout = 0;RESET SESSION AUTHORIZATION;RESET ALL;UNLISTEN *;";

/// What takes away the rest, where PostgreSQL has not said that there is none.
const RELEASE: &str = "CLOSE ALL;DISCARD TEMP;SELECT pg_catalog.pg_advisory_unlock_all();";

/// Portals whose statements touch the session.
#[derive(Debug, Default)]
pub(super) struct Portals {
    unnamed: Option<Bound>,
    named: HashMap<Box<[u8]>, Bound>,
}

/// A portal's statement.
#[derive(Clone, Debug)]
struct Bound {
    touches: Touches,
    deed: Option<Arc<Deed>>,
}

/// What has happened in the running transaction.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// What its statements may leave behind.
    pub touched: Touches,
    portals: Option<Box<Portals>>,
    /// Tracked parameters that went back to where the server started: a set of positions.
    pub restores: u64,
    /// Settings that the transaction has put back to where the server started, for its own rest.
    pub local_resets: Vec<Box<str>>,
    /// A text that was not looked at as a whole speaks of prepared statements.
    pub has_own_names: bool,
    /// The client's ReadyForQuery is kept until the server has said what it holds.
    pub withholds_ready: bool,
    /// Something failed since the last command that ended a transaction.
    has_failed: bool,
    /// A statement has changed settings by a value that its text does not say.
    unknown: Option<&'static str>,
    /// Settings whose values only the server knows.
    pub asked: AskedSettings,
    /// The answer about pins, while it arrives.
    pub answer: Option<Vec<u8>>,
    /// How often it was asked again.
    pub tries: u8,
    /// How often the client's settings were sent again.
    pub session_tries: u8,
    /// How often there was no room for one more pin.
    pub room_tries: u8,
    /// PostgreSQL's words when it refused the client's settings.
    pub refusal: Option<Box<(String, String)>>,
}

impl Link<'_> {
    /// HOT. A Bind is about to be sent. `name`: where the statement's name stands; behind it the
    /// portal's.
    #[inline]
    pub(super) fn note_portal(
        &mut self,
        name: &std::ops::Range<usize>,
        (what, shared): (Option<Summary>, Option<&Statement>),
        deed: Option<Arc<Deed>>,
    ) {
        if !self.watch.is_on() {
            return;
        }
        if let Some(what) = what {
            self.note_bound_sequences(what);
        }
        // A name that is not ours may stand for anything.
        let mut touches = what.map_or(Touches::CODE, |what| self.judge(what, shared));
        touches = self.watch.of_interest(touches);
        if !self.server.pins.is_empty() {
            touches |= what.map_or(Touches::NONE, |what| may_unpin(what.class));
        }
        if touches.is_empty() && self.ledger.portals.is_none() {
            return;
        }
        let end = name.start.saturating_sub(1);
        let deed = self.bound_deed(deed, shared);
        let portal = self.client.inbound.unparsed().get(HEADER..end);
        let portal = portal.unwrap_or_default();
        let portals = self.ledger.portals.get_or_insert_default();
        let bound = (!touches.is_empty()).then_some(Bound { touches, deed });
        if portal.is_empty() {
            portals.unnamed = bound;
        } else if let Some(bound) = bound {
            portals.named.insert(portal.into(), bound);
        } else {
            portals.named.remove(portal);
        }
    }

    /// HOT. A Bind of the unnamed statement is about to be sent.
    #[inline]
    pub(super) fn note_unnamed_portal(&mut self, name: &std::ops::Range<usize>) {
        let unnamed = &self.client.unnamed;
        let (what, deed) = (unnamed.what, unnamed.deed.clone());
        self.note_portal(name, (what, None), deed);
    }

    /// HOT. An Execute is about to be sent, whole: what it will have done.
    #[inline]
    pub(super) fn executed_deed(&mut self, header: Header) -> Option<Arc<Deed>> {
        let portals = self.ledger.portals.as_deref_mut()?;
        let unparsed = self.client.inbound.unparsed();
        let seen = &unparsed[HEADER..unparsed.len().min(header.total)];
        let portal = seen.split(|byte| *byte == 0).next().unwrap_or_default();
        let bound = if portal.is_empty() {
            portals.unnamed.as_mut()
        } else {
            portals.named.get_mut(portal)
        }?;
        self.ledger.touched |= bound.touches;
        // What has run to its end does not run again.
        bound.deed.take()
    }

    /// The body of a statement that SQL prepared is executed: which values it sets is not looked at.
    pub(super) fn note_executed(&mut self, statement: &Statement) {
        let what = statement.what;
        let mut seen = Seen::default();
        seen.add(what.class, what.touches);
        self.note_sequences(seen);
        let mut touches = self.judge(what, Some(statement));
        if touches.has(Touches::SETTINGS) {
            touches |= Touches::CODE;
        }
        self.ledger.touched |= touches;
    }

    /// HOT. A command has completed; told before the queue of requests.
    #[inline]
    pub(super) fn settle_command(&mut self, header: Header) {
        if !self.watch.is_on() {
            return;
        }
        self.sequences_command(header);
        match self.server.pending.deed().cloned() {
            Some(deed) => deed.effects.iter().for_each(|effect| self.settle(effect)),
            None if self.is_changing() || self.ledger.has_failed || self.ledger.asked.is_any() => {
                match &self.client.outbound.unparsed()[HEADER..header.total] {
                    b"COMMIT\0" | b"PREPARE TRANSACTION\0" => self.committed(),
                    b"ROLLBACK\0" => self.rolled_back(),
                    _ => {}
                }
            }
            None => {}
        }
    }

    /// A portal has brought as many rows as were asked for: what its statement does it has done.
    pub(super) fn settle_suspended(&mut self) {
        if let Some(deed) = self.server.pending.deed().cloned() {
            deed.effects.iter().for_each(|effect| self.settle(effect));
        }
    }

    /// PostgreSQL does not take what we ask of it ourselves.
    pub(super) fn note_refusal(&mut self, header: Header, own: Own) {
        let whole = &self.client.outbound.unparsed()[..header.total];
        let fields = backend::error_fields(whole);
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        if own == Own::Session {
            let refusal = (text(fields.sqlstate), text(fields.message));
            self.ledger.refusal = Some(Box::new(refusal));
            // What it has now is not what was asked for.
            self.server.suspect = Some("refused");
            self.server.may_hold = true;
        } else if own == Own::Sequences {
            self.sequences_kept();
        } else if own == Own::Pins {
            self.question_refused();
        } else if own == Own::Values {
            self.values_refused();
        } else if own == Own::Functions {
            self.functions_refused();
        }
    }

    /// The client cannot have the settings that it asked for.
    pub(super) fn refusal_error(&self, (sqlstate, text): &(String, String)) -> ClientError {
        // COMPAT: PgBouncer's words, where it knows the setting.
        if self.client.session.settings().is_empty() {
            ClientError::invalid_server_parameter()
        } else {
            ClientError::from_server(sqlstate, text)
        }
    }

    /// HOT. Whether the end of the transaction decides about settings or channels.
    #[inline]
    fn is_changing(&self) -> bool {
        self.client.session.is_in_transaction() || self.server.session.is_in_transaction()
    }

    fn settle(&mut self, effect: &Effect) {
        match effect {
            Effect::Unknown(reason) => {
                self.ledger.unknown = Some(reason);
                return;
            }
            Effect::Asked(name) => return self.ledger.asked.note(name),
            _ => {}
        }
        let shared = &self.client.pool.shared;
        let (store, tracked) = (&shared.settings, &*shared.tracked);
        let bit = |name: &str| {
            let position = tracked.index_of(name.as_bytes());
            position.map_or(0, |at| 1u64.checked_shl(at as u32).unwrap_or(0))
        };
        match effect {
            Effect::Reset(name) => self.ledger.restores |= bit(name),
            Effect::ResetLocal(name) => self.ledger.local_resets.push(name.clone()),
            Effect::Set { name, .. } | Effect::SetList { name, .. } => {
                self.ledger.restores &= !bit(name);
            }
            Effect::ResetAll | Effect::DiscardAll => self.ledger.restores = u64::MAX,
            _ => {}
        }
        self.client.session.apply(effect, store, tracked);
        self.server.session.apply(effect, store, tracked);
    }

    /// Behind a RESET the client has its own start values again, not the server's. What PostgreSQL
    /// has rolled back it has reported itself.
    pub(super) fn restore_settled(&mut self, status: Status) {
        let which = std::mem::take(&mut self.ledger.restores);
        let is_undone = self.ledger.has_failed && status != Status::InTransaction;
        if !is_undone {
            self.client.restore_params(which);
            self.note_application();
        }
    }

    fn committed(&mut self) {
        self.ledger.has_failed = false;
        let changes = self.client.session.committed();
        self.client.listens.extend(changes);
        self.server.is_listening |= !self.server.session.committed().is_empty();
    }

    fn rolled_back(&mut self) {
        self.ledger.has_failed = false;
        self.ledger.asked.forget();
        self.client.session.rolled_back();
        self.server.session.rolled_back();
    }

    /// An error of the client's own.
    #[inline]
    pub(super) fn settle_error(&mut self) {
        self.ledger.has_failed = true;
        self.sequences_failed();
    }

    /// HOT. ReadyForQuery of the client's own, told when its frame has been passed on.
    #[inline]
    pub(super) fn settle_ready(&mut self, status: Status) -> Result<(), End> {
        if !self.watch.is_on() {
            return Ok(());
        }
        if std::mem::take(&mut self.ledger.has_own_names) {
            self.own_server()?;
        }
        self.settle_sequences(status == Status::Idle)?;
        if status == Status::Idle {
            if self.is_changing() {
                if self.ledger.has_failed {
                    self.rolled_back();
                } else {
                    self.committed();
                }
            }
            self.ledger.has_failed = false;
            self.ledger.local_resets.clear();
            self.ledger.portals = None;
            let is_unsettled = self.ledger.unknown.is_some() || self.ledger.asked.is_any();
            if !self.ledger.touched.is_empty() || is_unsettled {
                self.settle_transaction()?;
            }
            if self.server.is_private || !self.server.pins.is_empty() {
                // No next link would set right what a RESET has put back.
                self.rematch();
                self.server.session.committed();
            }
        } else if status == Status::InTransaction {
            // What had failed was undone by ROLLBACK TO.
            self.ledger.has_failed = false;
            self.rematch();
        } else {
            // ROLLBACK TO takes it back.
            self.ledger.local_resets.clear();
        }
        if self.client.session.settings().is_over_limit() {
            return Err(End::Fatal(ClientError::too_many_settings()));
        }
        Ok(())
    }

    /// The transaction is over: what it may have left on the server.
    fn settle_transaction(&mut self) -> Result<(), End> {
        let touched = std::mem::take(&mut self.ledger.touched);
        self.client.has_notified |= touched.has(Touches::NOTIFIES.or(OPAQUE));
        let opaque = touched.and(OPAQUE);
        if touched.has(Touches::CODE) {
            // It may have made functions.
            self.client.pool.database.functions.change();
        }
        let unknown = self.ledger.unknown.take();
        if let Some(reason) = unknown.or_else(|| reason_of(opaque)) {
            self.server.suspect = Some(reason);
        }
        let can_ask = self.in_frame == 0 && self.server.pending.is_done();
        if touched.has(ASKING) {
            self.ask_pins(touched);
        }
        self.ask_values(can_ask);
        if unknown == Some("listen") {
            let error = ClientError::listen_failed("the name of the channel was not understood");
            return Err(End::Fatal(error));
        }
        Ok(())
    }

    /// A row that answers a question of ours; it is here whole.
    pub(super) fn own_row(&mut self, header: Header) {
        match self.server.pending.own() {
            Some(Own::Pins) => self.pins_row(header),
            Some(Own::Values) => self.values_row(header),
            Some(Own::Functions) => self.functions_row(header),
            _ => {}
        }
    }

    /// A Query of our own has been answered.
    pub(super) fn own_answered(&mut self, own: Own) -> Result<(), End> {
        match own {
            Own::Session => self.params_applied()?,
            Own::Pins => self.pins_answered()?,
            Own::Values => self.values_answered(),
            Own::Functions => self.functions_answered(),
            Own::FailedBlock | Own::Sequences => {}
        }
        if self.server.pending.own().is_none() {
            self.show_link();
        }
        Ok(())
    }

    /// Inside a transaction a RESET has put back the server's value where the client's own start
    /// value belongs: set right at once, in the same transaction.
    fn rematch(&mut self) {
        let is_same = Arc::ptr_eq(
            self.client.session.settings(),
            self.server.session.settings(),
        ) && Arc::ptr_eq(&self.client.params, &self.server.params);
        if is_same && self.ledger.local_resets.is_empty() {
            return;
        }
        // What is on its way may set the same again.
        if self.in_frame > 0 || self.server.pending.awaits_client() {
            return;
        }
        let mut sql = self.local_starts();
        sql.push_str(&self.session_difference().unwrap_or_default());
        if !sql.is_empty() {
            self.send_own(sql.as_bytes(), Own::Session);
        }
    }

    /// SQL that makes the server's session the client's; `None` when it is already.
    pub(super) fn session_difference(&mut self) -> Option<String> {
        let shared = Arc::clone(&self.client.pool.shared);
        let wants = Arc::clone(self.client.session.settings());
        let params = shared
            .tracked
            .difference(&self.client.params, &self.server.params);
        let settings = if Arc::ptr_eq(&wants, self.server.session.settings()) {
            None
        } else {
            Settings::difference(&wants, self.server.session.settings())
        };
        self.server.session.adopt(wants);
        match (settings, params) {
            (None, None) => None,
            (settings, params) => Some(params.unwrap_or_default() + &settings.unwrap_or_default()),
        }
    }

    /// SQL that makes a server the client's whose settings are not known.
    pub(super) fn session_from_scratch(&mut self) -> String {
        let shared = Arc::clone(&self.client.pool.shared);
        let wants = Arc::clone(self.client.session.settings());
        let params = shared
            .tracked
            .difference(&self.client.params, &self.server.start_params);
        let mut sql = String::from(FROM_SCRATCH);
        if std::mem::take(&mut self.server.may_hold) {
            sql.push_str(RELEASE);
        }
        sql.push_str(&params.unwrap_or_default());
        sql.push_str(&Settings::whole(&wants));
        self.server.session.adopt(wants);
        self.server.session.committed();
        sql
    }
}

fn reason_of(opaque: Touches) -> Option<&'static str> {
    if opaque.has(Touches::CODE) {
        Some("code")
    } else if opaque.has(Touches::FUNCTION) {
        Some("function")
    } else {
        None
    }
}
