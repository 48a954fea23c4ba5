//! Which names before a bracket are calls of functions, and of which.
//!
//! Owns: the judgement by what stands before the name, over tokens in their order. Errs to the safe
//! side: what may be a call of a function that pg_catalog does not have is taken for one.
//! The lexer judges most brackets by itself (`called.rs`) and comes here with the rest.
//! Source: `func_name`, `alias_clause` and their neighbours in PostgreSQL's grammar.

use super::Rules;
use super::bytes::{Byte, class_at};
use super::catalog::{self, Keyword, Known};
use super::hash::NAME_BYTES;
use super::scan::{self, Dollar};
use super::touches::Touches;

/// What stands before a name, as far as it decides what the name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// An operator, a bracket, a word such as WHERE: an operand begins.
    Operand,
    /// A comma: an operand begins, or the next name of a WITH.
    Comma,
    /// INTO, AS, WITH, `::` and their like: a name whose brackets hold no arguments.
    Listed,
    /// A name that is no keyword, or is quoted: an alias with columns follows.
    Name,
    /// A closing bracket: the same follows, but for those of DISTINCT ON () and OPERATOR().
    Close,
    /// A closing bracket, and it is not known of what.
    SomeClose,
    /// ON, NOT, THEN, BY: an operand, or one word of theirs.
    Pair(Pair),
    /// Any other keyword.
    Keyword,
    /// A literal.
    Literal,
}

/// Words before which an operand begins, unless a certain word follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pair {
    On,
    Not,
    Then,
    By,
}

/// No call, or one of a function that leaves nothing.
const NOTHING: Verdict = Verdict::Touches(Touches::NONE);

/// What a bracket behind a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It touches just this.
    Touches(Touches),
    /// It may be a call of a function that is not known.
    Unknown,
}

/// Keywords that a function may be named like and that syntax puts before a bracket.
fn is_syntax(word: &[u8]) -> bool {
    matches!(
        word,
        b"columns"
            | b"conflict"
            | b"cube"
            | b"escape"
            | b"filter"
            | b"first"
            | b"groups"
            | b"insert"
            | b"join"
            | b"key"
            | b"materialized"
            | b"next"
            | b"over"
            | b"passing"
            | b"range"
            | b"repeatable"
            | b"rollup"
            | b"rows"
            | b"second"
            | b"set"
            | b"sets"
            | b"value"
            | b"varying"
            | b"verbose"
            | b"zone"
            | b"by"
    )
}

impl Before {
    /// What an unquoted word in lower case, which ends before the name, is for it.
    pub fn of_word(word: &[u8]) -> Self {
        match word {
            b"into" | b"as" | b"with" | b"recursive" | b"execute" | b"call" => Self::Listed,
            b"on" => Self::Pair(Pair::On),
            b"not" => Self::Pair(Pair::Not),
            b"then" => Self::Pair(Pair::Then),
            b"by" => Self::Pair(Pair::By),
            b"select" | b"distinct" | b"all" | b"where" | b"and" | b"or" | b"having" | b"when"
            | b"else" | b"case" | b"limit" | b"offset" | b"returning" | b"between" | b"like"
            | b"ilike" | b"in" | b"for" | b"to" | b"zone" | b"escape" | b"placing" | b"from"
            | b"using" | b"any" | b"some" | b"variadic" | b"default" | b"lateral"
            | b"symmetric" => Self::Operand,
            _ if catalog::find(word).keyword() == Keyword::No => Self::Name,
            _ => Self::Keyword,
        }
    }

    /// Whether an operand begins before this unquoted word.
    fn is_operand(self, word: &[u8]) -> bool {
        match self {
            Self::Operand | Self::Comma => true,
            Self::Pair(Pair::On) => word != b"conflict",
            Self::Pair(Pair::Not) => word != b"materialized",
            Self::Pair(Pair::Then) => word != b"insert",
            Self::Pair(Pair::By) => !matches!(word, b"cube" | b"rollup"),
            _ => false,
        }
    }
}

/// The schema that stands before a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Schema {
    /// There is none.
    No,
    /// It is pg_catalog.
    Catalog,
    /// It is another one.
    Other,
}

/// Judges a bracket by the name before it alone, if that is enough; `is_word`: the name is
/// unquoted and has no schema.
#[inline]
pub(super) fn judge_name(known: Known, schema: Schema, is_word: bool) -> Option<Verdict> {
    if schema != Schema::Other
        && let Some(touches) = known.function()
    {
        return Some(Verdict::Touches(touches));
    }
    (is_word && known.keyword() == Keyword::Uncallable).then_some(NOTHING)
}

