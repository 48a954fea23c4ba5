//! One statement, read once: the main loop and what each kind of token does.
//!
//! Owns: the walk over the bytes and the state that the rules need. Allocates nothing. Names
//! are in `words.rs`, lists and rows in `lists.rs`, what the first word decides in `opening.rs`, transactions, cursors and
//! settings in `utility.rs`. Rules: insight.md 1.4.
// HOT

use std::ops::Range;

use super::bytes::{self, Byte, class, class_at};
use super::calls;
use super::hash::{Hash, Kind, token};
use super::keyword::Word;
use super::lists::Rows;
use super::scan::{self, Dollar};
use super::sink::{Constant, Sink};
use super::{Class, Grouping, Rules, Statement, Verb};

/// Brackets deeper than this share one level, where a rule depends on the level.
const LEVELS: u32 = 63;

/// A statement being read.
pub struct Lexer<'a, S: Sink> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
    pub(super) rules: Rules,
    /// The text goes on behind the cap.
    pub(super) is_cut: bool,
    pub(super) hash: Hash,
    pub(super) out: S,
    pub(super) previous: Word,
    pub(super) depth: u32,
    /// By level: a query stands there, so ordinals mean something.
    pub(super) queries: u64,
    /// By level: inside ORDER BY or GROUP BY of a query.
    pub(super) by: u64,
    pub(super) rows: Rows<S::Mark>,
    /// A `)` at this place was taken out (`IN (1)` is `= 1`).
    pub(super) skip_close: usize,
    /// The first word was seen.
    pub(super) is_opened: bool,
    /// NULL, TRUE and FALSE stay words (CREATE, ALTER).
    pub(super) keeps_words: bool,
    /// Dollar-quoted text is code (DO, CREATE FUNCTION).
    pub(super) hashes_bodies: bool,
    /// WITH: the class is that of the verb that follows.
    pub(super) is_with: bool,
    /// CREATE FUNCTION and PROCEDURE: how many ends a `BEGIN ATOMIC` body still needs.
    pub(super) atomic: Option<u32>,
    /// The hash of `PREPARE name AS`, while the body is read.
    pub(super) outer: Option<Hash>,
    /// The highest `$n`.
    pub(super) parameters: u32,
    /// A block comment that may be the last thing of the statement.
    comment: Option<Range<usize>>,
    /// Where the last comment of any kind ends, 0 if there was none.
    pub(super) comment_end: usize,
    /// Where the statement begins.
    start: usize,
    /// Brackets from here on may be those of calls.
    pub(super) calls_from: usize,
    /// Some bracket must be judged forwards.
    pub(super) is_unsure: bool,
    pub(super) found: Statement,
}

/// Why the walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// At a semicolon.
    Semicolon,
    /// At the end of the text.
    End,
}

impl<'a, S: Sink> Lexer<'a, S> {
    /// Reads `text` from `at` on; `is_cut` says that the statement is longer than `text`.
    pub fn new(text: &'a [u8], at: usize, rules: Rules, is_cut: bool, out: S) -> Self {
        Self {
            text,
            at,
            rules,
            is_cut,
            hash: Hash::new(),
            out,
            previous: Word::Start,
            depth: 0,
            queries: 1,
            by: 0,
            rows: Rows::default(),
            skip_close: usize::MAX,
            is_opened: false,
            keeps_words: false,
            hashes_bodies: false,
            is_with: false,
            atomic: None,
            outer: None,
            parameters: 0,
            comment: None,
            comment_end: 0,
            start: at,
            calls_from: 0,
            is_unsure: false,
            found: Statement::default(),
        }
    }

    /// Walks to the end of the statement.
    pub fn run(&mut self) -> Stop {
        while let Some(b) = self.text.get(self.at) {
            if !self.step(*b) {
                return Stop::Semicolon;
            }
        }
        Stop::End
    }

    /// One token that begins with `b`; false at the semicolon that ends the statement.
    #[inline(always)]
    pub(super) fn step(&mut self, b: u8) -> bool {
        match class(b) {
            Byte::Blank => self.at += 1,
            Byte::Name => self.name(),
            Byte::DoubleQuote => self.quoted_name(),
            Byte::Comma => self.punctuation(b',', Word::Comma),
            Byte::Dot => self.dot(),
            Byte::Operator => self.operator(),
            Byte::Open => self.open(),
            Byte::Close => self.close(),
            Byte::Quote => self.string(self.at, self.rules.backslash_quotes),
            Byte::Digit => self.number(),
            Byte::OpenSquare => self.open_square(),
            Byte::CloseSquare => self.punctuation(b']', Word::Operand),
            Byte::Dollar => self.dollar(),
            Byte::Colon => self.colon(),
            Byte::Semicolon => {
                if self.depth == 0 && !matches!(self.atomic, Some(1..)) {
                    return false;
                }
                self.punctuation(b';', Word::Comma);
            }
            Byte::Junk => self.junk(b),
        }
        true
    }

