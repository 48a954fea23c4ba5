//! Where a statement longer than the cap ends.
//!
//! Owns: a walk byte by byte that can stop and go on anywhere, so the answer never depends on how
//! the text was cut into pieces. Coarser than the lexer: it knows literals, comments, brackets and
//! the bodies of SQL functions, and no more.

use memchr::{memchr, memchr2};

use super::bytes::{Byte, class, continues_name, is_blank};
use super::calls::{Calls, Verdict};
use super::statements::Limits;
use super::{Statement, Touches};

/// Tags of dollar quotes count to this many bytes.
const TAG_BYTES: usize = 64;
/// Words are compared by this many bytes: one more than a name has.
const WORD_BYTES: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Plain,
    Word,
    /// Behind `U&`, where a quote may follow.
    Ampersand,
    Quote {
        escapes: bool,
    },
    Escape,
    /// Behind a closing quote: another one doubles it, one on a later line continues it.
    Closed {
        escapes: bool,
        blanks: bool,
        lines: bool,
    },
    DoubleQuote,
    Dash,
    Line,
    Slash,
    Block {
        depth: u32,
        last: u8,
    },
    Tag,
    /// In a dollar-quoted literal; `None` outside a possible closing tag.
    Body {
        matched: Option<usize>,
    },
}

/// Looks for the end of one statement, from its first byte on.
#[derive(Debug)]
pub struct Splitter {
    state: State,
    backslash: bool,
    depth: u32,
    tag: [u8; TAG_BYTES],
    tag_length: usize,
    word: [u8; WORD_BYTES],
    word_length: usize,
    /// What CREATE FUNCTION needs to be known by: its first words' letters.
    words: u32,
    routine: Routine,
    previous_begin: bool,
    atomic: u32,
    offset: usize,
    /// Behind the last byte that is not blank.
    end: usize,
    has_tokens: bool,
    is_done: bool,
    /// Bytes that the lexer read: what follows is judged here.
    cap: usize,
    calls: Calls,
    touches: Touches,
    /// Behind the last quoted name.
    quoted_end: usize,
}

/// How much of `CREATE [OR REPLACE] FUNCTION` was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Routine {
    No,
    Create,
    Or,
    Replace,
    Yes,
}

impl Splitter {
    /// At the first byte of a statement.
    pub fn new(limits: Limits) -> Self {
        Self {
            state: State::Plain,
            backslash: limits.rules.backslash_quotes,
            depth: 0,
            tag: [0; TAG_BYTES],
            tag_length: 0,
            word: [0; WORD_BYTES],
            word_length: 0,
            words: 0,
            routine: Routine::No,
            previous_begin: false,
            atomic: 0,
            offset: 0,
            end: 0,
            has_tokens: false,
            is_done: false,
            cap: limits.cap,
            calls: Calls::default(),
            touches: Touches::NONE,
            quoted_end: 0,
        }
    }

