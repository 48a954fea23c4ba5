//! The fingerprint of a stream of tokens.
//!
//! Owns: how tokens become 64 bits. Unseeded, and built of little-endian words and one folded
//! multiplication, so equal on every machine. Changing anything here changes every fingerprint
//! that was ever stored: `tests_pinned.rs` holds a list.
// HOT

// Odd random numbers with balanced bits; each kind of word has a multiplier of its own, so a
// word of one kind can never stand for one of another.
const SEED: u64 = 0x9e6c_63d0_876a_68f1;
const INNER: u64 = 0xd1b5_4a32_d192_ed03;
const LAST: u64 = 0x8ebc_6af0_9c88_c6e3;
const QUEUED: u64 = 0xa076_1d64_78bd_642f;
const NESTED: u64 = 0xe703_7ed1_a0b4_28db;
const END: u64 = 0xc2b2_ae3d_27d4_eb4f;

/// Tokens that are one byte; operators and punctuation of one byte are themselves (above 0x20).
pub mod token {
    pub const CONSTANT: u8 = 0x01;
    pub const LIST: u8 = 0x02;
    pub const REPEATED: u8 = 0x03;
    pub const TRUNCATED: u8 = 0x04;
    pub const CAST: u8 = 0x05;
}

/// Kinds of tokens that have content.
#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Kind {
    Name = 0x20,
    Operator = 0x28,
    Parameter = 0x30,
    Number = 0x38,
    Junk = 0x40,
    Body = 0x48,
    Label = 0x50,
}

/// Names count to this many bytes, as in PostgreSQL (NAMEDATALEN - 1).
pub const NAME_BYTES: usize = 63;

/// The state: what was hashed, and up to seven one-byte tokens that wait for the next word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash {
    state: u64,
    queue: u64,
}

impl Default for Hash {
    fn default() -> Self {
        Self::new()
    }
}

/// Both halves of a product: every bit of either factor reaches every bit of the result.
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128) * (b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

impl Hash {
    /// Nothing hashed yet.
    pub const fn new() -> Self {
        Self {
            state: SEED,
            queue: 0,
        }
    }

    /// A token of one byte, not zero.
    #[inline(always)]
    pub const fn byte(&mut self, token: u8) {
        self.queue = (self.queue << 8) | token as u64;
        if self.queue >> 48 != 0 {
            self.state = fold(self.state ^ self.queue, QUEUED);
            self.queue = 0;
        }
    }

    #[inline(always)]
    const fn mix(&mut self, word: u64, multiplier: u64) {
        // The queue is at most six bytes, so the multiplier stays far from zero.
        self.state = fold(self.state ^ word, multiplier ^ self.queue);
        self.queue = 0;
    }

    /// Eight bytes of a longer token.
    #[inline(always)]
    pub const fn inner(&mut self, word: u64) {
        self.mix(word, INNER);
    }

    /// The end of a token: its last 0 to 7 bytes.
    #[inline(always)]
    pub const fn last(&mut self, kind: Kind, word: u64, bytes: usize) {
        self.mix(word | ((kind as u64 | bytes as u64) << 56), LAST);
    }

    /// A token with content; the fast paths of the lexer give the same words.
    pub const fn content(&mut self, kind: Kind, bytes: &[u8]) {
        let mut word = 0;
        let mut filled = 0;
        let mut at = 0;
        while at < bytes.len() {
            word |= (bytes[at] as u64) << (8 * filled);
            filled += 1;
            if filled == 8 {
                self.inner(word);
                word = 0;
                filled = 0;
            }
            at += 1;
        }
        self.last(kind, word, filled);
    }

    /// The result of another hash as one token.
    #[inline]
    pub const fn nested(&mut self, other: u64) {
        self.mix(other, NESTED);
    }

    /// The 64 bits.
    #[inline]
    pub const fn finish(self) -> u64 {
        let mixed = fold(self.state ^ self.queue, END);
        fold(mixed ^ (mixed >> 32), INNER) ^ mixed
    }
}

/// The fingerprint of a fixed label such as `(empty)` or `(evicted)`.
pub const fn of_label(label: &str) -> u64 {
    let mut hash = Hash::new();
    hash.content(Kind::Label, label.as_bytes());
    hash.finish()
}
