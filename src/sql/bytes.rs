//! Bytes of SQL: their classes, eight at a time.
//!
//! Owns: the class table and the word tricks that lower case and find the end of a name. Safe,
//! and equal on every machine: words are always read little-endian.
//! Source: PostgreSQL's `scan.l`.
// HOT

/// What a byte can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Byte {
    Blank,
    Name,
    Digit,
    Quote,
    DoubleQuote,
    Dollar,
    Dot,
    Operator,
    Comma,
    Open,
    Close,
    OpenSquare,
    CloseSquare,
    Semicolon,
    Colon,
    Junk,
}

const fn class_of(b: u8) -> Byte {
    match b {
        b'\t' | b'\n' | 0x0b | 0x0c | b'\r' | b' ' => Byte::Blank,
        b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => Byte::Name,
        b'0'..=b'9' => Byte::Digit,
        b'\'' => Byte::Quote,
        b'"' => Byte::DoubleQuote,
        b'$' => Byte::Dollar,
        b'.' => Byte::Dot,
        b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'+' | b'-' | b'*'
        | b'/' | b'%' | b'<' | b'>' | b'=' => Byte::Operator,
        b',' => Byte::Comma,
        b'(' => Byte::Open,
        b')' => Byte::Close,
        b'[' => Byte::OpenSquare,
        b']' => Byte::CloseSquare,
        b';' => Byte::Semicolon,
        b':' => Byte::Colon,
        _ => Byte::Junk,
    }
}

static CLASSES: [Byte; 256] = {
    let mut table = [Byte::Junk; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = class_of(b as u8);
        b += 1;
    }
    table
};

/// The class of a byte.
#[inline(always)]
pub fn class(b: u8) -> Byte {
    CLASSES[usize::from(b)]
}

/// The class at a position; None behind the end.
#[inline(always)]
pub fn class_at(text: &[u8], at: usize) -> Option<Byte> {
    text.get(at).map(|b| class(*b))
}

/// Whether a byte can stand inside a name.
#[inline(always)]
pub fn continues_name(b: u8) -> bool {
    matches!(class(b), Byte::Name | Byte::Digit | Byte::Dollar)
}

/// Whether a byte is blank.
#[inline(always)]
pub fn is_blank(b: u8) -> bool {
    matches!(class(b), Byte::Blank)
}

const ONES: u64 = 0x0101_0101_0101_0101;
/// The highest bit of each byte.
pub const HIGH: u64 = 0x8080_8080_8080_8080;
const LOW7: u64 = 0x7f7f_7f7f_7f7f_7f7f;

/// Eight bytes from a position on, the first in the lowest bits; zeros behind the end.
#[inline(always)]
pub fn word_at(text: &[u8], at: usize) -> u64 {
    match text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => short_word(text, at),
    }
}

#[cold]
fn short_word(text: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    let rest = text.get(at..).unwrap_or_default();
    for (to, from) in bytes.iter_mut().zip(rest) {
        *to = *from;
    }
    u64::from_le_bytes(bytes)
}

/// The high bit of each byte that is zero; exact for every byte.
#[inline(always)]
fn zeros(word: u64) -> u64 {
    !(((word & LOW7) + LOW7) | word) & HIGH
}

/// The word with ASCII letters in lower case, other bytes unchanged.
#[inline(always)]
pub fn lower(word: u64) -> u64 {
    word | (is_between(word, b'A', b'Z') >> 2)
}

/// How many of the first bytes of a lower-cased word continue a name: 0 to 8.
#[inline(always)]
pub fn name_length(word: u64) -> usize {
    (inside_name(word) ^ HIGH).trailing_zeros() as usize / 8
}

/// How many of the last bytes of a lower-cased word continue a name: 0 to 8.
#[inline(always)]
pub fn name_length_back(word: u64) -> usize {
    (inside_name(word) ^ HIGH).leading_zeros() as usize / 8
}

/// The high bit of each byte that continues a name.
#[inline(always)]
fn inside_name(word: u64) -> u64 {
    let letters = is_between(word, b'a', b'z') | is_between(word, b'0', b'9');
    (word & HIGH) | letters | equals(word, b'_') | equals(word, b'$')
}

/// How many bytes of a word stand before the first `b`: 0 to 8.
#[inline(always)]
pub fn before(word: u64, b: u8) -> usize {
    equals(word, b).trailing_zeros() as usize / 8
}

/// The high bit of each byte that is `b`, which is ASCII.
#[inline(always)]
pub fn equals(word: u64, b: u8) -> u64 {
    zeros(word ^ (ONES * u64::from(b)))
}

/// The high bit of each byte from `first` to `last`, which are ASCII.
#[inline(always)]
pub fn is_between(word: u64, first: u8, last: u8) -> u64 {
    let low = word & LOW7;
    let from = low + ONES * u64::from(0x80 - first);
    let past = low + ONES * u64::from(0x7f - last);
    from & !past & !word & HIGH
}

/// The lowest `bytes` (0 to 7) bytes of a word.
#[inline(always)]
pub fn keep(word: u64, bytes: usize) -> u64 {
    word & ((1 << (8 * (bytes & 7))) - 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn words_agree_with_bytes() {
        for b in 0..=255u8 {
            for place in 0..8 {
                let mut bytes = *b"aZ_9$q\xc3a";
                bytes[place] = b;
                let word = lower(word_at(&bytes, 0));
                assert_eq!(
                    word.to_le_bytes(),
                    bytes.to_ascii_lowercase()[..],
                    "{b} {place}"
                );
                let lower = bytes.to_ascii_lowercase();
                let length = lower.iter().take_while(|b| continues_name(**b)).count();
                assert_eq!(name_length(word), length, "{b} {place}");
                let backwards = lower.iter().rev();
                let length = backwards.take_while(|b| continues_name(**b)).count();
                assert_eq!(name_length_back(word), length, "{b} {place}");
                for looked_for in [b'"', b'\'', b] {
                    let found = lower.iter().position(|b| *b == looked_for).unwrap_or(8);
                    assert_eq!(before(word, looked_for), found, "{b} {place}");
                }
            }
        }
        assert_eq!(keep(u64::MAX, 0), 0);
        assert_eq!(keep(u64::MAX, 3), 0xff_ffff);
        assert_eq!(word_at(b"ab", 1), u64::from(b'b'));
        assert_eq!(word_at(b"ab", 9), 0);
    }
}
