//! Where a token ends: literals, comments, numbers, operators, quoted names.
//!
//! Owns: PostgreSQL's lexical rules as positions in a text; keeps nothing. `None` says that the
//! token runs to the end of the text without being closed.
//! Source: PostgreSQL's `scan.l`.
// HOT

use memchr::{memchr, memchr2};

use super::bytes::{self, Byte, class, class_at, continues_name, is_blank};

fn rest(text: &[u8], at: usize) -> &[u8] {
    text.get(at..).unwrap_or_default()
}

/// Behind a string whose opening quote is at `at`, and behind the strings that continue it.
#[inline]
pub fn string(text: &[u8], mut at: usize, escapes: bool) -> Option<usize> {
    loop {
        at = if escapes {
            escaped_string(text, at)?
        } else {
            plain_string(text, at)?
        };
        match continuation(text, at) {
            Some(next) => at = next,
            None => return Some(at),
        }
    }
}

#[inline]
fn plain_string(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        // Most literals are short: two words are looked at before the search for long ones.
        let near = bytes::before(bytes::word_at(text, at), b'\'');
        at += near;
        if near == 8 {
            at += memchr(b'\'', rest(text, at))?;
        } else if at >= text.len() {
            return None;
        }
        if text.get(at + 1) != Some(&b'\'') {
            return Some(at + 1);
        }
        at += 2;
    }
}

fn escaped_string(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += memchr2(b'\'', b'\\', rest(text, at))?;
        if text.get(at) == Some(&b'\'') && text.get(at + 1) != Some(&b'\'') {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The quote that continues a string: behind blanks and `--` comments with a line break.
#[inline]
fn continuation(text: &[u8], mut at: usize) -> Option<usize> {
    let mut has_break = false;
    loop {
        match *text.get(at)? {
            b'\n' | b'\r' => has_break = true,
            b'\'' => return has_break.then_some(at),
            b'-' if text.get(at + 1) == Some(&b'-') => {
                at = line_comment(text, at);
                continue;
            }
            b if is_blank(b) => {}
            _ => return None,
        }
        at += 1;
    }
}

/// At the line break that ends a `--` comment.
pub fn line_comment(text: &[u8], at: usize) -> usize {
    let found = memchr2(b'\n', b'\r', rest(text, at));
    found.map_or(text.len(), |length| at + length)
}

/// Behind a `/* */` comment that opens at `at`, with those inside it.
pub fn block_comment(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 2;
    let mut depth = 1;
    loop {
        at += memchr2(b'*', b'/', rest(text, at))?;
        match (text.get(at), text.get(at + 1)) {
            (Some(b'*'), Some(b'/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return Some(at);
                }
            }
            (Some(b'/'), Some(b'*')) => {
                depth += 1;
                at += 2;
            }
            _ => at += 1,
        }
    }
}

/// Whether a comment starts here.
#[inline(always)]
pub fn comment_starts(text: &[u8], at: usize) -> bool {
    matches!(
        (text.get(at), text.get(at + 1)),
        (Some(b'-'), Some(b'-')) | (Some(b'/'), Some(b'*'))
    )
}

/// At the next byte that is neither blank nor comment.
#[inline]
pub fn skip_blank(text: &[u8], mut at: usize) -> usize {
    while let Some(b) = text.get(at) {
        if is_blank(*b) {
            at += 1;
        } else if *b == b'-' && comment_starts(text, at) {
            at = line_comment(text, at);
        } else if *b == b'/' && comment_starts(text, at) {
            at = block_comment(text, at).unwrap_or(text.len());
        } else {
            break;
        }
    }
    at
}

/// Behind a run of operator bytes at `at`, by the rules for `--`, `/*` and trailing `+` and `-`.
/// `at` itself where a comment starts there.
#[inline]
pub fn operator(text: &[u8], at: usize) -> usize {
    let mut end = at;
    while class_at(text, end) == Some(Byte::Operator) && !comment_starts(text, end) {
        end += 1;
    }
    if end > at + 1 && matches!(text.get(end - 1), Some(b'+' | b'-')) {
        let run = text.get(at..end).unwrap_or_default();
        if !run.iter().any(|b| b"~!@#^&|`?%".contains(b)) {
            while end > at + 1 && matches!(text.get(end - 1), Some(b'+' | b'-')) {
                end -= 1;
            }
        }
    }
    end
}

/// Behind a number at `at`, which is a digit, or a dot before a digit. Stops at junk.
#[inline]
pub fn number(text: &[u8], at: usize) -> usize {
    let radix: fn(u8) -> bool = match (text.get(at), text.get(at + 1).map(|b| b | 0x20)) {
        (Some(b'0'), Some(b'x')) => |b| b.is_ascii_hexdigit(),
        (Some(b'0'), Some(b'o')) => |b| matches!(b, b'0'..=b'7'),
        (Some(b'0'), Some(b'b')) => |b| matches!(b, b'0' | b'1'),
        _ => return decimal(text, at),
    };
    let end = digits(text, at + 2, radix);
    if end > at + 2 { end } else { at + 1 }
}

fn decimal(text: &[u8], at: usize) -> usize {
    let is_digit = |b: u8| b.is_ascii_digit();
    let mut end = digits(text, at, is_digit);
    if text.get(end) == Some(&b'.') && text.get(end + 1) != Some(&b'.') {
        end = digits(text, end + 1, is_digit);
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(text, end + 1 + sign, is_digit);
        if exponent > end + 1 + sign {
            end = exponent;
        }
    }
    end
}

/// Digits with single underscores between them (or before the first, behind a radix).
#[inline]
fn digits(text: &[u8], mut at: usize, is_digit: impl Fn(u8) -> bool) -> usize {
    while let Some(b) = text.get(at) {
        if is_digit(*b) {
            at += 1;
        } else if *b == b'_' && text.get(at + 1).is_some_and(|next| is_digit(*next)) {
            at += 2;
        } else {
            break;
        }
    }
    at
}

/// Behind an unquoted name.
#[inline]
pub fn name(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|b| continues_name(*b)) {
        at += 1;
    }
    at
}

/// Behind a quoted name whose opening quote is at `at`.
pub fn quoted_name(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += memchr(b'"', rest(text, at))?;
        if text.get(at + 1) != Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// What a `$` begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dollar {
    /// `$1`: its end.
    Parameter(usize),
    /// A dollar-quoted string: its end, None if it is not closed.
    Literal(Option<usize>),
    /// Neither.
    Junk,
}

/// Reads what begins with the `$` at `at`.
pub fn dollar(text: &[u8], at: usize) -> Dollar {
    match text.get(at + 1) {
        Some(b'0'..=b'9') => {
            let mut end = at + 1;
            while text.get(end).is_some_and(u8::is_ascii_digit) {
                end += 1;
            }
            Dollar::Parameter(end)
        }
        Some(b) if *b == b'$' || class(*b) == Byte::Name => {
            let mut end = at + 1;
            while text
                .get(end)
                .is_some_and(|b| matches!(class(*b), Byte::Name | Byte::Digit))
            {
                end += 1;
            }
            if text.get(end) != Some(&b'$') {
                return Dollar::Junk;
            }
            Dollar::Literal(dollar_end(text, at, end + 1))
        }
        _ => Dollar::Junk,
    }
}

fn dollar_end(text: &[u8], tag: usize, mut at: usize) -> Option<usize> {
    let tag = text.get(tag..at)?;
    loop {
        at += memchr(b'$', rest(text, at))?;
        if rest(text, at).starts_with(tag) {
            return Some(at + tag.len());
        }
        at += 1;
    }
}

/// A string or quoted name with a prefix (`e'`, `b'`, `x'`, `n'`, `u&'`, `u&"`) at `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefixed {
    /// Where the quote stands.
    pub quote: usize,
    /// `E''`: a backslash escapes.
    pub escapes: bool,
    /// `U&""`.
    pub is_name: bool,
}

