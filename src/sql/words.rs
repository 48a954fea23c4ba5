//! Names and keywords, hashed as they are walked over.
//!
//! Owns: rules 13 and 14 of insight.md 1.4: unquoted names in lower case, quoted ones as they are,
//! both up to their 63rd byte; and the letters that turn the quote behind them into a literal's.
// HOT

use super::bytes::{self, Chunk};
use super::hash::{Kind, NAME_BYTES};
use super::keyword::{self, Word};
use super::lexer::Lexer;
use super::scan;
use super::sink::Sink;

impl<S: Sink> Lexer<'_, S> {
    pub(super) fn name(&mut self) {
        let start = self.at;
        let Chunk { low, high, length } = bytes::chunk_at(self.text, start);
        if length == 1
            && let Some(prefixed) = scan::prefixed(self.text, start, self.rules.backslash_quotes)
        {
            return self.prefixed(prefixed);
        }
        if self.is_cut && scan::name(self.text, start) >= self.text.len() {
            self.at = self.text.len();
            return;
        }
        if !self.is_opened && self.first_word(start, low, length) {
            return;
        }
        if length > 8 {
            return self.long_name(start, Chunk { low, high, length });
        }
        let found = if self.previous == Word::Dot {
            Word::Name
        } else {
            keyword::find(bytes_of(low, length))
        };
        if found.has_rule() && self.special(found, start + length) {
            return;
        }
        self.plain_name(start, low, length);
        self.previous = found;
    }

    /// A name of up to eight bytes.
    #[inline(always)]
    fn plain_name(&mut self, start: usize, word: u64, length: usize) {
        if length == 8 {
            self.hash.inner(word);
            self.hash.last(Kind::Name, 0, 0);
        } else {
            self.hash
                .last(Kind::Name, bytes::keep(word, length), length);
        }
        self.at = start + length;
        self.out
            .name(self.text.get(start..self.at).unwrap_or_default(), false);
    }

    /// A name of more than eight bytes.
    #[inline]
    fn long_name(&mut self, start: usize, chunk: Chunk) {
        if chunk.length == 16 {
            return self.longer_name(start, chunk);
        }
        self.begin_of_name(chunk);
        self.at = start + chunk.length;
        self.out
            .name(self.text.get(start..self.at).unwrap_or_default(), false);
        let is_returning = chunk.length == 9 && chunk.low == keyword::packed("returning");
        self.previous = if is_returning {
            Word::Returning
        } else {
            Word::Name
        };
    }

    /// A name of sixteen bytes or more.
    fn longer_name(&mut self, start: usize, first: Chunk) {
        self.hash.inner(first.low);
        let mut word = first.high;
        let mut at = start + 8;
        let mut length = 8;
        while length == 8 && at - start < NAME_BYTES - 7 {
            self.hash.inner(word);
            at += 8;
            word = bytes::lower(bytes::word_at(self.text, at));
            length = bytes::name_length(word);
        }
        let length = length.min(NAME_BYTES - (at - start)).min(7);
        self.hash
            .last(Kind::Name, bytes::keep(word, length), length);
        self.at = scan::name(self.text, at + length);
        let shown = (at + length).min(self.at);
        self.out
            .name(self.text.get(start..shown).unwrap_or_default(), false);
        self.previous = Word::Name;
    }

    fn prefixed(&mut self, prefixed: scan::Prefixed) {
        if prefixed.is_name {
            self.at = prefixed.quote;
            self.quoted_name();
        } else {
            self.string(prefixed.quote, prefixed.escapes);
        }
    }

    pub(super) fn quoted_name(&mut self) {
        let start = self.at + 1;
        let chunk = bytes::quoted_at(self.text, start);
        let end = start + chunk.length;
        let ends_here = chunk.length < 16 && end + 1 < self.text.len();
        if ends_here && self.text.get(end + 1) != Some(&b'"') {
            self.begin_of_name(chunk);
            self.at = end + 1;
            self.out
                .name(self.text.get(start..end).unwrap_or_default(), true);
        } else {
            self.long_quoted_name(start);
        }
        self.is_opened = true;
        self.previous = Word::Name;
    }

    /// Hashes a name of less than sixteen bytes.
    #[inline(always)]
    fn begin_of_name(&mut self, chunk: Chunk) {
        let Chunk { low, high, length } = chunk;
        let (word, length) = match length.checked_sub(8) {
            Some(rest) => {
                self.hash.inner(low);
                (high, rest)
            }
            None => (low, length),
        };
        self.hash
            .last(Kind::Name, bytes::keep(word, length), length);
    }

    fn long_quoted_name(&mut self, start: usize) {
        let before = self.hash;
        let mut at = start;
        let mut word = bytes::word_at(self.text, at);
        let mut length = bytes::before(word, b'"');
        while length == 8 && at - start < NAME_BYTES - 7 {
            self.hash.inner(word);
            at += 8;
            word = bytes::word_at(self.text, at);
            length = bytes::before(word, b'"');
        }
        let end = at + length;
        if length < 8 && end + 1 < self.text.len() && self.text.get(end + 1) != Some(&b'"') {
            self.hash
                .last(Kind::Name, bytes::keep(word, length), length);
            self.at = end + 1;
            self.out
                .name(self.text.get(start..end).unwrap_or_default(), true);
        } else {
            self.hash = before;
            self.rare_name(start);
        }
    }

    /// A quoted name that is long, holds quotes, or ends with the text.
    fn rare_name(&mut self, start: usize) {
        let end = scan::quoted_name(self.text, start - 1);
        let after = self.closed(end);
        self.at = after;
        if self.is_torn(after) {
            return;
        }
        let stop = if end.is_some() { after - 1 } else { after };
        let content = self.text.get(start..stop).unwrap_or_default();
        let mut buffer = [0; NAME_BYTES];
        let (mut read, mut length) = (0, 0);
        while let (Some(from), Some(to)) = (content.get(read), buffer.get_mut(length)) {
            *to = *from;
            length += 1;
            read += if *from == b'"' { 2 } else { 1 };
        }
        self.hash
            .content(Kind::Name, buffer.get(..length).unwrap_or_default());
        self.out.name(content.get(..read).unwrap_or(content), true);
    }
}

#[inline(always)]
fn bytes_of(word: u64, length: usize) -> u64 {
    if length == 8 {
        word
    } else {
        bytes::keep(word, length)
    }
}
