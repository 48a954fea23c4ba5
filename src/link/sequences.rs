//! `currval()` and `lastval()` behind the transaction that advanced the sequence.
//!
//! Owns: when such a statement may reach the server, what is sent in its place when it may not, and
//! when the client keeps its server for it. INVARIANT: PostgreSQL never answers with a value that
//! another client advanced, but for the first time that an application reads in the transaction in
//! which it has put in rows itself: from then on its servers are cleaned of others' values.

use super::{End, Link};
use crate::error::ClientError;
use crate::server::pending::{Own, Request};
use crate::session::sequences::{self, Memory, Owner, Reliance, Seen};
use crate::sql::Summary;
use crate::stats::Pins;
use crate::stats::clock::now_us;
use crate::wire::frame::{self, HEADER, Header};
use crate::wire::frontend;

/// What a link knows.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    /// The client has advanced one on this server since it got it.
    has_advanced: bool,
    /// The command that completed last was a DISCARD that covers sequences.
    is_discarded: bool,
    /// The Query that is about to be sent must not be.
    is_refused: bool,
}

impl Link<'_> {
    /// HOT. Takes other clients' values away from the server of a client that may ask for its own.
    #[inline]
    pub(super) fn match_sequences(&mut self) {
        if !self.server.sequences.is_nobody() && self.watch.is_on() {
            self.clean_sequences();
        }
    }

    fn clean_sequences(&mut self) {
        let (client, server) = self.numbers();
        let is_own = self.server.sequences.is(client) && self.client.sequences.is_at(server);
        if is_own || self.reliance().is_none() {
            return;
        }
        self.send_own(b"DISCARD SEQUENCES", Own::Sequences);
        self.server.sequences = Owner::NOBODY;
    }

    /// The server does not let go of the values.
    pub(super) fn sequences_kept(&mut self) {
        self.server.sequences = Owner::MIXED;
    }

    fn numbers(&self) -> (u64, u64) {
        (self.client.slot.id, self.server.slot.id)
    }

    fn reliance(&self) -> Option<Reliance> {
        let app = self.client.slot.activity.app();
        self.client.pool.sequence_readers.of(app)
    }

    /// HOT. Statements of a Query are about to be sent.
    #[inline]
    pub(super) fn note_sequences(&mut self, seen: Seen) {
        if seen != Seen::default() && self.watch.is_on() {
            self.sequences.is_refused |= self.refuses_sequences(seen);
        }
    }

    /// HOT. A Bind is about to be sent. One that may not is preceded by an error: PostgreSQL skips
    /// everything up to the Sync.
    #[inline]
    pub(super) fn note_bound_sequences(&mut self, what: Summary) {
        let mut seen = Seen::default();
        seen.add(what.class, what.touches);
        if seen != Seen::default() && self.refuses_sequences(seen) {
            self.server.unnamed = None;
            let mut out = Vec::new();
            frontend::parse_bind_execute(&mut out, refusal().as_bytes());
            self.client.inbound.insert_parsed(&out);
            // As it takes the unnamed statement's place.
            self.server.pending.push_extended(Request::InjectedForget);
        }
    }

    fn refuses_sequences(&mut self, seen: Seen) -> bool {
        let (client, server) = self.numbers();
        let readers = &self.client.pool.sequence_readers;
        let app = self.client.slot.activity.app();
        if seen.reads_earlier && !self.sequences.has_advanced {
            readers.note(app, Reliance::Across);
            let (memory, owner) = (self.client.sequences, self.server.sequences);
            let is_kept = self.server.pins.has(Pins::SEQUENCE);
            if !is_kept && !sequences::may_read(memory, owner, client, server) {
                return true;
            }
        } else if seen.reads_own || seen.reads_earlier {
            readers.note(app, Reliance::Within);
        }
        if seen.may_advance {
            let memory = &mut self.client.sequences;
            sequences::advance(memory, &mut self.server.sequences, client, server);
        }
        self.sequences.has_advanced |= seen.advances;
        false
    }

    /// HOT. What goes to the server for a Query: itself, or one that fails and says why. None of its
    /// statements is carried out then.
    #[inline]
    pub(super) fn refuse_query(&mut self, header: Header) -> Option<Header> {
        if !std::mem::take(&mut self.sequences.is_refused) {
            return None;
        }
        let mut text = refusal().into_bytes();
        text.push(0);
        self.client.inbound.splice(HEADER..header.total, &text);
        let total = HEADER + text.len();
        let length = frame::length_field(total - HEADER);
        self.client.inbound.splice(1..HEADER, &length);
        let tag = header.tag;
        Some(Header { tag, total })
    }

    /// HOT. A long Query is on its way already, but for its end.
    #[inline]
    pub(super) fn refuse_long_query(&mut self) -> Result<(), End> {
        if std::mem::take(&mut self.sequences.is_refused) {
            return Err(End::Fatal(ClientError::sequence_elsewhere()));
        }
        Ok(())
    }

    /// HOT. A command has completed.
    #[inline]
    pub(super) fn sequences_command(&mut self, header: Header) {
        if self.server.sequences.is_nobody() && self.client.sequences.is_none() {
            return;
        }
        let tag = &self.client.outbound.unparsed()[HEADER..header.total];
        self.sequences.is_discarded = matches!(tag, b"DISCARD ALL\0" | b"DISCARD SEQUENCES\0");
    }

    /// Something has failed: it may have advanced one before.
    pub(super) fn sequences_failed(&mut self) {
        self.sequences.is_discarded = false;
    }

    /// HOT. ReadyForQuery; `is_idle`: the transaction is over.
    #[inline]
    pub(super) fn settle_sequences(&mut self, is_idle: bool) -> Result<(), End> {
        if std::mem::take(&mut self.sequences.is_discarded) {
            self.sequences_discarded()?;
        }
        if is_idle && self.sequences.has_advanced {
            self.keep_for_sequences()?;
        }
        Ok(())
    }

    fn sequences_discarded(&mut self) -> Result<(), End> {
        // What is sent already may have advanced one behind it.
        if !self.server.pending.is_empty() || self.in_frame > 0 {
            return Ok(());
        }
        self.client.sequences = Memory::default();
        self.server.sequences = Owner::NOBODY;
        self.sequences.has_advanced = false;
        if !self.server.pins.has(Pins::SEQUENCE) {
            return Ok(());
        }
        self.server.pins = self.server.pins.without(Pins::SEQUENCE);
        self.pins_known()
    }

    /// A client of an application that asks later keeps its server.
    fn keep_for_sequences(&mut self) -> Result<(), End> {
        let is_own = self.server.sequences.is(self.client.slot.id);
        if !is_own
            || self.server.pins.has(Pins::SEQUENCE)
            || self.reliance() != Some(Reliance::Across)
        {
            return Ok(());
        }
        let before = self.server.pins;
        self.server.pins = before.or(Pins::SEQUENCE);
        if !self.server.show_pins(&self.client.slot, now_us()) {
            // Without the pin it loses nothing but the value, and is told so if it asks.
            self.server.pins = before;
            self.server.show_pins(&self.client.slot, now_us());
            return Ok(());
        }
        self.pins_known()
    }
}

/// SQL that fails with our words.
fn refusal() -> String {
    let error = ClientError::sequence_elsewhere();
    format!(
        "DO $pgweir$BEGIN RAISE EXCEPTION USING ERRCODE = '{}', MESSAGE = '{}'; END$pgweir$",
        error.sqlstate, error.text
    )
}
