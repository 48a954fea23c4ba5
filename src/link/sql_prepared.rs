//! PREPARE, EXECUTE and DEALLOCATE as SQL: the client's names on one side, ours on the server.
//!
//! The names are those of the extended protocol (PostgreSQL documentation, PREPARE): what one
//! prepares the other executes. A single statement goes out with our name in place of the client's;
//! what the server lacks is prepared in front of it, in the same write. A text of several statements
//! that prepares or deallocates cannot be followed: its names are made real, and the server is the
//! client's own from then on.
//!
//! Owns: the way from a text to its names, and what its completion means for them. Such a text is
//! sent when everything before it is answered, and what comes behind it waits for its answer, so
//! that names mean what they mean to PostgreSQL. In a failed transaction nothing is touched:
//! PostgreSQL says what it always says.

use std::ops::Range;
use std::sync::Arc;

use super::names::positioned;
use super::{End, Link};
use crate::error::ClientError;
use crate::net::buf::LARGE;
use crate::server::pending::{Answering, Named, Request};
use crate::session::prepared::{Body, SERVER_PREFIX, SqlUse, Statement};
use crate::sql::{self, NameUse, NameUses, Usage};
use crate::stats::Pins;
use crate::stats::clock::now_us;
use crate::wire::backend::Status;
use crate::wire::frame::{self, HEADER, Header};
use crate::wire::frontend;

/// A name of ours that no statement has.
const GONE: &str = "PGWEIR_0";

/// A statement on its way that names a prepared one.
#[derive(Debug)]
pub(super) struct Asked {
    one: SqlUse,
    /// The portal that will run it; `None` is a Query.
    portal: Option<Box<[u8]>>,
    /// It was sent: what names a statement waits for its answer.
    pub is_sent: bool,
    /// PREPARE: the server has been told to make room for it.
    is_ready: bool,
}

/// Places in a text where our names go.
pub(super) type Places = Vec<(Range<usize>, Box<str>)>;

