//! Our names of prepared statements in PostgreSQL's errors: the client reads its own.
//!
//! Cold: looks at errors only.

use std::ops::Range;

use super::Link;
use super::pins::OPAQUE;
use crate::server::pending::Answering;
use crate::session::prepared::{SERVER_PREFIX, Unnamed};
use crate::sql::{NameUse, Usage};
use crate::wire::frame::{self, HEADER, Header};

/// Where our names stand in the text of a Query.
#[derive(Debug, Default)]
pub(super) struct Moved(Vec<(usize, isize)>);

impl Moved {
    /// A name of ours begins at `at` of the client's text, in front of those that are known, and is
    /// longer by so many bytes.
    pub(super) fn add(&mut self, at: usize, by: isize) {
        self.0.push((at, by));
    }

    /// Whether there are any.
    pub(super) fn is_any(&self) -> bool {
        !self.0.is_empty()
    }

    /// The Query is answered.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// A position in the text that the server has (from 1), in that of the client.
    fn position(&self, position: usize) -> usize {
        let names = self.0.iter().rev();
        names.fold(position, |position, (at, by)| {
            if position > at + 1 {
                position.saturating_add_signed(-by)
            } else {
                position
            }
        })
    }
}

/// The position in an error, as the client counts; `None`: a field that is something else.
pub(super) fn positioned(field: &[u8], own: impl Fn(usize) -> usize) -> Option<String> {
    let [b'P', digits @ .., 0] = field else {
        return None;
    };
    let position = std::str::from_utf8(digits).ok();
    let position = position.and_then(|digits| digits.parse().ok());
    Some(format!("P{}\0", own(position.unwrap_or(0))))
}

/// Stands in front of a name that the client has not prepared. The server may have one of that name:
/// what somebody's DO block or function has prepared.
const HIDDEN: &[u8] = b"00_";

/// Longest name, in bytes, that PostgreSQL takes as it is.
const LONGEST: usize = 63;

impl Link<'_> {
    /// What is sent in place of a name that the client has not prepared, so that it finds no
    /// statement; `None`: as it is, because code of its own may have prepared it just now.
    pub(super) fn hidden(&self, name: &[u8]) -> Option<Vec<u8>> {
        let is_its_own = self.is_own_server()
            || self.server.suspect.is_some()
            || self.ledger.touched.has(OPAQUE)
            || self.may_be_real(name);
        if is_its_own || !self.keeps_state {
            return None;
        }
        let hidden = [SERVER_PREFIX.as_bytes(), HIDDEN, name].concat();
        (hidden.len() <= LONGEST).then_some(hidden)
    }

    /// The same for a name in a text; PREPARE may take any.
    pub(super) fn hidden_place(&self, one: &NameUse) -> Option<(Range<usize>, Box<str>)> {
        if one.usage == Usage::Prepare {
            return None;
        }
        let hidden = String::from_utf8(self.hidden(&one.name)?).ok()?;
        Some((one.at.clone(), hidden.into()))
    }

    /// Puts the position in an error or notice about a Query, which is here whole, where the client
    /// has it; its header afterwards.
    pub(super) fn own_positions(&mut self, header: Header) -> Header {
        let is_query = self.server.pending.answering() == Answering::Query;
        let frame = self.client.outbound.unparsed().get(..header.total);
        let Some(frame) = frame.filter(|_| is_query && self.moved.is_any()) else {
            return header;
        };
        let mut body = Vec::with_capacity(header.total);
        for field in frame[HEADER..].split_inclusive(|byte| *byte == 0) {
            match positioned(field, |position| self.moved.position(position)) {
                Some(field) => body.extend_from_slice(field.as_bytes()),
                None => body.extend_from_slice(field),
            }
        }
        self.replace_reply(header, &body)
    }

    /// Puts the client's names in place of ours in an ErrorResponse that is here whole; its header
    /// afterwards.
    pub(super) fn own_names(&mut self, header: Header) -> Header {
        let Some(frame) = self.client.outbound.unparsed().get(..header.total) else {
            return header;
        };
        if !has_prefix(frame) {
            return header;
        }
        let body = self.renamed(&frame[HEADER..]);
        self.replace_reply(header, &body)
    }

    /// Puts another body into a reply that is here whole; its header afterwards.
    pub(super) fn replace_reply(&mut self, header: Header, body: &[u8]) -> Header {
        let mut whole = Vec::with_capacity(HEADER + body.len());
        frame::put(&mut whole, header.tag, body);
        self.client.outbound.splice(0..header.total, &whole);
        Header {
            tag: header.tag,
            total: whole.len(),
        }
    }

    fn renamed(&self, text: &[u8]) -> Vec<u8> {
        let prefix = SERVER_PREFIX.as_bytes();
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = memchr::memmem::find(rest, prefix) {
            let (before, found) = rest.split_at(at);
            let (number, after) = number_at(&found[prefix.len()..]);
            out.extend_from_slice(before);
            if let Some(after) = found[prefix.len()..].strip_prefix(HIDDEN) {
                rest = after;
                continue;
            }
            match self.client_name(number) {
                Some(name) => out.extend_from_slice(name),
                None => out.extend_from_slice(&found[..found.len() - after.len()]),
            }
            rest = after;
        }
        out.extend_from_slice(rest);
        out
    }

    /// What the client calls a statement.
    fn client_name(&self, id: u64) -> Option<&[u8]> {
        if let Unnamed::Kept(statement) = &self.client.unnamed_statement
            && statement.id == id
        {
            return Some(b"");
        }
        self.client.statements.as_ref()?.name_of(id)
    }
}

fn has_prefix(text: &[u8]) -> bool {
    memchr::memmem::find(text, SERVER_PREFIX.as_bytes()).is_some()
}

/// The number that a text begins with, and what stands behind it.
fn number_at(text: &[u8]) -> (u64, &[u8]) {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(digits);
    let value = |number: &[u8]| std::str::from_utf8(number).ok()?.parse().ok();
    (value(number).unwrap_or(0), rest)
}
