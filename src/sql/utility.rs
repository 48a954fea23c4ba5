//! Transactions, savepoints, cursors, prepared statements, settings: names and values that are
//! different each time, and words that mean the same.
//!
//! Owns: rules 22 to 26 of insight.md 1.4. Each function reads the part of a statement that needs
//! care; the main loop reads the rest.

use super::bytes::{Byte, class_at, is_blank};
use super::hash::Hash;
use super::keyword::Word;
use super::lexer::Lexer;
use super::opening::verb_of;
use super::scan;
use super::sink::{Constant, Sink};
use super::{Class, Verb};

impl<S: Sink> Lexer<'_, S> {
    /// A statement whose first word, up to `end`, is `word`; true if it was consumed.
    pub(super) fn utility(&mut self, word: &[u8], end: usize) -> bool {
        self.found.verb = verb_of(word);
        let start = self.at;
        self.at = end;
        match word {
            b"savepoint" => self.named("savepoint"),
            b"release" => {
                self.optional(b"savepoint");
                self.put("release");
                self.named("savepoint");
            }
            b"rollback" | b"abort" => self.rollback(),
            b"begin" => {
                self.put("begin");
                self.drop_work();
                self.modes();
            }
            b"start" => {
                self.put("start");
                self.modes();
            }
            b"commit" | b"end" => {
                self.put("commit");
                self.drop_work();
            }
            b"prepare" => self.prepare(),
            b"execute" => {
                self.put("execute");
                self.kept_name();
            }
            b"deallocate" => self.deallocate(),
            b"declare" => {
                self.put("declare");
                self.remembered_name();
            }
            b"close" => {
                self.put("close");
                if !self.sees(b"all") {
                    self.remembered_name();
                }
            }
            b"fetch" => self.fetch("fetch"),
            b"move" => self.fetch("move"),
            b"set" => self.set(),
            _ => {
                self.at = start;
                return false;
            }
        }
        true
    }

    /// Moves behind blanks and comments; comments are remembered.
    fn skip(&mut self) {
        while let Some(b) = self.text.get(self.at) {
            if is_blank(*b) {
                self.at += 1;
            } else if scan::comment_starts(self.text, self.at) {
                self.comment();
            } else {
                return;
            }
        }
    }

    /// Whether the word stands next; it stays.
    fn sees(&mut self, word: &[u8]) -> bool {
        self.skip();
        let mut at = self.at;
        self.accept(&mut at, word)
    }

    /// Drops the word if it stands next.
    fn drop_word(&mut self, word: &[u8]) -> bool {
        self.skip();
        let mut at = self.at;
        let found = self.accept(&mut at, word);
        self.at = at;
        found
    }

    /// Drops the word if another name follows it.
    fn optional(&mut self, word: &[u8]) {
        self.skip();
        let mut at = self.at;
        if self.accept(&mut at, word) && self.is_name(scan::skip_blank(self.text, at)) {
            self.at = at;
        }
    }

    fn is_name(&self, at: usize) -> bool {
        matches!(
            class_at(self.text, at),
            Some(Byte::Name | Byte::DoubleQuote)
        )
    }

    fn drop_work(&mut self) {
        let _ = self.drop_word(b"work") || self.drop_word(b"transaction");
    }

    /// A word of ours, then a name that is a constant.
    fn named(&mut self, word: &'static str) {
        self.put(word);
        self.name_as_constant();
    }

    fn name_as_constant(&mut self) {
        self.skip();
        let end = match class_at(self.text, self.at) {
            Some(Byte::Name) => scan::name(self.text, self.at),
            Some(Byte::DoubleQuote) => {
                let end = scan::quoted_name(self.text, self.at);
                self.closed(end)
            }
            _ => return,
        };
        self.constant(Constant::Name, end);
    }

    /// A name that stays a name; remembers where it stands.
    fn kept_name(&mut self) {
        self.skip();
        let start = self.at;
        match class_at(self.text, start) {
            Some(Byte::Name) => self.name(),
            Some(Byte::DoubleQuote) => self.quoted_name(),
            _ => return,
        }
        self.found.name = Some(start..self.at);
    }

    fn rollback(&mut self) {
        self.drop_work();
        self.put("rollback");
        if self.drop_word(b"to") {
            self.found.verb = Verb::Savepoint;
            self.optional(b"savepoint");
            self.put("to");
            self.named("savepoint");
        }
    }

    /// The modes of a transaction; commas between them are optional.
    fn modes(&mut self) {
        loop {
            self.skip();
            match class_at(self.text, self.at) {
                Some(Byte::Name) => self.name(),
                Some(Byte::Comma) => self.at += 1,
                _ => return,
            }
        }
    }

    /// `PREPARE TRANSACTION`, or `PREPARE name [(types)] AS`; the body is hashed by itself.
    fn prepare(&mut self) {
        self.put("prepare");
        if self.sees(b"transaction") {
            self.found.verb = Verb::Commit;
            self.found.class = Class::Control;
            return;
        }
        self.found.verb = Verb::Prepare;
        self.calls_from = usize::MAX;
        self.kept_name();
        while !self.sees(b"as") || self.depth > 0 {
            let Some(b) = self.text.get(self.at) else {
                return;
            };
            if !self.step(*b) {
                return;
            }
        }
        self.drop_word(b"as");
        self.put("as");
        self.calls_from = self.at;
        self.outer = Some(self.hash);
        self.hash = Hash::new();
        self.is_opened = false;
        self.previous = Word::Start;
    }

    fn deallocate(&mut self) {
        self.optional(b"prepare");
        self.put("deallocate");
        if self.sees(b"all") {
            return;
        }
        self.remembered_name();
    }

    /// The name of a cursor or prepared statement: a constant; remembers where it stands.
    fn remembered_name(&mut self) {
        self.skip();
        let start = self.at;
        self.name_as_constant();
        if self.at > start {
            self.found.name = Some(start..self.at);
        }
    }

    /// `FETCH` and `MOVE`: directions stay, counts and the cursor are constants.
    fn fetch(&mut self, word: &'static str) {
        self.put(word);
        loop {
            self.skip();
            match class_at(self.text, self.at) {
                Some(Byte::Name) => {
                    if self.drop_word(b"from") || self.drop_word(b"in") {
                        self.put("from");
                        return self.remembered_name();
                    }
                    let Some(direction) = self.direction() else {
                        return self.remembered_name();
                    };
                    self.put(direction);
                }
                Some(Byte::DoubleQuote) => return self.remembered_name(),
                Some(Byte::Digit) => {
                    self.constant(Constant::Number, scan::number(self.text, self.at));
                }
                Some(Byte::Operator) if self.is_sign(self.at + 1) => self.at += 1,
                _ => return,
            }
        }
    }

    fn direction(&mut self) -> Option<&'static str> {
        const DIRECTIONS: [&str; 9] = [
            "next", "prior", "first", "last", "absolute", "relative", "all", "forward", "backward",
        ];
        DIRECTIONS
            .into_iter()
            .find(|direction| self.drop_word(direction.as_bytes()))
    }

    /// `SET [SESSION | LOCAL] name = value`: the value is one constant.
    fn set(&mut self) {
        self.put("set");
        if self.drop_word(b"local") {
            self.put("local");
        } else if self.drop_word(b"session") {
            if self.sees(b"characteristics") {
                return self.put("session");
            }
            if self.drop_word(b"authorization") {
                self.put("session");
                self.put("authorization");
                return self.value();
            }
        }
        if self.sees(b"transaction") || self.sees(b"constraints") {
            return;
        }
        if self.drop_word(b"time") {
            self.drop_word(b"zone");
            self.put("timezone");
            self.equals();
            return self.value();
        }
        if self.drop_word(b"role") {
            self.put("role");
        } else {
            self.setting();
        }
        if self.drop_word(b"to") || self.drop_equals() {
            self.equals();
        }
        self.value();
    }

    /// The name of a setting, with its dots.
    fn setting(&mut self) {
        loop {
            self.skip();
            match class_at(self.text, self.at) {
                Some(Byte::Name) => self.name(),
                Some(Byte::DoubleQuote) => self.quoted_name(),
                _ => return,
            }
            self.skip();
            if class_at(self.text, self.at) != Some(Byte::Dot) {
                return;
            }
            self.punctuation(b'.', Word::Dot);
        }
    }

    fn drop_equals(&mut self) -> bool {
        self.skip();
        let found = self.text.get(self.at) == Some(&b'=');
        self.at += usize::from(found);
        found
    }

    fn equals(&mut self) {
        self.hash.byte(b'=');
        self.out.operator(b"=");
        self.previous = Word::Operator;
    }

    /// Everything up to the end of the statement as one constant; DEFAULT stays.
    fn value(&mut self) {
        if self.drop_word(b"default") {
            return self.put("default");
        }
        let mut kind = None;
        loop {
            self.skip();
            let constant = match class_at(self.text, self.at) {
                None | Some(Byte::Semicolon) => break,
                Some(Byte::Digit) => Constant::Number,
                _ => Constant::Text,
            };
            kind.get_or_insert(constant);
            let end = scan::token(self.text, self.at, self.rules.backslash_quotes);
            self.at = self.closed(end);
        }
        if let Some(kind) = kind {
            self.constant(kind, self.at);
        }
    }
}
