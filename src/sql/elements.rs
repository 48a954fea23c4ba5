//! The elements of a list, looked at without hashing anything.
//!
//! Owns: what counts as constant in a list (rule 18 of insight.md 1.4): literals, signed numbers,
//! NULL, TRUE, FALSE, parameters, each also with casts or with its type in front.
// HOT

use super::bytes::{self, Byte, class_at};
use super::scan::{self, Dollar};
use super::sink::Constant;
use super::{Rules, integers};

/// What stands between the brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elements {
    /// Only constants.
    List {
        /// 1, or 2 and more: beyond that they are not all counted.
        count: u32,
        /// Where the closing bracket stands.
        close: usize,
        /// What the first of them is.
        kind: Constant,
    },
    /// It begins with a row.
    Row,
    /// The text ends before the list does.
    End,
    /// Anything else.
    Other,
}

/// Reads the elements from `at` (not blank) up to the bracket `close`.
pub fn elements(text: &[u8], at: usize, close: u8, rules: Rules) -> Elements {
    if class_at(text, at) == Some(Byte::Open) {
        return Elements::Row;
    }
    let mut start = (at, 0, None);
    if class_at(text, at) == Some(Byte::Digit) {
        let behind = integers::skip(text, at);
        if behind > at {
            start = (scan::skip_blank(text, behind), 1, Some(Constant::Number));
        }
    }
    by_element(text, start, close, rules)
}

/// Goes on element by element: from where, how many there were, what the first was.
fn by_element(
    text: &[u8],
    (mut at, mut count, mut first): (usize, u32, Option<Constant>),
    close: u8,
    rules: Rules,
) -> Elements {
    loop {
        let Some((kind, end)) = element(text, at, rules) else {
            return if at >= text.len() {
                Elements::End
            } else {
                Elements::Other
            };
        };
        count += 1;
        let kind = *first.get_or_insert(kind);
        at = scan::skip_blank(text, end);
        match text.get(at) {
            Some(b',') => at = scan::skip_blank(text, at + 1),
            Some(b) if *b == close => {
                return Elements::List {
                    count,
                    close: at,
                    kind,
                };
            }
            Some(_) => return Elements::Other,
            None => return Elements::End,
        }
    }
}

/// One element with its casts, and its end.
#[inline]
fn element(text: &[u8], at: usize, rules: Rules) -> Option<(Constant, usize)> {
    let (kind, mut end) = match class_at(text, at)? {
        Byte::Digit => (Constant::Number, scan::number(text, at)),
        Byte::Quote => (Constant::Text, string(text, at, rules.backslash_quotes)),
        Byte::Operator if text.get(at) == Some(&b'-') => return signed(text, at),
        Byte::Dot => (Constant::Number, fraction(text, at)?),
        Byte::Dollar => match scan::dollar(text, at) {
            Dollar::Parameter(end) => (Constant::Text, end),
            Dollar::Literal(end) => (Constant::Text, end.unwrap_or(text.len())),
            Dollar::Junk => return None,
        },
        Byte::Name => word(text, at, rules)?,
        _ => return None,
    };
    while let Some(behind) = cast(text, end) {
        end = behind;
    }
    Some((kind, end))
}

fn string(text: &[u8], at: usize, escapes: bool) -> usize {
    scan::string(text, at, escapes).unwrap_or(text.len())
}

fn fraction(text: &[u8], at: usize) -> Option<usize> {
    (class_at(text, at + 1) == Some(Byte::Digit)).then(|| scan::number(text, at))
}

/// A number with a sign; with a cast behind it the sign is an operator.
fn signed(text: &[u8], at: usize) -> Option<(Constant, usize)> {
    if scan::operator(text, at) != at + 1 {
        return None;
    }
    let number = scan::skip_blank(text, at + 1);
    let end = match class_at(text, number)? {
        Byte::Digit => scan::number(text, number),
        Byte::Dot => fraction(text, number)?,
        _ => return None,
    };
    cast(text, end).is_none().then_some((Constant::Number, end))
}

