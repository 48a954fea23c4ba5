//! Whole texts: every statement of them, hashed or shown.
//!
//! Owns: the way from one statement to the next, and what happens at the cap.
// HOT

use std::ops::Range;

use memchr::memchr;

use super::bytes::{Byte, class_at, is_blank};
use super::hash::{Hash, Kind};
use super::lexer::{Lexer, Stop};
use super::scan;
use super::sink::Sink;
use super::split::Splitter;
use super::text::Text;
use super::{CAP, Class, EMPTY, Rules, Statement, Touches};

/// Calls `visit` for each statement of a text; once with the class Empty if it holds none.
/// Allocates nothing. The text ends at its first NUL.
pub fn each_statement(sql: &[u8], rules: Rules, mut visit: impl FnMut(&Statement)) {
    each_within(sql, rules.into(), &mut visit);
}

/// The session's rules, and how many bytes of a statement count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub rules: Rules,
    pub cap: usize,
}

impl From<Rules> for Limits {
    fn from(rules: Rules) -> Self {
        Self { rules, cap: CAP }
    }
}

/// As `each_statement`, with a cap of one's own.
#[inline]
pub(super) fn each_within(sql: &[u8], limits: Limits, visit: &mut impl FnMut(&Statement)) {
    let mut found = 0u32;
    let tell = |statement: &Statement, ()| {
        found += 1;
        visit(statement);
        true
    };
    walk(before_nul(sql), limits, |_| (), tell);
    if found == 0 {
        visit(&empty());
    }
}

/// The first statement of a text, as a Parse message has one.
pub fn single(sql: &[u8], rules: Rules) -> Statement {
    let mut first = None;
    let take = |statement: &Statement, ()| {
        first = Some(statement.clone());
        false
    };
    walk(before_nul(sql), rules.into(), |_| (), take);
    first.unwrap_or_else(empty)
}

/// The text with `$n` for constants, in lower case, without comments; statements joined by `; `.
pub fn normalise(sql: &[u8], rules: Rules) -> String {
    // The text must be known to the last parameter before its first constant has a number, so
    // each statement is read twice.
    let sql = before_nul(sql);
    let text = joined(sql, rules, |part| {
        Text::numbered(highest_parameter(part, rules).saturating_add(1))
    });
    if text.is_empty() {
        "(empty)".to_owned()
    } else {
        text
    }
}

/// The same text with `'?'` for strings, `0` for numbers and `null` for NULL: SQL again.
pub fn redact(sql: &[u8], rules: Rules) -> String {
    joined(before_nul(sql), rules, |_| Text::redacted())
}

fn joined(sql: &[u8], rules: Rules, text_for: impl Fn(&[u8]) -> Text) -> String {
    let mut all = String::new();
    walk(sql, rules.into(), text_for, |_, text| {
        if !all.is_empty() {
            all.push_str("; ");
        }
        all.push_str(&text.into_string());
        true
    });
    all
}

pub(super) fn empty() -> Statement {
    Statement {
        fingerprint: EMPTY,
        class: Class::Empty,
        ..Statement::default()
    }
}

pub(super) fn before_nul(sql: &[u8]) -> &[u8] {
    match memchr(0, sql) {
        Some(end) => sql.get(..end).unwrap_or_default(),
        None => sql,
    }
}

fn highest_parameter(part: &[u8], rules: Rules) -> u32 {
    let part = part.get(..CAP).unwrap_or(part);
    let mut lexer = Lexer::new(part, 0, rules, false, ());
    lexer.run();
    lexer.parameters()
}

/// A statement that was read, and where the next may begin.
pub(super) struct Step<S> {
    pub statement: Statement,
    pub out: S,
    pub next: usize,
    /// A semicolon ended it.
    pub is_closed: bool,
}

/// What reading one statement came to.
pub(super) enum Reading<S> {
    /// One statement; `statement.span` says where it stands.
    One(Step<S>),
    /// Blanks and comments up to here, and whether a semicolon ended them.
    Nothing(usize, bool),
    /// More than the cap: the rest is for the splitter.
    Long(Step<S>),
}

/// Reads the statement that begins at `start`, which is not blank.
#[inline]
pub(super) fn read<S: Sink>(sql: &[u8], start: usize, limits: Limits, out: S) -> Reading<S> {
    let limit = start.saturating_add(limits.cap);
    let (text, is_long) = match sql.get(..limit) {
        Some(text) if limit < sql.len() => (text, true),
        _ => (sql, false),
    };
    let mut lexer = Lexer::new(text, start, limits.rules, is_long, out);
    let stop = lexer.run();
    let end = lexer.at;
    if stop == Stop::End && is_long {
        let is_hidden = lexer.is_empty();
        let (mut statement, out) = lexer.finish();
        if is_hidden {
            statement.touches = Touches::ALL;
        }
        statement.span = start..end;
        return Reading::Long(Step {
            statement,
            out,
            next: end,
            is_closed: false,
        });
    }
    lexer.is_cut = false;
    let is_closed = stop == Stop::Semicolon;
    let next = end + usize::from(is_closed);
    if lexer.is_empty() {
        return Reading::Nothing(next, is_closed);
    }
    let (mut statement, out) = lexer.finish();
    statement.span = trimmed(sql, start..end);
    Reading::One(Step {
        statement,
        out,
        next,
        is_closed,
    })
}