    #[inline(always)]
    pub(super) fn level(&self) -> u64 {
        1 << self.depth.min(LEVELS)
    }

    #[inline(always)]
    pub(super) fn is_strict(&self) -> bool {
        matches!(self.rules.grouping, Grouping::Strict(_))
    }

    #[inline(always)]
    pub(super) fn punctuation(&mut self, byte: u8, previous: Word) {
        self.hash.byte(byte);
        self.out.byte(byte);
        self.previous = previous;
        self.at += 1;
    }

    /// One constant, whatever its length was.
    #[inline(always)]
    pub(super) fn constant(&mut self, constant: Constant, end: usize) {
        self.hash.byte(token::CONSTANT);
        self.out.constant(constant);
        self.previous = Word::Operand;
        self.at = end;
    }

    /// The end of a token that may be open; remembers if it is.
    #[inline(always)]
    pub(super) fn closed(&mut self, end: Option<usize>) -> usize {
        end.unwrap_or_else(|| {
            self.found.is_unterminated = !self.is_cut;
            self.text.len()
        })
    }

    /// Whether a token that ends here may go on behind the cap.
    #[inline(always)]
    pub(super) fn is_torn(&self, end: usize) -> bool {
        self.is_cut && end >= self.text.len()
    }

    /// What a keyword does beyond being a token; true if it was consumed.
    pub(super) fn special(&mut self, found: Word, end: usize) -> bool {
        match found {
            Word::Null | Word::True | Word::False => {
                let is_word = matches!(self.previous, Word::Is | Word::Not) || self.keeps_words;
                if is_word {
                    return false;
                }
                let constant = if found == Word::Null {
                    Constant::Null
                } else {
                    Constant::Truth
                };
                self.constant(constant, end);
                true
            }
            Word::In => self.in_list(end),
            Word::Array => self.array(end),
            Word::Select => {
                self.queries |= self.level();
                self.by &= !self.level();
                false
            }
            Word::Extract if self.is_strict() => self.extract(end),
            Word::By => {
                if matches!(self.previous, Word::Order | Word::Group) {
                    self.by |= self.queries & self.level();
                }
                false
            }
            _ => {
                self.verb(found);
                false
            }
        }
    }

    pub(super) fn string(&mut self, quote: usize, escapes: bool) {
        let end = scan::string(self.text, quote, escapes);
        let end = self.closed(end);
        self.constant(Constant::Text, end);
    }

    fn dot(&mut self) {
        match class_at(self.text, self.at + 1) {
            Some(Byte::Digit) => self.number(),
            Some(Byte::Dot) => self.sign(b"..", Word::Operator),
            _ => self.punctuation(b'.', Word::Dot),
        }
    }

    fn colon(&mut self) {
        match self.text.get(self.at + 1) {
            Some(b':') => {
                self.hash.byte(token::CAST);
                self.out.operator(b"::");
                self.previous = Word::Operand;
                self.at += 2;
            }
            Some(b'=') => self.sign(b":=", Word::Operator),
            _ => self.punctuation(b':', Word::Operator),
        }
    }

    fn sign(&mut self, sign: &'static [u8], previous: Word) {
        self.hash.content(Kind::Operator, sign);
        self.out.operator(sign);
        self.previous = previous;
        self.at += sign.len();
    }

    fn operator(&mut self) {
        if scan::comment_starts(self.text, self.at) {
            return self.comment();
        }
        let end = scan::operator(self.text, self.at);
        let run = self.text.get(self.at..end).unwrap_or_default();
        match *run {
            [b'-'] if self.previous.allows_sign() && self.is_sign(end) => {
                self.at = end;
                return;
            }
            [single] => self.hash.byte(single),
            [b'!', b'='] => return self.not_equal(),
            _ => self.hash.content(Kind::Operator, run),
        }
        self.out.operator(run);
        self.is_opened = true;
        self.previous = Word::Operator;
        self.at = end;
    }

    fn not_equal(&mut self) {
        self.hash.content(Kind::Operator, b"<>");
        self.out.operator(b"<>");
        self.previous = Word::Operator;
        self.at += 2;
    }

    /// Whether the minus that ends at `end` belongs to the number behind it (rule 11).
    pub(super) fn is_sign(&self, end: usize) -> bool {
        let at = scan::skip_blank(self.text, end);
        let is_number = match class_at(self.text, at) {
            Some(Byte::Digit) => true,
            Some(Byte::Dot) => class_at(self.text, at + 1) == Some(Byte::Digit),
            _ => false,
        };
        if !is_number {
            return false;
        }
        let behind = scan::skip_blank(self.text, scan::number(self.text, at));
        !bytes_at(self.text, behind).starts_with(b"::")
    }