/// NULL, TRUE, FALSE, a string with a prefix, or a type in front of a string.
fn word(text: &[u8], at: usize, rules: Rules) -> Option<(Constant, usize)> {
    if let Some(prefixed) = scan::prefixed(text, at, rules.backslash_quotes) {
        if prefixed.is_name {
            return None;
        }
        return Some((
            Constant::Text,
            string(text, prefixed.quote, prefixed.escapes),
        ));
    }
    let end = scan::name(text, at);
    match text.get(at..end)? {
        word if word.eq_ignore_ascii_case(b"null") => return Some((Constant::Null, end)),
        word if word.eq_ignore_ascii_case(b"true") => return Some((Constant::Truth, end)),
        word if word.eq_ignore_ascii_case(b"false") => return Some((Constant::Truth, end)),
        _ => {}
    }
    let quote = scan::skip_blank(text, type_name(text, at)?);
    (class_at(text, quote) == Some(Byte::Quote))
        .then(|| (Constant::Text, string(text, quote, rules.backslash_quotes)))
}

/// Behind a `::type` at or after `at`.
fn cast(text: &[u8], at: usize) -> Option<usize> {
    let sign = if text.get(at) == Some(&b':') {
        at
    } else {
        scan::skip_blank(text, at)
    };
    if text.get(sign) != Some(&b':') || text.get(sign + 1) != Some(&b':') {
        return None;
    }
    type_name(text, scan::skip_blank(text, sign + 2))
}

/// Words that a type's name goes on with.
const MORE: [&[u8]; 6] = [
    b"varying",
    b"precision",
    b"with",
    b"without",
    b"time",
    b"zone",
];

/// Behind a type: names with dots, further words, modifiers, square brackets.
fn type_name(text: &[u8], at: usize) -> Option<usize> {
    let mut end = one_name(text, at)?;
    loop {
        let next = scan::skip_blank(text, end);
        end = match class_at(text, next) {
            Some(Byte::Dot) => one_name(text, scan::skip_blank(text, next + 1))?,
            Some(Byte::Name) => {
                let stop = scan::name(text, next);
                let word = text.get(next..stop)?;
                if !MORE.iter().any(|more| word.eq_ignore_ascii_case(more)) {
                    return Some(end);
                }
                stop
            }
            Some(Byte::Open) => behind(text, next, b')')?,
            Some(Byte::OpenSquare) => behind(text, next, b']')?,
            _ => return Some(end),
        };
    }
}

fn one_name(text: &[u8], at: usize) -> Option<usize> {
    match class_at(text, at)? {
        Byte::Name => Some(scan::name(text, at)),
        Byte::DoubleQuote => scan::quoted_name(text, at),
        _ => None,
    }
}

/// Behind the bracket that closes numbers and commas.
fn behind(text: &[u8], open: usize, close: u8) -> Option<usize> {
    let mut at = open + 1;
    loop {
        match *text.get(at)? {
            b if b == close => return Some(at + 1),
            b if b == b',' || b.is_ascii_digit() || bytes::is_blank(b) => at += 1,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_read_as_short_ones_do() {
        let pieces = [
            "1", "22, ", "333,", "4444 ,", ", ", " ", "'a',", "-5, ", "1.5,", ")", "$1,", "x",
        ];
        let mut seed = 7u64;
        let (mut lists, mut others) = (0, 0);
        for _ in 0..20_000 {
            let mut text = String::from("1");
            for _ in 0..12 {
                seed = seed
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                let wild = (seed >> 50).is_multiple_of(6);
                let which = (seed >> 33) as usize;
                text += if wild {
                    pieces[which % 12]
                } else {
                    ["22, ", "333,", " 4444 ,"][which % 3]
                };
            }
            text += "9)";
            let fast = elements(text.as_bytes(), 0, b')', Rules::default());
            let slow = by_element(text.as_bytes(), (0, 0, None), b')', Rules::default());
            match (fast, slow) {
                (Elements::List { count: 1, .. }, slow) => assert_eq!(fast, slow, "{text}"),
                (
                    Elements::List { close, kind, .. },
                    Elements::List {
                        count,
                        close: c,
                        kind: k,
                    },
                ) => {
                    assert!(count > 1 && close == c && kind == k, "{text}");
                    lists += 1;
                }
                _ => {
                    assert_eq!(fast, slow, "{text}");
                    others += 1;
                }
            }
        }
        assert!(lists > 100 && others > 100, "{lists} {others}");
    }
}