impl Link<'_> {
    /// HOT. A Query: `None` when it must wait. What it says of prepared statements is made true on
    /// the server; where our names go into it.
    #[inline]
    pub(super) fn names_in_query(&mut self, header: Header) -> Result<Option<Places>, End> {
        if !self.keeps_state || self.server.pending.is_skipping() {
            return Ok(Some(Places::new()));
        }
        let unparsed = self.client.inbound.unparsed();
        let seen = &unparsed[HEADER..unparsed.len().min(header.total)];
        if !sql::may_name_prepared(seen) {
            return Ok(Some(Places::new()));
        }
        self.take_names(header)
    }

    #[cold]
    fn take_names(&mut self, header: Header) -> Result<Option<Places>, End> {
        if header.total > LARGE {
            // Too long to be changed.
            self.own_server()?;
            return Ok(Some(Places::new()));
        }
        if !self.has_whole(header) || !self.is_settled() {
            return Ok(None);
        }
        let text = &self.client.inbound.unparsed()[HEADER..header.total];
        let found = sql::prepared_names(text, self.client.params.rules());
        if found.is_empty() || self.is_aborted(&found)? {
            return Ok(Some(Places::new()));
        }
        let only_executes = found.uses.iter().all(|one| one.usage == Usage::Execute);
        if found.is_unclear || (found.statements > 1 && !only_executes) {
            return self.make_real(&found);
        }
        match found.uses.as_slice() {
            [one] if found.statements == 1 => self.take_one(header, one),
            uses => Ok(self.take_executes(uses)),
        }
    }

    /// Whether every request before this one is answered; where they are not it is held, and they
    /// are asked for.
    pub(super) fn is_settled(&mut self) -> bool {
        self.answer_synthetics();
        let pending = &self.server.pending;
        let only_begins = pending.begins() && pending.len() == 1;
        if pending.is_empty() || pending.in_copy() || only_begins {
            self.hold.waits_for_all = false;
            return true;
        }
        if !self.hold.waits_for_all && pending.is_unsynced() {
            self.client.inbound.insert_parsed(&frontend::FLUSH);
        }
        self.hold.waits_for_all = true;
        self.hold.is_held = true;
        false
    }

    /// A Query that is one statement.
    fn take_one(&mut self, header: Header, one: &NameUse) -> Result<Option<Places>, End> {
        let text = self.client.inbound.unparsed().get(HEADER..);
        let text: Box<[u8]> = text.unwrap_or_default().into();
        let Some(mut meant) = self.meant(&text, one) else {
            self.server.tracker.named_body(&one.name, None);
            self.not_ours(&one.name)?;
            return Ok(Some(self.hidden_place(one).into_iter().collect()));
        };
        let is_execute = meant.usage == Usage::Execute;
        let is_first = is_execute && self.is_untold(&one.name);
        let mut name = meant.statement.server_name.clone();
        if meant.usage == Usage::Deallocate && !self.server.statements.touch(meant.statement.id) {
            name = GONE.into();
            meant.moved.1 = longer_by(GONE, one);
            self.inject_gone();
        } else if !self.make_ready(&meant) {
            return Ok(None);
        }
        if is_first {
            self.arm(header, &meant.statement, Some(one.name.clone()));
        }
        self.is_fronted = !self.server.pending.is_empty();
        self.tell_body(one, &meant.statement);
        self.asked = Some(Box::new(Asked {
            one: meant,
            portal: None,
            is_sent: true,
            is_ready: true,
        }));
        Ok(Some(vec![(one.at.clone(), name)]))
    }

    /// What a statement of `text` is about; `None`: a name that the client has not prepared.
    pub(super) fn meant(&self, text: &[u8], one: &NameUse) -> Option<SqlUse> {
        let known = self.client.statement(&one.name);
        let is_taken = known.is_some();
        let statement = match (one.usage, known) {
            (_, Some(statement)) => statement,
            (Usage::Prepare, None) if !self.may_be_real(&one.name) => {
                let rest = text.get(one.at.end..one.end).unwrap_or_default();
                let body_at = one.body_at.saturating_sub(one.at.end);
                let context = self.parse_context();
                let dictionary = &self.client.pool.shared.dictionary;
                dictionary.intern_sql(rest, body_at, context, one.body)
            }
            (_, None) => return None,
        };
        let by = longer_by(&statement.server_name, one);
        Some(SqlUse {
            moved: (one.at.start, by),
            usage: one.usage,
            name: one.name.clone(),
            statement,
            is_taken,
        })
    }

    /// A name that the client has not prepared goes to the server as it is, unless it is one of
    /// ours.
    pub(super) fn not_ours(&self, name: &[u8]) -> Result<(), End> {
        if name.starts_with(SERVER_PREFIX.as_bytes()) {
            return Err(End::Fatal(ClientError::statement_unknown()));
        }
        Ok(())
    }

    /// An empty statement for a DEALLOCATE of one that the server has not got, and that may not be
    /// possible there any more.
    fn inject_gone(&mut self) {
        let mut out = Vec::new();
        frontend::close_statement(&mut out, GONE.as_bytes());
        frontend::parse_named(&mut out, GONE.as_bytes(), b"\0\0\0");
        self.client.inbound.insert_parsed(&out);
        self.server.pending.push_extended(Request::InjectedForget);
        self.server.pending.push_extended(Request::InjectedUnnamed);
    }

    /// What must be on the server before the statement; false when that must go out first.
    pub(super) fn make_ready(&mut self, one: &SqlUse) -> bool {
        let statement = &one.statement;
        if one.usage != Usage::Prepare || one.is_taken {
            return self.ensure_prepared(statement);
        }
        if self.server.statements.touch(statement.id) {
            // Of another client; PREPARE makes it anew.
            let mut close = Vec::new();
            frontend::close_statement(&mut close, statement.server_name.as_bytes());
            self.client.inbound.insert_parsed(&close);
            let closed = Request::InjectedClose(Arc::clone(statement));
            self.server.pending.push_extended(closed);
        } else {
            self.make_room_for(statement);
        }
        true
    }

    /// An EXECUTE is booked as its body, whichever server it runs on.
    fn tell_body(&mut self, one: &NameUse, statement: &Statement) {
        if one.usage == Usage::Execute {
            let what = statement.what;
            let body = Some((what.fingerprint, what.class));
            self.server.tracker.named_body(&one.name, body);
            self.note_executed(statement);
        }
    }

    /// Several EXECUTEs.
    fn take_executes(&mut self, uses: &[NameUse]) -> Option<Places> {
        let mut places = Places::new();
        for one in uses {
            let Some(statement) = self.client.statement(&one.name) else {
                self.server.tracker.named_body(&one.name, None);
                places.extend(self.hidden_place(one));
                continue;
            };
            if !self.ensure_prepared(&statement) {
                return None;
            }
            self.tell_body(one, &statement);
            places.push((one.at.clone(), statement.server_name.clone()));
        }
        self.is_fronted = !self.server.pending.is_empty();
        Some(places)
    }

    /// Every name the text speaks of is prepared under the client's own name; the server is the
    /// client's own.
    fn make_real(&mut self, found: &NameUses) -> Result<Option<Places>, End> {
        if !self.has_room_for_parse() {
            return Ok(None);
        }
        let names: Vec<Box<[u8]>> = match found.is_unclear {
            true => self.client.statement_names(),
            false => found.uses.iter().map(|one| one.name.clone()).collect(),
        };
        self.take_as_they_are(found)?;
        for name in names {
            let Some(statement) = self.client.drop_statement(&name) else {
                continue;
            };
            let what = statement.what;
            let body = Some((what.fingerprint, what.class));
            self.server.tracker.named_body(&name, body);
            self.inject(&name, &statement, None);
        }
        self.is_fronted = !self.server.pending.is_empty();
        Ok(Some(Places::new()))
    }

    /// Whether the transaction was aborted when the server last said so: nothing can be prepared in
    /// front of a text then. What it takes behind a ROLLBACK is known as it is.
    pub(super) fn is_aborted(&mut self, found: &NameUses) -> Result<bool, End> {
        if self.server.status != Status::Failed {
            return Ok(false);
        }
        let may_run = found.statements > 1 || self.server.pending.is_unsynced();
        let mut uses = found.uses.iter();
        if may_run && (found.is_unclear || uses.any(|one| one.usage == Usage::Prepare)) {
            self.take_as_they_are(found)?;
        }
        Ok(true)
    }

    /// What a text names will be known by the client's names: the server is the client's own.
    fn take_as_they_are(&mut self, found: &NameUses) -> Result<(), End> {
        self.keep_server()?;
        self.own_names.begin();
        if found.is_unclear {
            self.own_names.add_any();
        }
        for one in &found.uses {
            self.own_names.add(&one.name);
        }
        Ok(())
    }

    /// The server is the client's own: it may hold any name that only this client knows.
    pub(super) fn own_server(&mut self) -> Result<(), End> {
        self.own_names.add_any();
        self.keep_server()
    }

    fn keep_server(&mut self) -> Result<(), End> {
        if !self.keeps_state {
            self.server.is_private = true;
            return Ok(());
        }
        self.server.pins = self.server.pins.or(Pins::PREPARED);
        if self.server.show_pins(&self.client.slot, now_us()) {
            Ok(())
        } else {
            Err(End::Fatal(ClientError::too_many_pins()))
        }
    }

    /// Whether the server may hold names that only this client knows.
    pub(super) fn is_own_server(&self) -> bool {
        self.server.is_private || self.server.pins.has(Pins::PREPARED)
    }

    /// Prepares a statement under a name, by messages of ours.
    pub(super) fn inject(&mut self, name: &[u8], statement: &Statement, named: Option<Box<Named>>) {
        let mut out = Vec::with_capacity(statement.text().len() + 64);
        let request = match &statement.body {
            Body::Parse(body) => {
                frontend::parse_named(&mut out, name, body);
                named.map_or(Request::InjectedUnnamed, Request::InjectedParse)
            }
            Body::Sql { rest, .. } => {
                let mut text = b"PREPARE ".to_vec();
                push_quoted(&mut text, name);
                text.extend_from_slice(rest);
                frontend::parse_bind_execute(&mut out, &text);
                self.lose_unnamed();
                Request::InjectedPrepare(named)
            }
        };
        self.client.inbound.insert_parsed(&out);
        self.server.pending.push_extended(request);
    }

    /// Puts our names into the text of a Query that was read; the header afterwards.
    pub(super) fn splice_names(&mut self, header: Header, places: Places) -> Header {
        if places.is_empty() {
            return header;
        }
        let mut total = header.total;
        for (at, name) in places.iter().rev() {
            let quoted = quoted(name.as_bytes());
            let by = quoted.len() as isize - at.len() as isize;
            self.moved.add(at.start, by);
            let range = HEADER + at.start..HEADER + at.end;
            self.client.inbound.splice(range, &quoted);
            total = total.saturating_add_signed(by);
        }
        let length = frame::length_field(total - HEADER);
        self.client.inbound.splice(1..HEADER, &length);
        Header {
            tag: header.tag,
            total,
        }
    }

    /// A Bind of a statement that names a prepared one was sent.
    pub(super) fn ask_by_portal(&mut self, portal: &[u8], one: SqlUse) {
        self.forget_asked();
        self.asked = Some(Box::new(Asked {
            one,
            portal: Some(portal.into()),
            is_sent: false,
            is_ready: true,
        }));
    }

    /// A Parse of a text that names a prepared statement is about to be sent.
    pub(super) fn ask_by_parse(&mut self, one: SqlUse) {
        self.forget_asked();
        self.asked = Some(Box::new(Asked {
            one,
            portal: None,
            is_sent: false,
            is_ready: false,
        }));
    }

    /// HOT. What was to be run has not been.
    #[inline]
    pub(super) fn forget_asked(&mut self) {
        if let Some(asked) = self.asked.take()
            && asked.is_ready
            && asked.one.usage == Usage::Prepare
            && !asked.one.is_taken
        {
            self.server.statements.remove(asked.one.statement.id);
        }
    }

    /// HOT. An Execute is about to be sent.
    #[inline]
    pub(super) fn note_execute(&mut self, header: Header) {
        let Some(asked) = &mut self.asked else { return };
        let unparsed = self.client.inbound.unparsed();
        let seen = &unparsed[HEADER..unparsed.len().min(header.total)];
        let portal = seen.split(|byte| *byte == 0).next();
        asked.is_sent |= asked.portal.as_deref() == portal;
    }

    /// HOT. CommandComplete: names are taken and given back now.
    #[inline]
    pub(super) fn note_completed(&mut self, header: Header) {
        if self.asked.is_some() {
            self.names_settled(header);
        }
    }

    #[cold]
    fn names_settled(&mut self, header: Header) {
        let is_answer = matches!(
            self.server.pending.answering(),
            Answering::Query | Answering::Execute
        );
        let asked = self.asked.take_if(|asked| is_answer && asked.is_sent);
        let Some(asked) = asked else { return };
        let command = &self.client.outbound.unparsed()[HEADER..header.total];
        let one = asked.one;
        match one.usage {
            Usage::Prepare if command == b"PREPARE\0" && !one.is_taken => {
                self.client.keep_statement(&one.name, one.statement);
            }
            Usage::Deallocate if command == b"DEALLOCATE\0" => {
                self.server.statements.remove(one.statement.id);
                self.client.drop_statement(&one.name);
                let count = self.server.statements.len();
                self.server.slot.set_prepared(count);
            }
            _ => {}
        }
    }

    /// ErrorResponse, whole, to a statement that names a prepared one: as the client would have got
    /// it; the header afterwards.
    pub(super) fn names_refused(&mut self, header: Header) -> Header {
        let Some(asked) = self.asked.take() else {
            return self.own_positions(header);
        };
        let one = &asked.one;
        if asked.is_ready && one.usage == Usage::Prepare && !one.is_taken {
            self.server.statements.remove(one.statement.id);
        }
        let Some(frame) = self.client.outbound.unparsed().get(..header.total) else {
            return header;
        };
        let mut body = Vec::with_capacity(header.total);
        for field in frame[HEADER..].split_inclusive(|byte| *byte == 0) {
            match positioned(field, |position| one.position(position)) {
                Some(field) => body.extend_from_slice(field.as_bytes()),
                None => replace(&mut body, field, &one.statement.server_name, &one.name),
            }
        }
        self.replace_reply(header, &body)
    }

    /// An error hit what we had put in front of a Query: PostgreSQL skips the Query, and says nothing
    /// more until a Sync.
    pub(super) fn release_query(&mut self) {
        let is_fronted = std::mem::take(&mut self.is_fronted);
        if is_fronted && self.server.pending.is_skipping() {
            self.client.inbound.insert_parsed(&frontend::SYNC);
            self.server.pending.push_final(Request::Sync);
        }
    }
}

/// By how many bytes our name, in quotes, is longer than the client's.
fn longer_by(ours: &str, one: &NameUse) -> isize {
    ours.len() as isize + 2 - one.at.len() as isize
}

/// A name in quotes, as SQL has it.
pub(super) fn quoted(name: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(name.len() + 2);
    push_quoted(&mut text, name);
    text
}

fn push_quoted(text: &mut Vec<u8>, name: &[u8]) {
    text.push(b'"');
    for byte in name {
        if *byte == b'"' {
            text.push(b'"');
        }
        text.push(*byte);
    }
    text.push(b'"');
}

/// Appends `field` with one name in place of another, where that stands in quotes.
fn replace(out: &mut Vec<u8>, field: &[u8], ours: &str, own: &[u8]) {
    let ours = ours.as_bytes();
    let mut rest = field;
    while let Some(at) = memchr::memmem::find(rest, ours) {
        let after = rest.get(at + ours.len()..).unwrap_or_default();
        out.extend_from_slice(rest.get(..at).unwrap_or_default());
        // A longer number is another name.
        let is_it = !after.first().is_some_and(u8::is_ascii_digit);
        out.extend_from_slice(if is_it { own } else { ours });
        rest = after;
    }
    out.extend_from_slice(rest);
}