/// Judges a bracket by what stands before the name; `name` as PostgreSQL folds it.
pub(super) fn judge_before(name: &[u8], is_word: bool, before: Before) -> Verdict {
    if is_word && is_syntax(name) {
        return if before.is_operand(name) {
            Verdict::Unknown
        } else {
            NOTHING
        };
    }
    match before {
        Before::Listed | Before::Name | Before::Close => NOTHING,
        _ => Verdict::Unknown,
    }
}

/// A name with its schema.
#[derive(Clone, Copy, Debug)]
struct Name {
    bytes: [u8; NAME_BYTES + 1],
    /// Up to 64: no name of pg_catalog is so long, so of a longer one this is enough.
    length: usize,
    is_quoted: bool,
    schema: Schema,
}

impl Name {
    const NONE: Self = Self {
        bytes: [0; NAME_BYTES + 1],
        length: 0,
        is_quoted: false,
        schema: Schema::No,
    };

    /// As PostgreSQL folds it.
    fn content(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn is_word(&self) -> bool {
        !self.is_quoted && self.schema == Schema::No
    }

    /// What it is for a name behind it.
    fn before(&self) -> Before {
        if self.is_word() {
            Before::of_word(self.content())
        } else {
            Before::Name
        }
    }
}

/// Reads tokens in their order and judges each name before a bracket.
#[derive(Debug)]
pub(super) struct Calls {
    /// What stands before the name; None: `earlier` does.
    before: Option<Before>,
    earlier: Name,
    name: Name,
    /// The last token was the name.
    is_name: bool,
    is_behind_dot: bool,
    is_behind_colon: bool,
    /// By level: the bracket belongs to ON or OPERATOR, so an operand may follow it.
    brackets: u64,
    /// Whatever stands before a name, it may be called.
    is_code: bool,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            before: Some(Before::Operand),
            earlier: Name::NONE,
            name: Name::NONE,
            is_name: false,
            is_behind_dot: false,
            is_behind_colon: false,
            brackets: 0,
            is_code: false,
        }
    }
}

impl Calls {
    /// For a language that has other words before operands than SQL.
    pub fn of_code() -> Self {
        Self {
            is_code: true,
            ..Self::default()
        }
    }

    /// The name that was read last is what stands before the next.
    fn pass(&mut self) {
        if self.is_name {
            std::mem::swap(&mut self.name, &mut self.earlier);
            self.before = None;
        }
        self.is_name = false;
        self.is_behind_dot = false;
        self.is_behind_colon = false;
    }

    /// A name: its content, of an unquoted one in any case; of one in `U&""` nothing is known.
    pub fn name(&mut self, content: &[u8], is_quoted: bool) {
        let mut schema = Schema::No;
        if self.is_behind_dot {
            schema = if self.name.content() == b"pg_catalog" {
                Schema::Catalog
            } else {
                Schema::Other
            };
            self.is_behind_dot = false;
        } else {
            self.pass();
        }
        let name = &mut self.name;
        name.length = content.len().min(name.bytes.len());
        let to = name.bytes.get_mut(..name.length).unwrap_or_default();
        to.copy_from_slice(content.get(..to.len()).unwrap_or_default());
        if !is_quoted {
            to.make_ascii_lowercase();
        }
        name.is_quoted = is_quoted;
        name.schema = schema;
        self.is_name = true;
    }

    /// A literal, a parameter or a number.
    pub fn literal(&mut self) {
        self.pass();
        self.before = Some(Before::Literal);
    }

    /// Whether the name before the last byte was quoted.
    pub fn was_quoted(&self) -> bool {
        self.earlier.is_quoted
    }

    /// The name before the bracket that was read last, as PostgreSQL folds it, up to 64 bytes.
    pub fn behind(&self) -> &[u8] {
        self.earlier.content()
    }

    /// `(`: if a name stands before it, what the bracket is, and what stands before the name.
    fn open(&mut self) -> Option<(Verdict, Before)> {
        let name = &self.name;
        let mut found = None;
        if self.is_name && !self.is_behind_dot {
            let before = match self.is_code {
                true => Before::Operand,
                false => self.before.unwrap_or_else(|| self.earlier.before()),
            };
            let is_word = name.is_word();
            let known = catalog::find(name.content());
            let verdict = judge_name(known, name.schema, is_word)
                .unwrap_or_else(|| judge_before(name.content(), is_word, before));
            found = Some((verdict, before));
        }
        let is_of_operand =
            self.is_name && name.is_word() && matches!(name.content(), b"on" | b"operator");
        self.brackets = self.brackets << 1 | u64::from(is_of_operand);
        found
    }

