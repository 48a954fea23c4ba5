//! Names of the functions that a statement calls, as far as pg_catalog does not have them.
//!
//! Owns: reading them out of a whole text. Errs to the safe side: a statement that may touch its
//! session in any other way than by these functions has none.

use super::bytes::{Byte, class_at};
use super::calls::{Calls, Verdict};
use super::catalog;
use super::scan::{self, Dollar};
use super::touches::Touches;
use super::{Class, Rules, Statement};

/// Most names of one statement.
const MOST: usize = 32;

/// Longest name, in bytes: PostgreSQL cuts off the rest.
const LONGEST: usize = 63;

/// The names before brackets in the statement of `text` that may be functions outside pg_catalog;
/// `None`: it may touch its session unseen by other means, or not all names are understood.
pub fn callees(text: &[u8], statement: &Statement, rules: Rules) -> Option<Vec<Box<str>>> {
    let is_planned = matches!(
        statement.class,
        Class::Select | Class::Insert | Class::Update | Class::Delete | Class::Merge
    );
    let is_read = !statement.is_truncated && !statement.is_unterminated && !rules.opaque_encoding;
    if !is_planned || !is_read {
        return None;
    }
    let names = read(text.get(statement.span.clone())?, rules)?;
    (!names.is_empty() && names.len() <= MOST).then_some(names)
}

fn read(text: &[u8], rules: Rules) -> Option<Vec<Box<str>>> {
    let mut calls = Calls::default();
    let mut names = Vec::new();
    let mut at = scan::skip_blank(text, 0);
    while let Some(class) = class_at(text, at) {
        let end = scan::token(text, at, rules.backslash_quotes)?;
        let token = text.get(at..end)?;
        match class {
            Byte::Name => match scan::prefixed(text, at, rules.backslash_quotes) {
                Some(prefixed) if prefixed.is_name => return None,
                Some(_) => calls.literal(),
                None if token.eq_ignore_ascii_case(b"pg_settings") => return None,
                None => calls.name(token, false),
            },
            Byte::DoubleQuote => calls.name(plain(token)?, true),
            Byte::Quote | Byte::Digit => calls.literal(),
            Byte::Dollar if scan::dollar(text, at) != Dollar::Junk => calls.literal(),
            _ => {
                for byte in token {
                    match calls.byte(*byte) {
                        Some((Verdict::Unknown, _)) => add(&mut names, calls.behind())?,
                        Some((Verdict::Touches(touches), _)) if touches.has(Touches::FUNCTION) => {
                            return None;
                        }
                        _ => {}
                    }
                }
            }
        }
        at = scan::skip_blank(text, end);
    }
    Some(names)
}

/// A quoted name that means what stands there; an UPDATE of pg_settings sets them.
fn plain(token: &[u8]) -> Option<&[u8]> {
    let inside = token.get(1..token.len().checked_sub(1)?)?;
    (!inside.contains(&b'"') && inside != b"pg_settings").then_some(inside)
}

fn add(names: &mut Vec<Box<str>>, name: &[u8]) -> Option<()> {
    // One of pg_catalog's names that is in another schema as well: which one is meant is not known.
    let touches = catalog::find(name).function().unwrap_or_default();
    let is_clear = name.is_ascii() && (1..=LONGEST).contains(&name.len()) && touches.is_empty();
    let name = std::str::from_utf8(name).ok().filter(|_| is_clear)?;
    if names.len() <= MOST && !names.iter().any(|known| &**known == name) {
        names.push(name.into());
    }
    Some(())
}