    /// Goes on with `bytes`; how many belong to the statement, its semicolon included.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() && !self.is_done {
            let jump = self.jump(bytes.get(at..).unwrap_or_default());
            if jump > 0 {
                self.end = self.offset + jump;
                self.offset += jump;
                at += jump;
                continue;
            }
            let Some(b) = bytes.get(at) else { break };
            self.step(*b);
            self.offset += 1;
            at += 1;
            if !is_blank(*b) && !self.is_done {
                self.end = self.offset;
            }
        }
        at
    }

    /// The semicolon was seen.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Anything but blanks and comments was seen.
    pub fn has_tokens(&self) -> bool {
        self.has_tokens
    }

    /// Says in the statement, which begins at `start`, where it ends and whether it is closed.
    pub fn describe(&self, statement: &mut Statement, start: usize) {
        statement.span = start..start + self.end;
        statement.touches |= self.touches;
        statement.is_unterminated = matches!(
            self.state,
            State::Quote { .. }
                | State::Escape
                | State::DoubleQuote
                | State::Block { .. }
                | State::Body { .. }
        );
    }

    /// How many bytes can be passed over at once inside something long.
    fn jump(&self, bytes: &[u8]) -> usize {
        let found = match self.state {
            State::Quote { escapes: false } => memchr(b'\'', bytes),
            State::Quote { escapes: true } => memchr2(b'\'', b'\\', bytes),
            State::DoubleQuote => memchr(b'"', bytes),
            State::Line => memchr2(b'\n', b'\r', bytes),
            State::Body { matched: None } => memchr(b'$', bytes),
            _ => return 0,
        };
        found.unwrap_or(bytes.len())
    }

    fn step(&mut self, b: u8) {
        match self.state {
            State::Plain => self.plain(b),
            State::Word if continues_name(b) => self.letter(b),
            State::Word => self.word_ends(b),
            State::Ampersand => {
                self.state = State::Plain;
                self.plain(b);
            }
            State::Quote { escapes } => {
                if b == b'\'' {
                    self.state = State::Closed {
                        escapes,
                        blanks: false,
                        lines: false,
                    };
                } else if b == b'\\' && escapes {
                    self.state = State::Escape;
                }
            }
            State::Escape => self.state = State::Quote { escapes: true },
            State::Closed {
                escapes,
                blanks,
                lines,
            } => self.closed(b, escapes, blanks, lines),
            State::DoubleQuote if b == b'"' => {
                self.quoted_end = self.offset + 1;
                self.state = State::Plain;
            }
            State::DoubleQuote => {}
            State::Dash if b == b'-' => self.state = State::Line,
            State::Slash if b == b'*' => self.state = State::Block { depth: 1, last: 0 },
            State::Dash | State::Slash => {
                self.has_tokens = true;
                self.sign(b'-');
                self.state = State::Plain;
                self.plain(b);
            }
            State::Line if matches!(b, b'\n' | b'\r') => self.state = State::Plain,
            State::Line => {}
            State::Block { depth, last } => self.block(b, depth, last),
            State::Tag => self.tag_byte(b),
            State::Body { matched } => self.body(b, matched),
        }
    }

    fn plain(&mut self, b: u8) {
        if b == b';' && self.depth == 0 && self.atomic == 0 {
            self.is_done = true;
            return;
        }
        match b {
            b'-' => return self.state = State::Dash,
            b'/' => return self.state = State::Slash,
            b if is_blank(b) => return,
            _ => self.has_tokens = true,
        }
        match b {
            b'(' => {
                self.depth = self.depth.saturating_add(1);
                self.sign(b);
            }
            b')' => {
                self.depth = self.depth.saturating_sub(1);
                self.sign(b);
            }
            b'\'' => {
                self.calls.literal();
                self.state = State::Quote {
                    escapes: self.backslash,
                }
            }
            b'"' => {
                // A doubled quote does not end the name.
                if self.quoted_end != self.offset || self.offset == 0 {
                    self.calls.name(b"", true);
                }
                self.state = State::DoubleQuote;
            }
            b'$' => {
                self.calls.literal();
                self.state = State::Tag;
                self.tag_length = 0;
                self.push_tag(b);
            }
            b if matches!(class(b), Byte::Name | Byte::Digit) => {
                self.state = State::Word;
                self.word_length = 0;
                self.letter(b);
            }
            _ => self.sign(b),
        }
    }

    /// A byte of an operator or of punctuation; brackets behind the cap are judged.
    fn sign(&mut self, b: u8) {
        let found = self.calls.byte(b);
        if self.offset >= self.cap
            && let Some((verdict, _)) = found
        {
            self.touches |= match verdict {
                Verdict::Touches(touches) => touches,
                Verdict::Unknown if self.calls.was_quoted() => Touches::ALL,
                Verdict::Unknown => Touches::FUNCTION,
            };
        }
    }

    fn letter(&mut self, b: u8) {
        if let Some(place) = self.word.get_mut(self.word_length) {
            *place = b.to_ascii_lowercase();
        }
        self.word_length = self.word_length.saturating_add(1);
    }

    fn word_ends(&mut self, b: u8) {
        let word = self.word.get(..self.word_length).unwrap_or_default();
        let prefix = match (word, b) {
            (b"e", b'\'') => Some(State::Quote { escapes: true }),
            (b"n", b'\'') => Some(State::Quote {
                escapes: self.backslash,
            }),
            (b"b" | b"x", b'\'') => Some(State::Quote { escapes: false }),
            (b"u", b'&') => Some(State::Ampersand),
            _ => None,
        };
        if let Some(state) = prefix {
            self.calls.literal();
            self.state = state;
            return;
        }
        if word.first().is_some_and(u8::is_ascii_digit) {
            self.calls.literal();
        } else {
            self.calls.name(word, false);
        }
        self.words = self.words.saturating_add(1);
        self.routine = match (self.routine, self.words, word) {
            (Routine::No, 1, b"create") => Routine::Create,
            (Routine::Create, 2, b"or") => Routine::Or,
            (Routine::Or, 3, b"replace") => Routine::Replace,
            (Routine::Create, 2, b"function" | b"procedure")
            | (Routine::Replace, 4, b"function" | b"procedure") => Routine::Yes,
            (known, ..) => known,
        };
        if self.routine == Routine::Yes {
            self.atomic = match word {
                b"atomic" if self.previous_begin => self.atomic + 1,
                b"case" if self.atomic > 0 => self.atomic + 1,
                b"end" => self.atomic.saturating_sub(1),
                _ => self.atomic,
            };
        }
        self.previous_begin = word == b"begin";
        self.state = State::Plain;
        self.plain(b);
    }

    fn closed(&mut self, b: u8, escapes: bool, blanks: bool, lines: bool) {
        self.state = match b {
            b'\'' if !blanks || lines => State::Quote { escapes },
            b'\n' | b'\r' => State::Closed {
                escapes,
                blanks: true,
                lines: true,
            },
            b if is_blank(b) => State::Closed {
                escapes,
                blanks: true,
                lines,
            },
            _ => {
                self.state = State::Plain;
                return self.plain(b);
            }
        };
    }

    fn block(&mut self, b: u8, depth: u32, last: u8) {
        self.state = match (last, b) {
            (b'*', b'/') if depth == 1 => State::Plain,
            (b'*', b'/') => State::Block {
                depth: depth - 1,
                last: 0,
            },
            (b'/', b'*') => State::Block {
                depth: depth.saturating_add(1),
                last: 0,
            },
            _ => State::Block { depth, last: b },
        };
    }

    fn push_tag(&mut self, b: u8) {
        if let Some(place) = self.tag.get_mut(self.tag_length) {
            *place = b;
        }
        self.tag_length = self.tag_length.saturating_add(1);
    }

    fn tag_byte(&mut self, b: u8) {
        let is_first = self.tag_length == 1;
        if b == b'$' && self.tag_length < TAG_BYTES {
            self.push_tag(b);
            self.state = State::Body { matched: None };
        } else if class(b) == Byte::Name || (class(b) == Byte::Digit && !is_first) {
            self.push_tag(b);
        } else {
            self.state = State::Plain;
            self.plain(b);
        }
    }

    fn body(&mut self, b: u8, matched: Option<usize>) {
        let tag = self.tag.get(..self.tag_length).unwrap_or_default();
        let place = matched.unwrap_or(0);
        self.state = if tag.get(place) == Some(&b) {
            if place + 1 == tag.len() {
                State::Plain
            } else {
                State::Body {
                    matched: Some(place + 1),
                }
            }
        } else if b == b'$' {
            State::Body { matched: Some(1) }
        } else {
            State::Body { matched: None }
        };
    }
}