    /// One byte of an operator or of punctuation; at `(` what the bracket is.
    pub fn byte(&mut self, byte: u8) -> Option<(Verdict, Before)> {
        if byte == b'.' && self.is_name {
            self.is_behind_dot = true;
            return None;
        }
        let is_cast = byte == b':' && self.is_behind_colon;
        let found = if byte == b'(' { self.open() } else { None };
        self.pass();
        self.is_behind_colon = byte == b':' && !is_cast;
        self.before = Some(match byte {
            b')' => {
                let is_of_operand = self.brackets & 1 != 0;
                self.brackets >>= 1;
                if is_of_operand {
                    Before::Operand
                } else {
                    Before::Close
                }
            }
            b',' => Before::Comma,
            b':' if is_cast => Before::Listed,
            _ => Before::Operand,
        });
        found
    }
}

/// What the calls in `text` from `at` on touch. Exact, token by token.
pub(super) fn read(text: &[u8], mut at: usize, rules: Rules) -> Touches {
    let mut calls = Calls::default();
    let mut touches = Touches::NONE;
    loop {
        at = scan::skip_blank(text, at);
        let Some(class) = class_at(text, at) else {
            return touches;
        };
        let end = scan::token(text, at, rules.backslash_quotes).unwrap_or(text.len());
        let token = text.get(at..end).unwrap_or_default();
        match class {
            Byte::Name => match scan::prefixed(text, at, rules.backslash_quotes) {
                Some(prefixed) if prefixed.is_name => calls.name(b"", true),
                Some(_) => calls.literal(),
                None => calls.name(token, false),
            },
            Byte::DoubleQuote => quoted(&mut calls, token),
            Byte::Quote | Byte::Digit => calls.literal(),
            Byte::Dollar if scan::dollar(text, at) != Dollar::Junk => calls.literal(),
            _ => match judged(&mut calls, token) {
                Some((Verdict::Touches(more), _)) => touches |= more,
                // One is enough: looking ahead from each of many would take quadratic time.
                Some((Verdict::Unknown, _)) if touches.has(Touches::FUNCTION) => {}
                Some((Verdict::Unknown, Before::Comma)) if begins_query(text, at, rules) => {}
                Some((Verdict::Unknown, _)) => touches |= Touches::FUNCTION,
                None => {}
            },
        }
        at = end;
    }
}

fn quoted(calls: &mut Calls, token: &[u8]) {
    let inside = token.get(1..token.len().saturating_sub(1));
    match inside {
        // None of pg_catalog's names has a quote in it.
        Some(inside) if !inside.contains(&b'"') => calls.name(inside, true),
        _ => calls.name(b"", true),
    }
}

/// Every byte of an operator or one of punctuation.
fn judged(calls: &mut Calls, token: &[u8]) -> Option<(Verdict, Before)> {
    token.iter().filter_map(|byte| calls.byte(*byte)).last()
}

/// Whether the brackets from `open` on are the columns of a query of a WITH: `AS (SELECT` follows.
/// Behind a function in FROM it would be `AS (column type`.
fn begins_query(text: &[u8], open: usize, rules: Rules) -> bool {
    let mut at = open;
    let mut depth = 0u32;
    loop {
        match text.get(at) {
            Some(b'(') => depth += 1,
            Some(b')') => depth -= 1,
            _ => {}
        }
        let Some(end) = scan::token(text, at, rules.backslash_quotes) else {
            return false;
        };
        at = scan::skip_blank(text, end);
        if depth == 0 {
            break;
        }
    }
    let mut accept = |word: &[u8]| {
        let end = scan::name(text, at);
        let found = text.get(at..end).unwrap_or_default();
        let is_it = found.eq_ignore_ascii_case(word);
        if is_it {
            at = scan::skip_blank(text, end);
        }
        is_it
    };
    if !accept(b"as") {
        return false;
    }
    accept(b"not");
    accept(b"materialized");
    if text.get(at) != Some(&b'(') {
        return false;
    }
    at = scan::skip_blank(text, at + 1);
    let end = scan::name(text, at);
    let word = text.get(at..end).unwrap_or_default();
    [&b"select"[..], b"with", b"table"]
        .iter()
        .any(|query| word.eq_ignore_ascii_case(query))
}