    #[cold]
    pub(super) fn comment(&mut self) {
        let start = self.at;
        if self.text.get(start) == Some(&b'-') {
            self.at = scan::line_comment(self.text, start);
            self.comment_end = self.at;
            return;
        }
        let end = scan::block_comment(self.text, start);
        self.at = self.closed(end);
        self.comment_end = self.at;
        if end.is_none() {
            return;
        }
        if !self.is_opened && self.found.tags.is_none() {
            self.found.tags = Some(start..self.at);
        }
        self.comment = Some(start..self.at);
    }

    fn number(&mut self) {
        let end = scan::number(self.text, self.at);
        if self.by & self.level() != 0 && self.is_ordinal(end) {
            let digits = self.text.get(self.at..end).unwrap_or_default();
            self.hash.content(Kind::Number, digits);
            self.out.verbatim(digits);
            self.previous = Word::Operand;
            self.at = end;
        } else {
            self.constant(Constant::Number, end);
        }
    }

    /// Whether the number up to `end` is a whole item of ORDER BY or GROUP BY (rule 21).
    fn is_ordinal(&self, end: usize) -> bool {
        let digits = self.text.get(self.at..end).unwrap_or_default();
        let behind = scan::skip_blank(self.text, end);
        matches!(self.previous, Word::By | Word::Comma)
            && digits.iter().all(u8::is_ascii_digit)
            && matches!(
                class_at(self.text, behind),
                None | Some(Byte::Comma | Byte::Close | Byte::Semicolon | Byte::Name)
            )
    }

    fn dollar(&mut self) {
        let start = self.at;
        match scan::dollar(self.text, start) {
            Dollar::Parameter(end) => {
                let digits = self.text.get(start + 1..end).unwrap_or_default();
                let number = digits.iter().fold(0u32, |n, d| {
                    n.saturating_mul(10).saturating_add(u32::from(d - b'0'))
                });
                self.parameters = self.parameters.max(number);
                self.hash.content(Kind::Parameter, digits);
                self.out
                    .verbatim(self.text.get(start..end).unwrap_or_default());
                self.previous = Word::Operand;
                self.at = end;
            }
            Dollar::Literal(end) => {
                let end = self.closed(end);
                if self.hashes_bodies {
                    self.hash
                        .content(Kind::Body, self.text.get(start..end).unwrap_or_default());
                }
                self.constant(Constant::Text, end);
            }
            Dollar::Junk => self.junk(b'$'),
        }
    }

    #[cold]
    fn junk(&mut self, byte: u8) {
        self.hash.content(Kind::Junk, &[byte]);
        self.out.byte(byte);
        self.is_opened = true;
        self.previous = Word::Operand;
        self.at += 1;
    }

    /// A word of ours in place of one in the text.
    pub(super) fn put(&mut self, word: &'static str) {
        self.hash.content(Kind::Name, word.as_bytes());
        self.out.name(word.as_bytes(), false);
        self.previous = Word::Name;
    }

    /// The statement as it was found, and the text.
    pub fn finish(mut self) -> (Statement, S) {
        self.end_rows();
        if self.is_unsure {
            let text = self.text.get(..self.at).unwrap_or_default();
            let from = self.calls_from.max(self.start);
            self.found.touches |= calls::read(text, from, self.rules);
        }
        if self.is_cut {
            self.hash.byte(token::TRUNCATED);
            self.out.truncated();
            self.found.is_truncated = true;
        }
        if let Some(mut outer) = self.outer {
            let body = self.hash.finish();
            outer.nested(body);
            self.hash = outer;
            self.found.body = self.is_opened.then_some((body, self.found.class));
            self.found.class = Class::Other;
            self.found.verb = Verb::Prepare;
        }
        self.found.fingerprint = self.hash.finish();
        if let Some(comment) = self.comment.take()
            && scan_blank(self.text, comment.end) >= self.at
        {
            self.found.tags = Some(comment);
        }
        (self.found, self.out)
    }

    /// Whether any token was seen.
    pub fn is_empty(&self) -> bool {
        self.previous == Word::Start && !self.is_opened && self.outer.is_none()
    }

    /// The highest parameter number.
    pub fn parameters(&self) -> u32 {
        self.parameters
    }
}

/// At the next byte that is not blank; comments count.
fn scan_blank(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|b| bytes::is_blank(*b)) {
        at += 1;
    }
    at
}

fn bytes_at(text: &[u8], at: usize) -> &[u8] {
    text.get(at..).unwrap_or_default()
}
