//! HOT. When a request of the client waits until the server has answered earlier ones.
//!
//! Owns: why and until when. Three reasons: too much is outstanding; a command that may drop every
//! prepared statement is unanswered and the request names a statement; Parses put in front of the
//! client's messages have filled the buffer. A held request stays unparsed; reading goes on until
//! its buffer is full.
//! Must never hold without the server being about to answer: where it may keep its answers until
//! Sync, a Flush is put in, and while it reads COPY data nothing is held.

use super::Link;
use crate::net::buf::LARGE;
use crate::server::pending::Own;
use crate::session::prepared::Statement;
use crate::wire::frame::{HEADER, Header};
use crate::wire::frontend::{self, tag};

/// Requests that may be outstanding on one server. A pipeline is this deep without a pause; the
/// queue of one server then has about 24 kB.
const MAX_OUTSTANDING: usize = 1024;
/// How few must be left before the client is read on: one Flush for many requests.
const RESUME_AT: u32 = MAX_OUTSTANDING as u32 / 2;

/// What is held, and why.
#[derive(Debug, Default)]
pub(super) struct Hold {
    /// The first unparsed message waits: it is to be looked at again after each step.
    pub is_held: bool,
    /// Until at most so many requests are outstanding.
    until: Option<u32>,
    /// Until every request is answered: the message is about names of prepared statements.
    pub waits_for_all: bool,
    /// A command that may drop all prepared statements is outstanding.
    may_drop: bool,
    /// Nothing of the client's goes out before its session has been set.
    pub for_session: bool,
    /// The server is asked what code has left: that is not for the client's next transaction, which
    /// gets a server anew.
    pub for_question: bool,
    /// The client's next message waits until the server has told a statement's columns.
    pub for_columns: bool,
    /// A statement whose columns have turned out to be others.
    pub changed: Option<u64>,
    /// The unnamed statement is one.
    pub unnamed_may_drop: bool,
}

impl Link<'_> {
    /// HOT. Whether a message must wait for replies.
    #[inline]
    pub(super) fn must_wait(&mut self, header: Header) -> bool {
        if self.server.pending.is_empty() {
            self.hold.for_session = false;
            self.hold.for_question = false;
            self.hold.for_columns = false;
            self.hold.may_drop = false;
            self.hold.until = None;
            return false;
        }
        self.is_too_early(header)
    }

    fn is_too_early(&mut self, header: Header) -> bool {
        let pending = &self.server.pending;
        if pending.in_copy() {
            return false;
        }
        let outstanding = pending.len();
        if self
            .hold
            .until
            .is_none_or(|until| outstanding <= until as usize)
        {
            let own = self.server.pending.own();
            self.hold.for_question |= matches!(own, Some(Own::Pins | Own::Values | Own::Functions));
            self.hold.until = self.reason_to_wait(header, outstanding);
            if self.hold.until.is_none() {
                return false;
            }
            // What we answer ourselves, no Flush will bring.
            self.answer_synthetics();
            if self.server.pending.is_empty() {
                self.hold.until = None;
                return false;
            }
            if self.server.pending.is_unsynced() {
                self.client.inbound.insert_parsed(&frontend::FLUSH);
            }
        }
        self.hold.is_held = true;
        true
    }

    /// How few requests must be outstanding before the message may go, when that is not so now.
    fn reason_to_wait(&self, header: Header, outstanding: usize) -> Option<u32> {
        let names = self.asked.as_ref().is_some_and(|asked| asked.is_sent)
            || (self.hold.may_drop && self.may_name_statement(header));
        if self.hold.for_question
            || self.hold.for_session
            || self.hold.for_columns
            || (names && header.tag != tag::SYNC)
        {
            Some(0)
        } else if outstanding >= MAX_OUTSTANDING {
            Some(RESUME_AT)
        } else {
            None
        }
    }

    /// Whether a message may name a prepared statement; `true` while that cannot be seen.
    fn may_name_statement(&self, header: Header) -> bool {
        let unparsed = self.client.inbound.unparsed();
        // The unnamed one may be kept under a name of ours.
        let unnamed_counts = self.keeps_unnamed;
        match header.tag {
            tag::PARSE => unnamed_counts || unparsed.get(HEADER) != Some(&0),
            tag::BIND => match frontend::bind_statement(unparsed, header.total) {
                Ok(Some(name)) => unnamed_counts || !name.is_empty(),
                _ => true,
            },
            tag::DESCRIBE | tag::CLOSE => {
                let is_named = unnamed_counts || unparsed.get(HEADER + 1) != Some(&0);
                unparsed.get(HEADER) != Some(&b'P') && is_named
            }
            _ => false,
        }
    }

    /// HOT. A simple query is about to be sent.
    #[inline]
    pub(super) fn note_query(&mut self, header: Header) {
        if self.max_prepared > 0 && !self.hold.may_drop {
            let unparsed = self.client.inbound.unparsed();
            self.hold.may_drop = match unparsed.get(HEADER..header.total) {
                Some(body) => {
                    frontend::may_drop_statements(body.strip_suffix(b"\0").unwrap_or(body))
                }
                None => true,
            };
        }
    }

    /// A Parse of the unnamed statement is about to be sent.
    pub(super) fn note_unnamed(&mut self, header: Header) {
        let unparsed = self.client.inbound.unparsed();
        let seen = &unparsed[..unparsed.len().min(header.total)];
        let text = seen.get(HEADER + 1..).unwrap_or_default();
        let text = text.split(|byte| *byte == 0).next().unwrap_or(text);
        self.hold.unnamed_may_drop = frontend::begins_with_drop(text);
    }

    /// A Bind is about to be sent: what it prepares may be executed.
    pub(super) fn note_bind(&mut self, statement: Option<&Statement>) {
        self.hold.may_drop |= match statement {
            Some(statement) => statement.may_drop,
            None => self.hold.unnamed_may_drop,
        };
    }

    /// Whether one more Parse may be put in front of the client's next message.
    pub(super) fn has_room_for_parse(&mut self) -> bool {
        let is_full = self.client.inbound.unsent().len() > LARGE;
        self.hold.is_held |= is_full;
        !is_full
    }
}
