//! The words of the console's language.
//!
//! Owns reading of blanks, words and quoted texts. Touches nothing.

/// A word with its length as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Without its quotes.
    pub text: String,
    /// Bytes as written, quotes included.
    pub raw_len: usize,
}

/// Reads a text from its beginning on.
#[derive(Clone, Debug)]
pub struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    /// From the beginning of a text.
    pub fn over(rest: &'a str) -> Self {
        Self { rest }
    }

    /// Skips blanks; true if there were any.
    pub fn blanks(&mut self) -> bool {
        let before = self.rest.len();
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
        self.rest.len() < before
    }

    /// These bytes, in whatever case.
    pub fn literal(&mut self, literal: &str) -> bool {
        let is_here = self
            .rest
            .get(..literal.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(literal));
        if is_here {
            self.rest = &self.rest[literal.len()..];
        }
        is_here
    }

    /// An unquoted word of this spelling, with the blanks in front of it.
    pub fn keyword(&mut self, keyword: &str) -> bool {
        let mut ahead = self.clone();
        ahead.blanks();
        let is_bare = !ahead.rest.starts_with('"');
        let is_here = is_bare
            && ahead
                .word()
                .is_some_and(|word| word.text.eq_ignore_ascii_case(keyword));
        if is_here {
            *self = ahead;
        }
        is_here
    }

    /// `"..."` or letters, digits and underscores.
    pub fn word(&mut self) -> Option<Word> {
        if let Some(word) = self.quoted(b'"') {
            return Some(word);
        }
        self.bare(|c| c.is_ascii_alphanumeric() || c == '_')
    }

    /// A word, a text in either quotes, or anything else up to a blank or semicolon, with the
    /// blanks in front of it.
    pub fn value(&mut self) -> Option<Word> {
        self.blanks();
        if self.rest.starts_with(['\'', '"']) {
            return self.quoted(b'\'').or_else(|| self.quoted(b'"'));
        }
        self.bare(|c| !c.is_ascii_whitespace() && c != ';' && c != '\'' && c != '"')
    }

    fn bare(&mut self, is_part: impl Fn(char) -> bool) -> Option<Word> {
        let length = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        if length == 0 {
            return None;
        }
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(Word {
            text: word.to_owned(),
            raw_len: length,
        })
    }

    /// A text in quotes, where a doubled quote stands for one.
    pub fn quoted(&mut self, quote: u8) -> Option<Word> {
        let quote = char::from(quote);
        let body = self.rest.strip_prefix(quote)?;
        let mut text = String::new();
        let mut chars = body.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c != quote {
                text.push(c);
            } else if chars.peek().is_some_and(|&(_, next)| next == quote) {
                chars.next();
                text.push(quote);
            } else {
                self.rest = &body[at + 1..];
                return Some(Word {
                    text,
                    raw_len: at + 2,
                });
            }
        }
        None
    }

    /// Blanks, at most one semicolon, and nothing else.
    pub fn end(&mut self) -> bool {
        self.blanks();
        self.literal(";");
        self.blanks();
        self.rest.is_empty()
    }

    /// The next word as it stands, for messages; empty at the end.
    pub fn ahead(&self) -> &'a str {
        let rest = self.rest.trim_start();
        let end = rest.find(|c: char| c.is_ascii_whitespace() || c == ';');
        &rest[..end.unwrap_or(rest.len())]
    }
}
