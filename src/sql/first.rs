//! What the first words of a statement say it leaves behind in its session.
//!
//! Owns: the kinds of `touches.rs` that need no look at the calls of a statement. Errs to the safe
//! side: a bit too many costs one more look, a bit too few leaks to the next client.
//! Source: PostgreSQL's grammar; SET LOCAL, SET TRANSACTION and SET CONSTRAINTS end with their
//! transaction and leave nothing, but SET LOCAL TO DEFAULT has to do with start values.

use super::Class;
use super::bytes::{Byte, class_at, keep, lower, word_at};
use super::keyword;
use super::lexer::Lexer;
use super::scan;
use super::sink::Sink;
use super::touches::Touches;

/// What DISCARD ALL does, by its parts.
const DISCARD_ALL: Touches = Touches::SETTINGS
    .or(Touches::LISTENING)
    .or(Touches::TEMPORARY)
    .or(Touches::PREPARED)
    .or(Touches::LOCKS)
    .or(Touches::CURSORS);

/// Tokens of a CREATE that are looked at for the schema of what is made.
const NAME_WITHIN: usize = 12;

impl<S: Sink> Lexer<'_, S> {
    /// Judges a statement by its first `word`, which ends at `end`.
    pub(super) fn touch(&mut self, word: &[u8], end: usize) {
        if matches!(
            self.found.class,
            Class::Ddl | Class::Maintenance | Class::Control
        ) {
            self.calls_from = usize::MAX;
        }
        let mut at = end;
        let touches = match word {
            b"begin" | b"start" | b"commit" | b"end" | b"rollback" | b"abort" | b"savepoint"
            | b"release" => Touches::TRANSACTION,
            b"execute" | b"deallocate" => Touches::PREPARED,
            b"prepare" => self.prepares(&mut at),
            b"set" => self.sets(&mut at),
            b"reset" => Touches::SETTINGS,
            b"discard" => self.discards(&mut at),
            b"listen" | b"unlisten" => Touches::LISTENING,
            b"notify" => Touches::NOTIFIES,
            b"load" => Touches::LIBRARY,
            b"do" | b"call" => Touches::CODE,
            b"refresh" => Touches::FUNCTION,
            b"declare" => self.declares(&mut at),
            b"create" => self.creates(&mut at),
            b"explain" => self.explains(&mut at),
            _ => return,
        };
        self.found.touches |= touches;
        if self.is_cut && scan::skip_blank(self.text, at) >= self.text.len() {
            // Only a comment as long as the cap hides the words that decide.
            self.found.touches = Touches::ALL;
        }
    }

    /// The byte of the next token.
    pub(super) fn sees_byte(&self, at: usize) -> Option<u8> {
        self.text.get(scan::skip_blank(self.text, at)).copied()
    }

    /// Whether what ends at `at` is the name of a setting.
    fn is_setting(&self, at: usize) -> bool {
        let mut behind = at;
        matches!(self.sees_byte(at), Some(b'.' | b'=')) || self.accept(&mut behind, b"to")
    }

    fn prepares(&self, at: &mut usize) -> Touches {
        if !self.accept(at, b"transaction") {
            return Touches::PREPARED;
        }
        // A statement may have the name `transaction`.
        let mut behind = *at;
        if self.sees_byte(*at) == Some(b'(') || self.accept(&mut behind, b"as") {
            return Touches::PREPARED;
        }
        Touches::TRANSACTION
    }

    fn sets(&self, at: &mut usize) -> Touches {
        if self.is_plain_setting(*at) {
            return Touches::SETTINGS;
        }
        let mut is_of_transaction = self.accept(at, b"local");
        if !is_of_transaction {
            let mut behind = *at;
            if self.accept(&mut behind, b"session") && !self.is_setting(behind) {
                *at = behind;
            }
            is_of_transaction = self.accept(at, b"transaction") || self.accept(at, b"constraints");
        }
        if is_of_transaction && !self.is_setting(*at) && !self.is_default(*at) {
            return Touches::NONE;
        }
        Touches::SETTINGS
    }

    /// Whether the setting named at `at` goes back to its start value: which that is, only the
    /// session knows.
    fn is_default(&self, mut at: usize) -> bool {
        let is_zone = self.accept(&mut at, b"time") && self.accept(&mut at, b"zone");
        if !is_zone {
            at = self.behind_token(at);
            while self.sees_byte(at) == Some(b'.') {
                at = self.behind_token(self.behind_token(at));
            }
            if self.sees_byte(at) == Some(b'=') {
                at = self.behind_token(at);
            } else if !self.accept(&mut at, b"to") {
                return false;
            }
        }
        self.accept(&mut at, b"default") || self.accept(&mut at, b"local")
    }

    /// Whether neither LOCAL nor what is no setting can follow SET at `at`; told by first letters.
    fn is_plain_setting(&self, at: usize) -> bool {
        const SESSION: u64 = keyword::packed("session");
        const LOCAL: u64 = keyword::packed("local");
        const TRANSACTION: u64 = keyword::packed("transaction");
        const CONSTRAINTS: u64 = keyword::packed("constraints");
        let start = scan::skip_blank(self.text, at);
        let word = lower(word_at(self.text, start));
        if keep(word, 7) == SESSION {
            let letter = self.sees_byte(start + 7).map(|b| b | 0x20);
            return !matches!(letter, None | Some(b't' | b'c'));
        }
        start < self.text.len()
            && keep(word, 5) != LOCAL
            && !matches!(word, TRANSACTION | CONSTRAINTS)
    }

    fn discards(&self, at: &mut usize) -> Touches {
        if self.accept(at, b"all") {
            DISCARD_ALL
        } else if self.accept(at, b"temp") || self.accept(at, b"temporary") {
            Touches::TEMPORARY
        } else {
            Touches::NONE
        }
    }

    /// `DECLARE name [options] CURSOR WITH HOLD`.
    fn declares(&self, at: &mut usize) -> Touches {
        *at = self.behind_token(*at);
        for _ in 0..NAME_WITHIN {
            if self.accept(at, b"cursor") {
                break;
            }
            *at = self.behind_token(*at);
        }
        if self.accept(at, b"with") && self.accept(at, b"hold") {
            return Touches::CURSORS;
        }
        Touches::NONE
    }

    /// Behind the token at or after `at`.
    fn behind_token(&self, at: usize) -> usize {
        let at = scan::skip_blank(self.text, at);
        let end = scan::token(self.text, at, self.rules.backslash_quotes);
        end.unwrap_or(self.text.len())
    }

    /// `CREATE`: temporary objects, and tables made of queries.
    fn creates(&mut self, at: &mut usize) -> Touches {
        if self.accept(at, b"or") {
            self.accept(at, b"replace");
        }
        let _ = self.accept(at, b"local") || self.accept(at, b"global");
        let mut touches = Touches::NONE;
        if self.accept(at, b"temp") || self.accept(at, b"temporary") {
            touches |= Touches::TEMPORARY;
        }
        let mut kind = *at;
        self.accept(&mut kind, b"unlogged");
        let is_table = self.accept(&mut kind, b"table");
        let is_view = self.accept(&mut kind, b"materialized");
        *at = kind;
        let ends_with_transaction = is_table && self.drops_on_commit(kind);
        if touches.has(Touches::TEMPORARY) {
            if ends_with_transaction {
                touches = Touches::NONE;
            }
        } else if self.names_temporary(at) {
            touches |= Touches::TEMPORARY;
        }
        if is_table || is_view {
            touches |= self.of_query(kind);
        }
        touches
    }

    /// Whether a name behind `at` stands in the schema of temporary objects.
    fn names_temporary(&self, at: &mut usize) -> bool {
        for _ in 0..NAME_WITHIN {
            *at = scan::skip_blank(self.text, *at);
            let is_temporary = self.is_temporary_schema(*at);
            match class_at(self.text, *at) {
                None | Some(Byte::Semicolon | Byte::Open) => return false,
                _ if is_temporary => return true,
                _ => *at = self.behind_token(*at),
            }
        }
        false
    }

    /// Whether `pg_temp`, `pg_temp_3` or a name that may be that with escapes begins at `at`.
    pub(super) fn is_temporary_schema(&self, at: usize) -> bool {
        const SCHEMA: &[u8] = b"pg_temp";
        let rest = self.text.get(at..).unwrap_or_default();
        let is_escaped = rest
            .get(..3)
            .is_some_and(|head| head.eq_ignore_ascii_case(b"u&\""));
        let rest = rest.strip_prefix(b"\"").unwrap_or(rest);
        let is_it = rest
            .get(..SCHEMA.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(SCHEMA));
        is_escaped || (is_it && self.sees_byte(self.behind_token(at)) == Some(b'.'))
    }

    /// Whether `ON COMMIT DROP` stands outside brackets, before AS.
    fn drops_on_commit(&self, mut at: usize) -> bool {
        let mut is_it = false;
        self.outside_brackets(&mut at, |lexer, at| {
            let mut end = *at;
            is_it = lexer.accept(&mut end, b"on")
                && lexer.accept(&mut end, b"commit")
                && lexer.accept(&mut end, b"drop");
            is_it || lexer.accept(&mut end, b"as")
        });
        is_it
    }

    /// What the query behind AS outside brackets may touch as its first word says it; its calls
    /// count.
    fn of_query(&mut self, mut at: usize) -> Touches {
        let is_found = self.outside_brackets(&mut at, |lexer, at| {
            let mut end = *at;
            let is_as = lexer.accept(&mut end, b"as");
            if is_as {
                *at = end;
            }
            is_as
        });
        self.calls_from = if is_found { at } else { usize::MAX };
        if is_found && self.accept(&mut at, b"execute") {
            return Touches::PREPARED;
        }
        Touches::NONE
    }

    /// Goes from token to token outside brackets until `is_found` says so.
    pub(super) fn outside_brackets(
        &self,
        at: &mut usize,
        mut is_found: impl FnMut(&Self, &mut usize) -> bool,
    ) -> bool {
        let mut depth = 0u32;
        loop {
            *at = scan::skip_blank(self.text, *at);
            if depth == 0 && is_found(self, at) {
                return true;
            }
            match class_at(self.text, *at) {
                None => return false,
                Some(Byte::Semicolon) if depth == 0 => return false,
                Some(Byte::Open) => depth += 1,
                Some(Byte::Close) => depth = depth.saturating_sub(1),
                _ => {}
            }
            *at = self.behind_token(*at);
        }
    }

    /// `UPDATE pg_settings`: its rule calls `set_config()`.
    #[inline]
    pub(super) fn updates(&self, end: usize) -> Touches {
        // Of other tables the first letter tells: `pg_settings`, `pg_catalog`, ONLY, `U&""`.
        if let Some([b' ', b'"', name @ ..]) = self.text.get(end..end + 5)
            && name != b"pg_"
        {
            return Touches::NONE;
        }
        let at = scan::skip_blank(self.text, end);
        match self.text.get(at).map(|b| b | 0x20) {
            Some(b'p' | b'o' | b'u') => self.updates_settings(at),
            // A quote with 0x20 is itself.
            Some(b'"') if self.text.get(at + 1) == Some(&b'p') => self.updates_settings(at),
            None if self.is_cut => Touches::ALL,
            _ => Touches::NONE,
        }
    }

    fn updates_settings(&self, mut at: usize) -> Touches {
        self.accept(&mut at, b"only");
        let mut is_it = false;
        loop {
            let start = scan::skip_blank(self.text, at);
            at = self.behind_token(start);
            let name = self.text.get(start..at).unwrap_or_default();
            is_it |= name.eq_ignore_ascii_case(b"pg_settings")
                || name == b"\"pg_settings\""
                || name.get(1) == Some(&b'&');
            if self.sees_byte(at) != Some(b'.') {
                break;
            }
            at = scan::skip_blank(self.text, at) + 1;
        }
        if is_it {
            Touches::FUNCTION
        } else {
            Touches::NONE
        }
    }

    /// `EXPLAIN [ANALYZE]`: what it explains may run.
    fn explains(&mut self, at: &mut usize) -> Touches {
        if self.sees_byte(*at) == Some(b'(') {
            let mut is_inside = false;
            self.outside_brackets(at, |lexer, at| {
                let is_behind = is_inside;
                is_inside |= lexer.text.get(*at) == Some(&b'(');
                is_behind
            });
        }
        let _ = self.accept(at, b"analyze") || self.accept(at, b"analyse");
        self.accept(at, b"verbose");
        self.calls_from = *at;
        if self.accept(at, b"execute") {
            Touches::PREPARED
        } else if self.accept(at, b"create") {
            self.creates(at)
        } else if self.accept(at, b"update") {
            self.updates(*at)
        } else if self.accept(at, b"refresh") {
            Touches::FUNCTION
        } else {
            Touches::NONE
        }
    }

    /// `SELECT ... INTO` up to `end`: whether a temporary table is made.
    pub(super) fn selects_into(&mut self, end: usize) {
        let mut at = end;
        let _ = self.accept(&mut at, b"local") || self.accept(&mut at, b"global");
        self.accept(&mut at, b"table");
        let is_temporary = self.accept(&mut at, b"temp")
            || self.accept(&mut at, b"temporary")
            || self.is_temporary_schema(scan::skip_blank(self.text, at));
        if is_temporary || (self.is_cut && scan::skip_blank(self.text, at) >= self.text.len()) {
            self.found.touches |= Touches::TEMPORARY;
        }
    }
}