/// The prefixed literal that a name of one letter at `at` begins, if it does; `escapes` says what
/// holds for plain quotes.
pub fn prefixed(text: &[u8], at: usize, escapes: bool) -> Option<Prefixed> {
    let found = |quote, escapes, is_name| {
        Some(Prefixed {
            quote,
            escapes,
            is_name,
        })
    };
    let letter = text.get(at)? | 0x20;
    match (letter, *text.get(at + 1)?) {
        (b'e', b'\'') => found(at + 1, true, false),
        (b'n', b'\'') => found(at + 1, escapes, false),
        (b'b' | b'x', b'\'') => found(at + 1, false, false),
        (b'u', b'&') => match text.get(at + 2)? {
            b'\'' => found(at + 2, false, false),
            b'"' => found(at + 2, false, true),
            _ => None,
        },
        _ => None,
    }
}

/// Behind whatever token begins at `at`, which is not blank; at least one byte further.
pub fn token(text: &[u8], at: usize, escapes: bool) -> Option<usize> {
    match class_at(text, at)? {
        Byte::Quote => string(text, at, escapes),
        Byte::DoubleQuote => quoted_name(text, at),
        Byte::Name => match prefixed(text, at, escapes) {
            Some(found) if found.is_name => quoted_name(text, found.quote),
            Some(found) => string(text, found.quote, found.escapes),
            None => Some(name(text, at)),
        },
        Byte::Digit => Some(number(text, at)),
        Byte::Dollar => match dollar(text, at) {
            Dollar::Parameter(end) => Some(end),
            Dollar::Literal(end) => end,
            Dollar::Junk => Some(at + 1),
        },
        Byte::Operator => Some(operator(text, at).max(at + 1)),
        _ => Some(at + 1),
    }
}