/// A span without the blanks at its end.
fn trimmed(sql: &[u8], mut span: Range<usize>) -> Range<usize> {
    while span.end > span.start && sql.get(span.end - 1).is_some_and(|b| is_blank(*b)) {
        span.end -= 1;
    }
    span
}

/// At the next byte that can begin a statement: behind blanks.
pub(super) fn begin(sql: &[u8], mut at: usize) -> usize {
    while class_at(sql, at) == Some(Byte::Blank) {
        at += 1;
    }
    at
}

/// Calls `visit` for each statement until it says false. `sink_for` is given the text from the
/// statement's begin on.
#[inline]
fn walk<S: Sink>(
    sql: &[u8],
    limits: Limits,
    sink_for: impl Fn(&[u8]) -> S,
    mut visit: impl FnMut(&Statement, S) -> bool,
) {
    if limits.rules.opaque_encoding {
        if let Some(statement) = opaque(sql, limits) {
            visit(&statement, sink_for(sql));
        }
        return;
    }
    let mut at = begin(sql, 0);
    while at < sql.len() {
        let sink = sink_for(sql.get(at..).unwrap_or_default());
        let next = match read(sql, at, limits, sink) {
            Reading::Nothing(next, _) => next,
            Reading::One(step) => {
                if !visit(&step.statement, step.out) {
                    return;
                }
                step.next
            }
            Reading::Long(mut step) => {
                let mut splitter = Splitter::new(limits);
                let next = at + splitter.push(sql.get(at..).unwrap_or_default());
                splitter.describe(&mut step.statement, at);
                if splitter.has_tokens() && !visit(&step.statement, step.out) {
                    return;
                }
                next
            }
        };
        at = begin(sql, next);
    }
}

/// Text in an encoding whose bytes cannot be told apart: its class and first word count.
pub(super) fn opaque(sql: &[u8], limits: Limits) -> Option<Statement> {
    let whole = sql;
    let sql = sql.get(..limits.cap).unwrap_or(sql);
    let start = scan::skip_blank(sql, 0);
    if start >= sql.len() {
        return None;
    }
    let end = scan::name(sql, start);
    let word = sql.get(start..end).unwrap_or_default();
    let mut lexer = Lexer::new(word, 0, Rules::default(), false, ());
    lexer.run();
    let (first, ()) = lexer.finish();
    let mut hash = Hash::new();
    hash.content(Kind::Label, b"(opaque)");
    hash.nested(first.fingerprint);
    Some(Statement {
        fingerprint: hash.finish(),
        span: trimmed(whole, start..whole.len()),
        body: None,
        touches: opaque_touches(whole, limits, first.touches),
        ..first
    })
}

/// What a text in such an encoding may touch: read as it is if it is ASCII, else as the first word
/// says, with all that its words may mean.
fn opaque_touches(text: &[u8], limits: Limits, first: Touches) -> Touches {
    /// Each with a word that must stand in the text.
    const SPOKEN_OF: [(&[u8], Touches); 12] = [
        (b"advisory", Touches::LOCKS),
        (b"temp", Touches::TEMPORARY),
        (b"hold", Touches::CURSORS),
        (b"listen", Touches::LISTENING),
        (b"prepare", Touches::PREPARED),
        (b"execute", Touches::PREPARED),
        (b"deallocate", Touches::PREPARED),
        (b"load", Touches::LIBRARY),
        (b"nextval", Touches::SEQUENCE),
        (b"setval", Touches::SEQUENCE),
        (b"currval", Touches::SEQUENCE_READ),
        (b"lastval", Touches::SEQUENCE_READ),
    ];
    if text.len() > limits.cap {
        return Touches::ALL;
    }
    let mut touches = first;
    if text.is_ascii() {
        let rules = Rules {
            opaque_encoding: false,
            ..limits.rules
        };
        walk(
            text,
            rules.into(),
            |_| (),
            |statement, ()| {
                touches |= statement.touches;
                true
            },
        );
        return touches;
    }
    touches |= Touches::FUNCTION;
    for (word, kind) in SPOKEN_OF {
        if text
            .windows(word.len())
            .any(|part| part.eq_ignore_ascii_case(word))
        {
            touches |= kind;
        }
    }
    touches
}
