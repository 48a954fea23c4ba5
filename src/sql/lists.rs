//! Lists of constants and rows of values: any length is one shape.
//!
//! Owns: rules 17 to 19 of insight.md 1.4, and what is forgotten at the cap (rule 33). The elements
//! of a list are looked at before anything is hashed, so a list that is no list of constants is
//! read as ordinary tokens.
// HOT

use super::Grouping;
use super::bytes::{Byte, class, class_at};
use super::elements::{Elements, elements};
use super::hash::{Hash, token};
use super::keyword::Word;
use super::lexer::Lexer;
use super::scan;
use super::sink::{Constant, Sink};

/// Rows inside rows beyond this are read as ordinary tokens.
const NESTING: usize = 4;

/// The rows that are being read, the outermost first.
#[derive(Clone, Copy)]
pub struct Rows<M> {
    open: [Option<Row<M>>; NESTING],
    length: usize,
}

#[derive(Clone, Copy)]
struct Row<M> {
    /// Brackets around the row.
    depth: u32,
    /// What was hashed before this row.
    outer: Hash,
    /// Where the text of this row begins, its comma included.
    mark: M,
    /// The hash of the row before, if there was one.
    last: Option<u64>,
    /// The marker for several rows was written.
    is_repeated: bool,
}

impl<M: Copy> Default for Rows<M> {
    fn default() -> Self {
        Self {
            open: [None; NESTING],
            length: 0,
        }
    }
}

impl<M: Copy> Rows<M> {
    fn top(&self) -> Option<Row<M>> {
        self.open
            .get(self.length.checked_sub(1)?)
            .copied()
            .flatten()
    }

    fn push(&mut self, row: Row<M>) -> bool {
        let Some(slot) = self.open.get_mut(self.length) else {
            return false;
        };
        *slot = Some(row);
        self.length += 1;
        true
    }

    fn pop(&mut self) -> Option<Row<M>> {
        let row = self.top();
        self.length = self.length.saturating_sub(1);
        row
    }
}

