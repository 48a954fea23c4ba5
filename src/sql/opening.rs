//! What the first word of a statement says: its class, and which rules hold.
//!
//! Owns: classes as the metrics count them. Words that are read by rules of their own go on in
//! `utility.rs`.

use super::bytes;
use super::keyword::{Word, packed};
use super::lexer::Lexer;
use super::scan;
use super::sink::Sink;
use super::{Class, Verb};

/// The longest first word that means something.
const LONGEST: usize = 12;
/// The commonest first word is not looked up.
const SELECT_LENGTH: usize = "select".len();

impl<S: Sink> Lexer<'_, S> {
    /// HOT. Classifies by the word at `start`, whose first `length` bytes are `begin`; true if the
    /// word was consumed.
    #[inline]
    pub(super) fn first_word(&mut self, start: usize, begin: u64, length: usize) -> bool {
        const SELECT: u64 = packed("select");
        self.is_opened = true;
        if length == SELECT_LENGTH && bytes::keep(begin, SELECT_LENGTH) == SELECT {
            self.found.class = Class::Select;
            return false;
        }
        self.other_first_word(start)
    }

    fn other_first_word(&mut self, start: usize) -> bool {
        let end = scan::name(self.text, start);
        let mut buffer = [0; LONGEST];
        let (Some(word), Some(lower)) = (self.text.get(start..end), buffer.get_mut(..end - start))
        else {
            return false;
        };
        lower.copy_from_slice(word);
        lower.make_ascii_lowercase();
        let lower: &[u8] = lower;
        self.found.class = class_of(lower);
        self.found.writes = matches!(
            self.found.class,
            Class::Insert | Class::Update | Class::Delete | Class::Merge | Class::Ddl
        );
        match lower {
            b"select" | b"insert" | b"delete" | b"merge" | b"values" => return false,
            b"update" => {
                self.found.touches |= self.updates(end);
                return false;
            }
            b"with" => self.is_with = true,
            _ if self.outer.is_none() => self.touch(lower, end),
            _ => {}
        }
        match lower {
            b"create" => self.create(end),
            b"alter" => self.keeps_words = true,
            b"do" => self.hashes_bodies = true,
            b"lock" => self.found.writes = true,
            b"copy" => self.found.writes = self.copies_in(end),
            _ if self.outer.is_none() => return self.utility(lower, end),
            _ => {}
        }
        false
    }

    /// `CREATE` up to `end`.
    fn create(&mut self, end: usize) {
        self.keeps_words = true;
        let mut at = end;
        if self.accept(&mut at, b"or") {
            self.accept(&mut at, b"replace");
        }
        self.accept(&mut at, b"unique");
        if self.accept(&mut at, b"index") {
            self.found.class = Class::Maintenance;
        } else if self.accept(&mut at, b"function") || self.accept(&mut at, b"procedure") {
            self.hashes_bodies = true;
            self.atomic = Some(0);
        }
    }

    /// Whether `COPY` up to `end` copies into a table: FROM stands before TO, outside brackets. Of a
    /// table only the condition calls functions.
    fn copies_in(&mut self, end: usize) -> bool {
        let mut at = end;
        let is_query = self.sees_byte(end) == Some(b'(');
        let mut copies_in = false;
        let is_found = self.outside_brackets(&mut at, |lexer, at| {
            let mut behind = *at;
            copies_in = lexer.accept(&mut behind, b"from");
            copies_in || lexer.accept(&mut behind, b"to")
        });
        if !is_query {
            let has_condition = is_found
                && copies_in
                && self
                    .outside_brackets(&mut at, |lexer, at| lexer.accept(&mut at.clone(), b"where"));
            self.calls_from = if has_condition { at } else { usize::MAX };
        }
        copies_in
    }

    /// Words in the middle that decide about class, locks and bodies.
    pub(super) fn verb(&mut self, word: Word) {
        if let Some(depth) = self.atomic {
            self.atomic = Some(match word {
                Word::Atomic if self.previous == Word::Begin => depth + 1,
                Word::Case if depth > 0 => depth + 1,
                Word::End => depth.saturating_sub(1),
                _ => depth,
            });
        }
        let takes_lock = matches!(word, Word::Update | Word::Share)
            && matches!(self.previous, Word::For | Word::Key);
        let makes_table = word == Word::Into && self.found.class == Class::Select;
        self.found.writes |= takes_lock || makes_table;
        if makes_table || (word == Word::Into && self.found.class == Class::Other) {
            self.selects_into(self.at + "into".len());
        }
        if self.is_with && matches!(self.previous, Word::Open | Word::Close) {
            let class = match word {
                Word::Insert => Class::Insert,
                Word::Update => Class::Update,
                Word::Delete => Class::Delete,
                Word::Merge => Class::Merge,
                _ => return,
            };
            self.found.writes = true;
            if word == Word::Update {
                self.found.touches |= self.updates(self.at + "update".len());
            }
            if self.found.class == Class::Select {
                self.found.class = class;
            }
        }
    }

    /// Moves `at` behind blanks and the given word, if it stands there.
    pub(super) fn accept(&self, at: &mut usize, word: &[u8]) -> bool {
        let start = scan::skip_blank(self.text, *at);
        let end = scan::name(self.text, start);
        let found = self
            .text
            .get(start..end)
            .is_some_and(|found| found.eq_ignore_ascii_case(word));
        if found {
            *at = end;
        }
        found
    }
}

fn class_of(word: &[u8]) -> Class {
    match word {
        b"select" | b"values" | b"table" | b"with" | b"fetch" | b"show" | b"declare" => {
            Class::Select
        }
        b"insert" => Class::Insert,
        b"update" => Class::Update,
        b"delete" => Class::Delete,
        b"merge" => Class::Merge,
        b"copy" => Class::Copy,
        b"create" | b"alter" | b"drop" | b"grant" | b"revoke" | b"comment" | b"truncate"
        | b"reassign" | b"security" | b"import" => Class::Ddl,
        b"vacuum" | b"analyze" | b"analyse" | b"reindex" | b"cluster" | b"refresh"
        | b"checkpoint" => Class::Maintenance,
        b"begin" | b"start" | b"commit" | b"end" | b"rollback" | b"abort" | b"savepoint"
        | b"release" | b"set" | b"reset" | b"discard" | b"listen" | b"unlisten" | b"deallocate"
        | b"close" => Class::Control,
        _ => Class::Other,
    }
}

/// The verb that a first word stands for, as far as the word alone says it.
pub(super) fn verb_of(word: &[u8]) -> Verb {
    match word {
        b"begin" | b"start" => Verb::Begin,
        b"commit" | b"end" => Verb::Commit,
        b"rollback" | b"abort" => Verb::Rollback,
        b"savepoint" | b"release" => Verb::Savepoint,
        b"execute" => Verb::Execute,
        b"deallocate" => Verb::Deallocate,
        b"declare" => Verb::Declare,
        b"fetch" | b"move" => Verb::Fetch,
        b"close" => Verb::Close,
        _ => Verb::Other,
    }
}
