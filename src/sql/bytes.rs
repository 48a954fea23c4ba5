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

/// Fewer than eight bytes are left: the last eight, shifted, or those of a text that is shorter.
#[inline]
fn short_word(text: &[u8], at: usize) -> u64 {
    let left = text.len().saturating_sub(at);
    match text.last_chunk::<8>() {
        Some(_) if left == 0 => 0,
        Some(bytes) => u64::from_le_bytes(*bytes) >> (8 * (8 - left)),
        None => tiny_word(text, at),
    }
}

#[cold]
fn tiny_word(text: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    let rest = text.get(at..).unwrap_or_default();
    for (to, from) in bytes.iter_mut().zip(rest) {
        *to = *from;
    }
    u64::from_le_bytes(bytes)
}

/// The begin of a name: sixteen bytes, and how many of them belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The first eight bytes, the first in the lowest bits.
    pub low: u64,
    /// The eight behind them.
    pub high: u64,
    /// How many continue the name: 0 to 16.
    pub length: usize,
}

/// Up to sixteen bytes of a name in lower case; zeros behind the end of the text.
#[inline(always)]
pub fn chunk_at(text: &[u8], at: usize) -> Chunk {
    match text.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
        Some(bytes) => chunk(bytes),
        None => chunk_of(word_at(text, at), word_at(text, at.saturating_add(8))),
    }
}

/// Up to sixteen bytes as they are, and how many of them stand before a double quote; zeros behind
/// the end of the text.
#[inline(always)]
pub fn quoted_at(text: &[u8], at: usize) -> Chunk {
    match text.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
        Some(bytes) => quoted(bytes),
        None => quoted_of(word_at(text, at), word_at(text, at.saturating_add(8))),
    }
}

#[inline]
fn quoted_of(low: u64, high: u64) -> Chunk {
    let length = match before(low, b'"') {
        8 => 8 + before(high, b'"'),
        length => length,
    };
    Chunk { low, high, length }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn quoted(bytes: &[u8; 16]) -> Chunk {
    let whole = u128::from_le_bytes(*bytes);
    quoted_of(whole as u64, (whole >> 64) as u64)
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn quoted(bytes: &[u8; 16]) -> Chunk {
    // SAFETY: SSE2 is part of x86-64.
    unsafe { quoted_sse2(bytes) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn quoted_sse2(bytes: &[u8; 16]) -> Chunk {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};
    let whole = u128::from_le_bytes(*bytes);
    let (low, high) = (whole as u64, (whole >> 64) as u64);
    let read = _mm_set_epi64x(high.cast_signed(), low.cast_signed());
    let quotes = _mm_movemask_epi8(_mm_cmpeq_epi8(read, _mm_set1_epi8(b'"'.cast_signed())));
    Chunk {
        low,
        high,
        length: (quotes as u32 | 1 << 16).trailing_zeros() as usize,
    }
}

/// Two words, eight bytes at a time: what every machine can do.
#[inline]
fn chunk_of(low: u64, high: u64) -> Chunk {
    let (low, high) = (lower(low), lower(high));
    let length = match name_length(low) {
        8 => 8 + name_length(high),
        length => length,
    };
    Chunk { low, high, length }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn chunk(bytes: &[u8; 16]) -> Chunk {
    let whole = u128::from_le_bytes(*bytes);
    chunk_of(whole as u64, (whole >> 64) as u64)
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn chunk(bytes: &[u8; 16]) -> Chunk {
    // SAFETY: SSE2 is part of x86-64.
    unsafe { chunk_sse2(bytes) }
}

/// Sixteen bytes at once.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn chunk_sse2(bytes: &[u8; 16]) -> Chunk {
    use std::arch::x86_64::{
        _mm_add_epi8, _mm_and_si128, _mm_cmpeq_epi8, _mm_cvtsi128_si64, _mm_min_epu8,
        _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8, _mm_unpackhi_epi64,
    };
    let whole = u128::from_le_bytes(*bytes);
    let read = _mm_set_epi64x((whole >> 64) as i64, whole as i64);
    let all = |byte: u8| _mm_set1_epi8(byte.cast_signed());
    // Unsigned: `byte - first <= last - first`, as the smaller of both is the left one.
    let between = |bytes, first: u8, last: u8| {
        let from = _mm_add_epi8(bytes, all(first.wrapping_neg()));
        _mm_cmpeq_epi8(_mm_min_epu8(from, all(last - first)), from)
    };
    let case = all(0x20);
    let letters = between(_mm_or_si128(read, case), b'a', b'z');
    let marks = _mm_or_si128(
        _mm_cmpeq_epi8(read, all(b'_')),
        _mm_cmpeq_epi8(read, all(b'$')),
    );
    let inside = _mm_or_si128(_mm_or_si128(letters, between(read, b'0', b'9')), marks);
    // The highest bit of a byte over 0x7f counts as it is.
    let outside = !_mm_movemask_epi8(_mm_or_si128(inside, read)) as u32;
    let lower = _mm_or_si128(read, _mm_and_si128(letters, case));
    Chunk {
        low: _mm_cvtsi128_si64(lower).cast_unsigned(),
        high: _mm_cvtsi128_si64(_mm_unpackhi_epi64(lower, lower)).cast_unsigned(),
        length: outside.trailing_zeros() as usize,
    }
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
        assert_eq!(
            word_at(b"abcdefghij", 7),
            u64::from_le_bytes(*b"hij\0\0\0\0\0")
        );
        assert_eq!(word_at(b"abcdefgh", 8), 0);
        assert_eq!(keep(u64::MAX, 0), 0);
        assert_eq!(keep(u64::MAX, 3), 0xff_ffff);
        assert_eq!(word_at(b"ab", 1), u64::from(b'b'));
        assert_eq!(word_at(b"ab", 9), 0);
    }

    #[test]
    fn sixteen_bytes_at_once_are_two_words() {
        for b in 0..=255u8 {
            for place in 0..16 {
                let mut bytes = *b"aZ_9$q\xc3aBC\xff0zA_5";
                bytes[place] = b;
                let (low, high) = (word_at(&bytes, 0), word_at(&bytes, 8));
                assert_eq!(chunk_at(&bytes, 0), chunk_of(low, high), "{b} {place}");
                assert_eq!(quoted_at(&bytes, 0), quoted_of(low, high), "{b} {place}");
                let until = bytes.iter().position(|b| *b == b'"').unwrap_or(16);
                assert_eq!(quoted_at(&bytes, 0).length, until, "{b} {place}");
                let short = &bytes[..place];
                let length = short.iter().take_while(|b| continues_name(**b)).count();
                assert_eq!(chunk_at(short, 0).length, length, "{place}");
            }
        }
    }
}