impl<S: Sink> Lexer<'_, S> {
    /// Whether lists of constants are one token: always by default, from 18 on when strict.
    fn squashes(&self) -> bool {
        !matches!(self.rules.grouping, Grouping::Strict(..18))
    }

    pub(super) fn open(&mut self) {
        if self.previous == Word::Values {
            self.begin_row();
        } else if self.previous.may_be_called() && self.at >= self.calls_from {
            self.called();
        }
        self.open_bracket();
    }

    fn open_bracket(&mut self) {
        self.depth = self.depth.saturating_add(1);
        self.queries &= !self.level();
        self.by &= !self.level();
        self.punctuation(b'(', Word::Open);
    }

    pub(super) fn close(&mut self) {
        if self.at == self.skip_close {
            self.at += 1;
            return;
        }
        self.queries &= !self.level() | 1;
        self.by &= !self.level() | u64::from(self.depth == 0);
        self.depth = self.depth.saturating_sub(1);
        self.punctuation(b')', Word::Close);
        if self.rows.length > 0 && self.rows.top().is_some_and(|row| row.depth == self.depth) {
            self.end_row();
        }
    }

    /// From here on a row is hashed by itself.
    fn begin_row(&mut self) {
        if self.is_strict() {
            return;
        }
        let row = Row {
            depth: self.depth,
            outer: self.hash,
            mark: self.out.mark(),
            last: None,
            is_repeated: false,
        };
        if self.rows.push(row) {
            self.hash = Hash::new();
        }
    }

    /// A row is complete: kept if it differs from the one before; then the next row, if any.
    fn end_row(&mut self) {
        let Some(mut row) = self.rows.pop() else {
            return;
        };
        let content = self.hash.finish();
        self.hash = row.outer;
        if row.last == Some(content) {
            self.out.rollback(row.mark);
            self.repeat(&mut row);
        } else {
            self.hash.nested(content);
            row.last = Some(content);
            row.is_repeated = false;
        }
        let comma = scan::skip_blank(self.text, self.at);
        let next = scan::skip_blank(self.text, comma.saturating_add(1));
        let has_next = class_at(self.text, comma) == Some(Byte::Comma)
            && class_at(self.text, next) == Some(Byte::Open);
        if has_next {
            row.outer = self.hash;
            row.mark = self.out.mark();
            self.rows.push(row);
            self.hash = Hash::new();
            self.out.byte(b',');
            self.at = next;
            self.open_bracket();
        } else if self.is_cut && next >= self.text.len() {
            // Whether more rows follow depends on where the cap fell.
            self.repeat(&mut row);
            self.at = self.text.len();
        }
    }

    fn repeat(&mut self, row: &mut Row<S::Mark>) {
        if !row.is_repeated {
            self.hash.byte(token::REPEATED);
            self.out.repeated();
            row.is_repeated = true;
        }
    }

    /// At the end of the statement: rows that were not closed. At the cap they are forgotten,
    /// since their length must not show; a broken statement keeps them.
    pub(super) fn end_rows(&mut self) {
        while let Some(mut row) = self.rows.pop() {
            let content = self.hash.finish();
            self.hash = row.outer;
            if self.is_cut {
                self.out.rollback(row.mark);
                if row.last.is_some() {
                    self.repeat(&mut row);
                }
            } else {
                self.hash.nested(content);
            }
        }
    }

    /// `IN` up to `end`: its list, if it is one of constants or of rows.
    pub(super) fn in_list(&mut self, end: usize) -> bool {
        let open = scan::skip_blank(self.text, end);
        if class_at(self.text, open) != Some(Byte::Open) {
            return false;
        }
        let first = scan::skip_blank(self.text, open + 1);
        match elements(self.text, first, b')', self.rules) {
            Elements::List {
                count: 1, close, ..
            } => {
                if self.previous == Word::Not {
                    return false;
                }
                self.hash.byte(b'=');
                self.out.operator(b"=");
                self.previous = Word::Operator;
                self.at = first;
                self.skip_close = close;
            }
            Elements::List { close, kind, .. } if self.squashes() => {
                self.put("in");
                self.squashed([b'(', b')'], kind);
                self.at = close + 1;
            }
            Elements::End if self.is_cut => {
                self.put("in");
                self.at = self.text.len();
            }
            Elements::Row if !self.is_strict() => {
                self.put("in");
                self.at = open;
                self.open_bracket();
                self.at = first;
                self.begin_row();
                self.open_bracket();
            }
            _ => return false,
        }
        true
    }

    fn squashed(&mut self, brackets: [u8; 2], kind: Constant) {
        self.hash.byte(brackets[0]);
        self.hash.byte(token::LIST);
        self.hash.byte(brackets[1]);
        self.out.byte(brackets[0]);
        self.out.list(kind);
        self.out.byte(brackets[1]);
        self.previous = Word::Close;
    }

    /// `ARRAY` up to `end`: its list, if it is one of constants.
    pub(super) fn array(&mut self, end: usize) -> bool {
        let open = scan::skip_blank(self.text, end);
        if class_at(self.text, open) != Some(Byte::OpenSquare) {
            return false;
        }
        match self.square_list(open) {
            None => false,
            Some((close, kind)) => {
                self.put("array");
                if let Some(kind) = kind {
                    self.squashed([b'[', b']'], kind);
                }
                self.at = close;
                true
            }
        }
    }

    /// The list that opens at `open`: behind it, and its kind; no kind if it was cut.
    fn square_list(&self, open: usize) -> Option<(usize, Option<Constant>)> {
        if !self.squashes() {
            return None;
        }
        let first = scan::skip_blank(self.text, open + 1);
        match elements(self.text, first, b']', self.rules) {
            Elements::List {
                count: 2..,
                close,
                kind,
            } => Some((close + 1, Some(kind))),
            Elements::End if self.is_cut => Some((self.text.len(), None)),
            _ => None,
        }
    }

    /// `[`: a subscript, or a list inside an array.
    pub(super) fn open_square(&mut self) {
        let is_inner = matches!(self.previous, Word::Open | Word::Comma);
        if is_inner && let Some((close, kind)) = self.square_list(self.at) {
            if let Some(kind) = kind {
                self.squashed([b'[', b']'], kind);
            }
            self.at = close;
        } else {
            self.punctuation(b'[', Word::Open);
        }
    }

    /// `EXTRACT(field FROM` in strict mode: the field is a constant there (rule 34).
    pub(super) fn extract(&mut self, end: usize) -> bool {
        let open = scan::skip_blank(self.text, end);
        let field = scan::skip_blank(self.text, open.saturating_add(1));
        let is_field = self
            .text
            .get(field)
            .is_some_and(|b| class(*b) == Byte::Name);
        if class_at(self.text, open) != Some(Byte::Open) || !is_field {
            return false;
        }
        self.put("extract");
        self.at = open;
        self.open_bracket();
        self.constant(Constant::Text, scan::name(self.text, field));
        true
    }
}
