//! The words that a rule of the lexer looks for, found by one multiplication.
//!
//! Owns: the list and its table. Only words of up to eight letters are here; the few longer ones
//! are compared where they matter. Rules: insight.md 1.4, numbers 11, 12, 17 to 21, 28.
// HOT

/// What stood before: a word that matters, or the kind of any other token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Word {
    /// Nothing yet in this statement.
    Start,
    /// A constant, a parameter, a closing bracket: an operand has ended.
    Operand,
    /// A name that is no word of this list.
    Name,
    Operator,
    /// `(` or `[`.
    Open,
    /// `)`.
    Close,
    Comma,
    Dot,
    /// A function of PostgreSQL's own, or a word that none can have as its name: the bracket behind
    /// it needs no look. But for this it is a name.
    Function,
    // Words after which no operand can have ended: a minus is a sign.
    Where,
    And,
    Or,
    Not,
    Then,
    Else,
    When,
    Limit,
    Offset,
    Between,
    Like,
    Ilike,
    On,
    Set,
    Distinct,
    Having,
    Default,
    To,
    All,
    From,
    Returning,
    // From here on words with a rule of their own; the first of them allow a sign too.
    Case,
    Select,
    In,
    By,
    Values,
    Null,
    True,
    False,
    Is,
    Array,
    Order,
    Group,
    For,
    Key,
    Update,
    Insert,
    Delete,
    Merge,
    Share,
    Into,
    Begin,
    Atomic,
    End,
    Extract,
}

impl Word {
    /// Whether a minus behind this is the sign of a number (rule 11).
    #[inline(always)]
    pub const fn allows_sign(self) -> bool {
        const SIGNED: u64 = mask(&[Word::Start, Word::Operator, Word::Open, Word::Comma])
            | between(Word::Where, Word::Values);
        SIGNED >> (self as u8) & 1 != 0
    }

    /// Whether a bracket behind this may be that of a call.
    #[inline(always)]
    pub const fn may_be_called(self) -> bool {
        const CALLABLE: u64 = mask(&[
            Word::Name,
            Word::Set,
            Word::By,
            Word::Key,
            Word::Update,
            Word::Insert,
            Word::Delete,
            Word::Merge,
            Word::Share,
            Word::Begin,
            Word::Atomic,
        ]);
        CALLABLE >> (self as u8) & 1 != 0
    }

    /// Whether the word is more than a token.
    #[inline(always)]
    pub const fn has_rule(self) -> bool {
        self as u8 > Word::Returning as u8
    }
}

const fn mask(words: &[Word]) -> u64 {
    let mut bits = 0;
    let mut at = 0;
    while at < words.len() {
        bits |= 1 << words[at] as u8;
        at += 1;
    }
    bits
}

const fn between(first: Word, last: Word) -> u64 {
    let mut bits = 0;
    let mut at = first as u8;
    while at <= last as u8 {
        bits |= 1 << at;
        at += 1;
    }
    bits
}

const WORDS: &[(&str, Word)] = &[
    ("select", Word::Select),
    ("where", Word::Where),
    ("and", Word::And),
    ("or", Word::Or),
    ("not", Word::Not),
    ("in", Word::In),
    ("then", Word::Then),
    ("else", Word::Else),
    ("when", Word::When),
    ("case", Word::Case),
    ("limit", Word::Limit),
    ("offset", Word::Offset),
    ("between", Word::Between),
    ("like", Word::Like),
    ("ilike", Word::Ilike),
    ("on", Word::On),
    ("by", Word::By),
    ("set", Word::Set),
    ("values", Word::Values),
    ("distinct", Word::Distinct),
    ("having", Word::Having),
    ("default", Word::Default),
    ("to", Word::To),
    ("all", Word::All),
    ("from", Word::From),
    ("null", Word::Null),
    ("true", Word::True),
    ("false", Word::False),
    ("is", Word::Is),
    ("array", Word::Array),
    ("order", Word::Order),
    ("group", Word::Group),
    ("for", Word::For),
    ("key", Word::Key),
    ("update", Word::Update),
    ("insert", Word::Insert),
    ("delete", Word::Delete),
    ("merge", Word::Merge),
    ("share", Word::Share),
    ("into", Word::Into),
    ("begin", Word::Begin),
    ("atomic", Word::Atomic),
    ("end", Word::End),
    ("extract", Word::Extract),
    // The commonest; all others are looked up.
    ("any", Word::Function),
    ("coalesce", Word::Function),
    ("count", Word::Function),
    ("exists", Word::Function),
    ("lower", Word::Function),
    ("max", Word::Function),
    ("min", Word::Function),
    ("now", Word::Function),
    ("sum", Word::Function),
    ("timezone", Word::Function),
    ("upper", Word::Function),
];

/// The first eight letters of a word as the lexer reads them.
pub const fn packed(word: &str) -> u64 {
    let bytes = word.as_bytes();
    let mut packed = 0;
    let mut at = 0;
    while at < bytes.len() && at < 8 {
        packed |= (bytes[at] as u64) << (8 * at);
        at += 1;
    }
    packed
}

const SLOTS: usize = 256;

const fn slot(packed: u64, multiplier: u64) -> usize {
    (packed.wrapping_mul(multiplier) >> 56) as usize
}

/// A multiplier that gives every word a slot of its own, found at compile time.
const MULTIPLIER: u64 = {
    let mut multiplier: u64 = 0x9e37_79b9_7f4a_7c15;
    loop {
        let mut taken = [false; SLOTS];
        let mut at = 0;
        while at < WORDS.len() {
            let slot = slot(packed(WORDS[at].0), multiplier);
            if taken[slot] {
                break;
            }
            taken[slot] = true;
            at += 1;
        }
        if at == WORDS.len() {
            break multiplier;
        }
        multiplier = multiplier
            .wrapping_mul(0xd129_0d3b_3b21_9a75)
            .wrapping_add(2);
    }
};

static TABLE: [(u64, Word); SLOTS] = {
    let mut table = [(0, Word::Name); SLOTS];
    let mut at = 0;
    while at < WORDS.len() {
        let key = packed(WORDS[at].0);
        table[slot(key, MULTIPLIER)] = (key, WORDS[at].1);
        at += 1;
    }
    table
};

/// The word of up to eight lower-case letters, [`Word::Name`] for any other.
#[inline(always)]
pub fn find(packed: u64) -> Word {
    let (key, word) = TABLE[slot(packed, MULTIPLIER)];
    if key == packed { word } else { Word::Name }
}

#[cfg(test)]
mod tests {
    use super::super::catalog::{self, Keyword};
    use super::super::touches::Touches;
    use super::*;

    #[test]
    fn every_word_is_found_and_no_other() {
        for (text, word) in WORDS {
            assert!(text.len() <= 8);
            assert_eq!(find(packed(text)), *word, "{text}");
        }
        for text in ["", "s", "selec", "selects", "vALUES", "inn"] {
            assert_eq!(find(packed(text)), Word::Name, "{text}");
        }
        assert!(Word::Start.allows_sign() && Word::Returning.allows_sign());
        for (text, word) in WORDS.iter().filter(|(_, word)| *word == Word::Function) {
            let known = catalog::find(text.as_bytes());
            let is_harmless =
                known.function() == Some(Touches::NONE) || known.keyword() == Keyword::Uncallable;
            assert!(is_harmless && !word.may_be_called(), "{text}");
        }
        assert!(!Word::Null.allows_sign() && !Word::Close.allows_sign());
    }
}
