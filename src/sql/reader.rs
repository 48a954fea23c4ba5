//! A statement read slowly: names as PostgreSQL folds them, literals as SQL that means the same in
//! every session.
//!
//! Owns: the tokens of the few statements that change a session. Allocates. What it does not
//! understand it does not take.
//! Source: PostgreSQL's `scan.l`, `parser.c` (U&''), `truncate_identifier`.

use super::bytes::{Byte, class_at};
use super::hash::NAME_BYTES;
use super::scan;

/// Reads tokens from a text.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    backslash: bool,
}

/// A string literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Literal {
    /// As SQL: `'...'` without a backslash, or `E'...'`.
    pub sql: String,
    /// Its content, where that can be told without the server's encoding.
    pub content: Option<String>,
}

impl Literal {
    /// A literal with this content.
    pub fn of(content: &str) -> Self {
        let sql = quoted(content);
        let content = Some(content.to_owned());
        Self { sql, content }
    }
}

/// A string as SQL that means the same whatever `standard_conforming_strings` is.
pub fn quoted(content: &str) -> String {
    let doubled = content.replace('\'', "''");
    if doubled.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

impl<'a> Reader<'a> {
    /// At the begin of a text that is one statement.
    pub fn new(text: &'a [u8], backslash: bool) -> Self {
        Self {
            text,
            at: 0,
            backslash,
        }
    }

    fn skip(&mut self) {
        self.at = scan::skip_blank(self.text, self.at);
    }

    /// Whether nothing follows but blanks, comments and semicolons.
    pub fn is_over(&mut self) -> bool {
        while self.takes(b';') {}
        self.at >= self.text.len()
    }

    /// The class of the next token.
    pub fn class(&mut self) -> Option<Byte> {
        self.skip();
        class_at(self.text, self.at)
    }

    /// Moves behind the byte if it stands next.
    pub fn takes(&mut self, byte: u8) -> bool {
        self.skip();
        let is_it = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(is_it);
        is_it
    }

    fn unquoted(&mut self) -> Option<&'a [u8]> {
        self.skip();
        if class_at(self.text, self.at) != Some(Byte::Name)
            || scan::prefixed(self.text, self.at, self.backslash).is_some()
        {
            return None;
        }
        self.text.get(self.at..scan::name(self.text, self.at))
    }

    /// Moves behind the unquoted word if it stands next.
    pub fn word(&mut self, word: &str) -> bool {
        let is_it = self
            .unquoted()
            .is_some_and(|found| found.eq_ignore_ascii_case(word.as_bytes()));
        if is_it {
            self.at += word.len();
        }
        is_it
    }

    /// Whether the unquoted word stands next.
    pub fn sees(&self, word: &str) -> bool {
        let mut ahead = *self;
        ahead.word(word)
    }

    /// Moves behind all the words if they stand next.
    pub fn words(&mut self, words: &[&str]) -> bool {
        let start = *self;
        let are_there = words.iter().all(|word| self.word(word));
        if !are_there {
            *self = start;
        }
        are_there
    }

    /// A name, folded and cut to 63 bytes. None for `U&""`, and for what is not UTF-8.
    pub fn name(&mut self) -> Option<String> {
        if let Some(word) = self.unquoted() {
            let name = std::str::from_utf8(word).ok()?;
            self.at += word.len();
            return Some(cut(&name.to_ascii_lowercase()));
        }
        let raw = self.quoted_name()?;
        let inside = raw.strip_prefix('"')?.strip_suffix('"')?;
        Some(cut(&inside.replace("\"\"", "\"")))
    }

    /// A quoted name as it stands in the text.
    pub fn quoted_name(&mut self) -> Option<&'a str> {
        self.skip();
        if class_at(self.text, self.at) != Some(Byte::DoubleQuote) {
            return None;
        }
        let end = scan::quoted_name(self.text, self.at)?;
        let raw = std::str::from_utf8(self.text.get(self.at..end)?).ok()?;
        self.at = end;
        Some(raw)
    }

    /// Moves behind whatever token stands next; None at the end, or where it has no end.
    pub fn any(&mut self) -> Option<()> {
        self.skip();
        self.at = scan::token(self.text, self.at, self.backslash)?;
        Some(())
    }

    /// Whether this name stands next, or one that may be it with escapes.
    pub fn name_is(&self, name: &str) -> bool {
        let mut ahead = *self;
        match ahead.class() {
            Some(Byte::Name) => match scan::prefixed(ahead.text, ahead.at, ahead.backslash) {
                Some(prefixed) => prefixed.is_name,
                None => ahead.word(name),
            },
            Some(Byte::DoubleQuote) => ahead.name().is_some_and(|found| found == name),
            _ => false,
        }
    }

    /// An unquoted word as it stands in the text.
    pub fn raw_word(&mut self) -> Option<&'a str> {
        let word = std::str::from_utf8(self.unquoted()?).ok()?;
        self.at += word.len();
        Some(word)
    }

    /// A number with its sign, as SQL.
    pub fn number(&mut self) -> Option<String> {
        let start = *self;
        let sign = if self.takes(b'-') {
            "-"
        } else {
            self.takes(b'+');
            ""
        };
        let is_digit = |class| class == Some(Byte::Digit);
        let begins = match self.class() {
            Some(Byte::Digit) => true,
            Some(Byte::Dot) => is_digit(class_at(self.text, self.at + 1)),
            _ => false,
        };
        let end = scan::number(self.text, self.at);
        let digits = self.text.get(self.at..end).map(std::str::from_utf8);
        let (true, Some(Ok(digits))) = (begins, digits) else {
            *self = start;
            return None;
        };
        self.at = end;
        Some(format!("{sign}{digits}"))
    }

    /// A string of any form that PostgreSQL takes for text: plain, `E''`, `U&''`, dollar-quoted.
    pub fn literal(&mut self) -> Option<Literal> {
        self.skip();
        let start = self.at;
        let found = match class_at(self.text, start)? {
            Byte::Quote => self.plain(start, self.backslash),
            Byte::Dollar => self.dollar(),
            Byte::Name => {
                let prefixed = scan::prefixed(self.text, start, self.backslash)?;
                match self.text.get(start)?.to_ascii_lowercase() {
                    b'e' => self.plain(prefixed.quote, true),
                    b'u' if !prefixed.is_name => self.unicode(prefixed.quote),
                    _ => None,
                }
            }
            _ => None,
        };
        if found.is_none() {
            self.at = start;
        }
        found
    }

    /// A string whose quote is at `quote`, and those that continue it, joined.
    fn joined(&mut self, quote: usize, escapes: bool) -> Option<String> {
        let end = scan::string(self.text, quote, escapes)?;
        let mut joined = Vec::new();
        let mut at = quote;
        while at < end {
            // One part by itself: as if the text ended behind it.
            let close = part_end(self.text, at, escapes)?;
            joined.extend_from_slice(self.text.get(at + 1..close)?);
            at = scan::skip_blank(self.text.get(..end)?, close + 1);
        }
        self.at = end;
        String::from_utf8(joined).ok()
    }

    fn plain(&mut self, quote: usize, escapes: bool) -> Option<Literal> {
        let raw = self.joined(quote, escapes)?;
        if !escapes || !raw.contains('\\') {
            return Some(Literal::of(&raw.replace("''", "'")));
        }
        let content = simple_escapes(&raw);
        Some(Literal {
            sql: format!("E'{raw}'"),
            content,
        })
    }

    fn dollar(&mut self) -> Option<Literal> {
        let scan::Dollar::Literal(Some(end)) = scan::dollar(self.text, self.at) else {
            return None;
        };
        let raw = std::str::from_utf8(self.text.get(self.at..end)?).ok()?;
        let tag = raw.get(..raw.get(1..)?.find('$')? + 2)?;
        let inside = raw.strip_prefix(tag)?.strip_suffix(tag)?;
        self.at = end;
        Some(Literal::of(inside))
    }

    /// `U&'...' [UESCAPE 'c']` as `E'...'`.
    fn unicode(&mut self, quote: usize) -> Option<Literal> {
        if self.backslash {
            return None;
        }
        let raw = self.joined(quote, false)?.replace("''", "'");
        let mut escape = '\\';
        if self.word("uescape") {
            escape = self.literal()?.content?.chars().next()?;
        }
        let content = unescaped(&raw, escape)?;
        Some(Literal::of(&content))
    }
}

