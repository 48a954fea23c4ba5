//! Whether a text means the same whenever it is parsed.
//!
//! Owns: which statements may be parsed once and run many times though the client sends a Parse
//! each time. PostgreSQL turns a literal into a value when it parses: `'now'::timestamp` kept is
//! the time of the first Parse for ever (PostgreSQL documentation 8.5.1.4, "Special Values"). Errs
//! on the side of no. Looks at a text once, when it is first shared.

use super::bytes::{Byte, class_at};
use super::scan::{self, Dollar};
use super::{Class, Rules, Statement, Touches};

/// Words that a literal of a date or time type takes from the clock.
const MOVING: [&[u8]; 5] = [b"now", b"today", b"tomorrow", b"yesterday", b"allballs"];
/// First words of what PostgreSQL plans; everything else is a utility statement.
const PLANNED: [&[u8]; 7] = [
    b"select", b"insert", b"update", b"delete", b"merge", b"values", b"with",
];

/// Whether `text`, read as `statement`, is planned, leaves nothing in its session that we know of,
/// and has no literal that may be another value at another time.
pub fn is_lasting(text: &[u8], statement: &Statement, rules: Rules) -> bool {
    let is_planned = matches!(
        statement.class,
        Class::Select | Class::Insert | Class::Update | Class::Delete | Class::Merge
    );
    is_planned
        && !statement.is_truncated
        && !statement.is_unterminated
        && !rules.opaque_encoding
        && (statement.touches == statement.touches.and(Touches::FUNCTION))
        && begins_planned(text)
        && !has_moving_literal(text, rules)
}

fn begins_planned(text: &[u8]) -> bool {
    let start = scan::skip_blank(text, 0);
    let word = text.get(start..scan::name(text, start)).unwrap_or_default();
    PLANNED.iter().any(|known| known.eq_ignore_ascii_case(word))
}

fn has_moving_literal(text: &[u8], rules: Rules) -> bool {
    let mut at = scan::skip_blank(text, 0);
    while at < text.len() {
        let Some(end) = scan::token(text, at, rules.backslash_quotes) else {
            return true;
        };
        let token = text.get(at..end).unwrap_or_default();
        if is_literal(text, at, rules) && may_move(token) {
            return true;
        }
        at = scan::skip_blank(text, end.max(at + 1));
    }
    false
}

fn is_literal(text: &[u8], at: usize, rules: Rules) -> bool {
    match class_at(text, at) {
        Some(Byte::Quote) => true,
        Some(Byte::Name) => scan::prefixed(text, at, rules.backslash_quotes)
            .is_some_and(|prefixed| !prefixed.is_name),
        Some(Byte::Dollar) => matches!(scan::dollar(text, at), Dollar::Literal(_)),
        _ => false,
    }
}

/// An escape may spell a word in another way, and so may a string in two pieces.
fn may_move(literal: &[u8]) -> bool {
    let has_escapes = literal.contains(&b'\\') || literal.get(1) == Some(&b'&');
    let has_break = literal.iter().any(|b| matches!(b, b'\n' | b'\r'));
    let quotes = literal.iter().filter(|b| **b == b'\'').count();
    has_escapes
        || (has_break && quotes > 2)
        || MOVING.iter().any(|word| {
            let mut windows = literal.windows(word.len());
            windows.any(|window| window.eq_ignore_ascii_case(word))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::single;

    fn lasts(text: &str) -> bool {
        let rules = Rules::default();
        let statement = single(text.as_bytes(), rules);
        is_lasting(text.as_bytes(), &statement, rules)
    }

    #[test]
    fn planned_statements_last() {
        for text in [
            "select abalance from pgbench_accounts where aid = $1",
            " /* c */ SELECT now(), current_date, 'infinity'::timestamp, 'epoch'::date",
            "insert into t values ($1, 'x', $$y$$) returning id",
            "with a as (select 1) select * from a;",
            "select \"now\" from t -- 'now'",
            "values (1)",
        ] {
            assert!(lasts(text), "{text}");
        }
    }

    #[test]
    fn what_may_mean_another_thing_later_does_not() {
        for text in [
            "select 'now'::timestamp",
            "select ' Now ()'",
            "select E'n\\157w'::timestamp",
            "select U&'n\\006fw'::timestamp",
            "select $$today$$::date",
            "select $x$yesterday$x$::date",
            "select 'to'\n'day'::date",
            "select timestamp 'tomorrow'",
            "select 'unknown'",
            "begin",
            "commit",
            "fetch all from c",
            "show timezone",
            "set timezone = 'UTC'",
            "execute a",
            "create table t (a int)",
            "select 'open",
            "",
        ] {
            assert!(!lasts(text), "{text}");
        }
    }
}
