//! Brackets behind names, judged where the lexer meets them.
//!
//! Owns: the look back from a bracket, which costs nothing where there is none. What it cannot see
//! backwards (a comment beside the name, what a bracket before it belongs to) is left to `calls.rs`
//! at the end of the statement.
// HOT

use std::ops::Range;

use super::bytes::{Byte, class, continues_name, is_blank, lower, name_length_back, word_at};
use super::calls::{self, Before, Schema, Verdict};
use super::catalog;
use super::hash::NAME_BYTES;
use super::keyword;
use super::lexer::Lexer;
use super::sink::Sink;
use super::touches::Touches;

/// A name that was found backwards.
struct Found {
    /// Where the token begins.
    start: usize,
    /// Its content, without quotes.
    content: Range<usize>,
    is_quoted: bool,
}

impl<S: Sink> Lexer<'_, S> {
    /// `(` stands at `self.at`, and a name or a word that may be one before it.
    pub(super) fn called(&mut self) {
        match self.judged() {
            Some(Verdict::Touches(touches)) => self.found.touches |= touches,
            Some(Verdict::Unknown) | None => self.is_unsure = true,
        }
    }

    /// What the bracket is; None if that cannot be seen backwards.
    fn judged(&self) -> Option<Verdict> {
        let name = self.name_before(self.at)?;
        if name.is_quoted && self.is_behind_into(name.start) {
            return Some(Verdict::Touches(Touches::NONE));
        }
        let mut start = name.start;
        let mut schema = Schema::No;
        while let Some(dot) = self.dot_before(start)? {
            let part = self.name_before(dot)?;
            if schema == Schema::No {
                let mut buffer = [0; NAME_BYTES];
                schema = if self.folded(&part, &mut buffer)? == b"pg_catalog" {
                    Schema::Catalog
                } else {
                    Schema::Other
                };
            }
            start = part.start;
        }
        let is_word = !name.is_quoted && schema == Schema::No;
        let known = catalog::find_in(self.text, name.content.clone(), name.is_quoted);
        if let Some(verdict) = calls::judge_name(known, schema, is_word) {
            return Some(verdict);
        }
        let mut buffer = [0; NAME_BYTES];
        let content = self.folded(&name, &mut buffer)?;
        Some(calls::judge_before(content, is_word, self.before(start)))
    }

    /// Whether ` into ` ends at `at`: the commonest of all brackets has columns in it.
    #[inline]
    fn is_behind_into(&self, at: usize) -> bool {
        const INTO: u64 = keyword::packed(" into ") << 16;
        let word = lower(word_at(self.text, at.saturating_sub(8)));
        at >= 8 && word & !0xffff == INTO && self.comment_end < at - 6
    }

    /// Behind the token that ends before `at`; None if a comment stands between.
    fn back(&self, at: usize) -> Option<usize> {
        let mut end = at;
        while end > 0 && self.text.get(end - 1).is_some_and(|b| is_blank(*b)) {
            end -= 1;
        }
        (self.comment_end < end || self.comment_end == 0).then_some(end)
    }

    /// The dot that ends before `at`, if one does.
    fn dot_before(&self, at: usize) -> Option<Option<usize>> {
        let end = self.back(at)?;
        let is_dot = end > 0 && self.text.get(end - 1) == Some(&b'.');
        Some(is_dot.then(|| end - 1))
    }

    /// The name that ends before `at`.
    fn name_before(&self, at: usize) -> Option<Found> {
        let end = self.back(at)?;
        if self.text.get(end.checked_sub(1)?) == Some(&b'"') {
            let inside = self.text.get(..end - 1)?;
            let start = inside.iter().rposition(|b| *b == b'"')?;
            // Doubled quotes and `U&""` are rare enough to be read forwards.
            let before = start.checked_sub(1).and_then(|at| self.text.get(at));
            let is_plain = !matches!(before, Some(b'"' | b'&'));
            return is_plain.then_some(Found {
                start,
                content: start + 1..end - 1,
                is_quoted: true,
            });
        }
        let start = self.word_start(end);
        (start < end).then_some(Found {
            start,
            content: start..end,
            is_quoted: false,
        })
    }

    fn word_start(&self, end: usize) -> usize {
        let mut start = end;
        while start >= 8 {
            let length = name_length_back(lower(word_at(self.text, start - 8)));
            start -= length;
            if length < 8 {
                return start;
            }
        }
        while start > 0 && self.text.get(start - 1).is_some_and(|b| continues_name(*b)) {
            start -= 1;
        }
        start
    }

    /// A name as PostgreSQL folds it; None if it is longer than any that is known.
    fn folded<'b>(&self, name: &Found, buffer: &'b mut [u8; NAME_BYTES]) -> Option<&'b [u8]> {
        let content = self.text.get(name.content.clone())?;
        let folded = buffer.get_mut(..content.len())?;
        folded.copy_from_slice(content);
        if !name.is_quoted {
            folded.make_ascii_lowercase();
        }
        Some(folded)
    }

    /// What stands before the name that begins at `at`. Where that cannot be seen it is an operand,
    /// which makes the statement be read forwards.
    fn before(&self, at: usize) -> Before {
        let Some(end) = self.back(at) else {
            return Before::Operand;
        };
        let last = end.checked_sub(1).and_then(|at| self.text.get(at));
        let Some(last) = last.copied() else {
            return Before::Operand;
        };
        match class(last) {
            Byte::Name | Byte::Digit | Byte::Dollar => self.before_of_word(end),
            Byte::DoubleQuote => Before::Name,
            Byte::Quote => Before::Literal,
            Byte::Close => Before::SomeClose,
            Byte::Comma => Before::Comma,
            Byte::Colon if end > 1 && self.text.get(end - 2) == Some(&b':') => Before::Listed,
            _ => Before::Operand,
        }
    }

    fn before_of_word(&self, end: usize) -> Before {
        let start = self.word_start(end);
        if matches!(
            class(self.text.get(start).copied().unwrap_or_default()),
            Byte::Digit | Byte::Dollar
        ) {
            return Before::Literal;
        }
        let word = Found {
            start,
            content: start..end,
            is_quoted: false,
        };
        match self.folded(&word, &mut [0; NAME_BYTES]) {
            Some(word) => Before::of_word(word),
            None => Before::Name,
        }
    }
}
