//! The normalised text of a statement, for people: `$n` for constants, or redacted constants.
//!
//! Owns: spacing, quoting and numbering. Cold: made once for a fingerprint, or for a slow
//! statement. Two statements have the same text exactly if they have the same fingerprint, but for
//! `$1` that stood in the source and for bodies of code, which are hashed and not shown.

use super::bytes::{Byte, class, continues_name};
use super::sink::{Constant, Sink};

/// A text in the making.
#[derive(Debug)]
pub struct Text {
    buffer: Vec<u8>,
    /// The number of the next constant; None: constants are redacted.
    next: Option<u32>,
    /// Nothing may stand between the last token and the next.
    is_tight: bool,
    /// The last token was a name that is no keyword: `(` behind it opens arguments.
    is_callable: bool,
    /// `insert into t (`: the bracket behind a table's name opens columns.
    after_into: bool,
}

/// Where a text can go back to.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    length: usize,
    next: Option<u32>,
    is_tight: bool,
}

/// Keywords that keep their distance from the bracket behind them.
const SPACED: &[&str] = &[
    "all",
    "and",
    "any",
    "as",
    "between",
    "by",
    "case",
    "check",
    "conflict",
    "cube",
    "distinct",
    "else",
    "except",
    "exists",
    "filter",
    "from",
    "group",
    "having",
    "ilike",
    "in",
    "intersect",
    "into",
    "is",
    "join",
    "key",
    "lateral",
    "like",
    "limit",
    "materialized",
    "not",
    "offset",
    "on",
    "or",
    "order",
    "over",
    "partition",
    "returning",
    "rollup",
    "select",
    "set",
    "sets",
    "similar",
    "some",
    "then",
    "to",
    "union",
    "unique",
    "using",
    "values",
    "when",
    "where",
    "with",
    "within",
];

impl Text {
    /// A text whose constants are `$n`, counted from `first`.
    pub fn numbered(first: u32) -> Self {
        Self::new(Some(first))
    }

    /// A text whose constants are `'?'`, `0` and `null`: SQL that log analysers understand.
    pub fn redacted() -> Self {
        Self::new(None)
    }

    fn new(next: Option<u32>) -> Self {
        Self {
            buffer: Vec::new(),
            next,
            is_tight: true,
            is_callable: false,
            after_into: false,
        }
    }

    /// The text; bytes that are not UTF-8 are replaced.
    pub fn into_string(self) -> String {
        match String::from_utf8(self.buffer) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }
    }

    fn lead(&mut self) {
        if !self.is_tight {
            self.buffer.push(b' ');
        }
        self.is_tight = false;
        self.is_callable = false;
    }

    fn push(&mut self, bytes: &[u8]) {
        self.lead();
        self.buffer.extend_from_slice(bytes);
    }

    fn quoted(&mut self, content: &[u8]) {
        self.buffer.push(b'"');
        self.buffer.extend_from_slice(content);
        self.buffer.push(b'"');
    }
}

/// Whether a quoted name needs no quotes: it would fold to itself.
fn folds_to_itself(content: &[u8]) -> bool {
    content.first().is_some_and(|b| class(*b) == Byte::Name)
        && content
            .iter()
            .all(|b| continues_name(*b) && !b.is_ascii_uppercase())
}

impl Sink for Text {
    type Mark = Mark;

    fn name(&mut self, content: &[u8], is_quoted: bool) {
        let after_dot = self.buffer.last() == Some(&b'.');
        let after_into = self.buffer.ends_with(b"into") || (self.after_into && after_dot);
        self.lead();
        let is_plain = self.next.is_some() && folds_to_itself(content);
        if is_quoted && !is_plain {
            self.quoted(content);
            self.is_callable = true;
        } else {
            let from = self.buffer.len();
            self.buffer
                .extend(content.iter().map(u8::to_ascii_lowercase));
            let word = self.buffer.get(from..).unwrap_or_default();
            let word = std::str::from_utf8(word).unwrap_or_default();
            self.is_callable = SPACED.binary_search(&word).is_err();
        }
        self.after_into = after_into;
    }

    fn operator(&mut self, operator: &[u8]) {
        if operator == b"::" {
            self.is_tight = true;
            self.push(operator);
            self.is_tight = true;
        } else {
            self.push(operator);
        }
    }

    fn byte(&mut self, byte: u8) {
        match byte {
            b',' | b')' | b']' => self.is_tight = true,
            b'.' if !self.buffer.is_empty() => self.is_tight = true,
            b'[' if !self.buffer.ends_with(b",") => self.is_tight = true,
            b'(' if self.is_callable && !self.after_into => self.is_tight = true,
            _ => {}
        }
        self.push(&[byte]);
        self.is_tight = matches!(byte, b'(' | b'[' | b'.');
        if byte != b'.' {
            self.after_into = false;
        }
    }

    fn constant(&mut self, constant: Constant) {
        self.lead();
        match (&mut self.next, constant) {
            (Some(next), _) => {
                self.buffer.extend_from_slice(format!("${next}").as_bytes());
                *next = next.saturating_add(1);
            }
            (None, Constant::Text) => self.buffer.extend_from_slice(b"'?'"),
            (None, Constant::Number) => self.buffer.push(b'0'),
            (None, Constant::Null) => self.buffer.extend_from_slice(b"null"),
            (None, Constant::Truth) => self.buffer.extend_from_slice(b"true"),
            (None, Constant::Name) => self.quoted(b"?"),
        }
    }

    fn list(&mut self, first: Constant) {
        self.constant(first);
        self.repeated();
    }

    fn verbatim(&mut self, text: &[u8]) {
        self.push(text);
    }

    fn repeated(&mut self) {
        self.push(b"/*, ... */");
    }

    fn truncated(&mut self) {
        self.push(b"/* truncated */");
    }

    fn mark(&self) -> Mark {
        Mark {
            length: self.buffer.len(),
            next: self.next,
            is_tight: self.is_tight,
        }
    }

    fn rollback(&mut self, mark: Mark) {
        self.buffer.truncate(mark.length);
        self.next = mark.next;
        self.is_tight = mark.is_tight;
        self.is_callable = false;
    }
}