/// Where the string that opens at `at` closes, without those that continue it.
fn part_end(text: &[u8], at: usize, escapes: bool) -> Option<usize> {
    let mut at = at + 1;
    loop {
        match (text.get(at)?, text.get(at + 1)) {
            (b'\'', Some(b'\'')) => at += 2,
            (b'\'', _) => return Some(at),
            (b'\\', _) if escapes => at += 2,
            _ => at += 1,
        }
    }
}

/// The content of an `E''` that has only escapes of one ASCII character.
fn simple_escapes(raw: &str) -> Option<String> {
    let mut content = String::new();
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                chars.next();
                content.push('\'');
            }
            '\\' => match chars.next()? {
                c @ ('\\' | '\'' | '"' | ' ' | ',' | '.' | '-' | '$') => content.push(c),
                'n' => content.push('\n'),
                't' => content.push('\t'),
                'r' => content.push('\r'),
                _ => return None,
            },
            c => content.push(c),
        }
    }
    Some(content)
}

/// The content of a `U&''`.
fn unescaped(raw: &str, escape: char) -> Option<String> {
    let mut content = String::new();
    let mut rest = raw;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..)?;
        if c != escape {
            content.push(c);
        } else if rest.starts_with(escape) {
            content.push(escape);
            rest = rest.get(escape.len_utf8()..)?;
        } else {
            let from = usize::from(rest.starts_with('+'));
            let length = if from == 1 { 6 } else { 4 };
            let digits = rest.get(from..from + length)?;
            // Halves of surrogate pairs are no characters: left to the server.
            content.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
            rest = rest.get(from + length..)?;
        }
    }
    Some(content)
}

/// The first 63 bytes, no character cut in two.
fn cut(name: &str) -> String {
    let mut end = name.len().min(NAME_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default().to_owned()
}
