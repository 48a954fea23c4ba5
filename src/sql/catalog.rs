//! The functions that PostgreSQL brings along, and its keywords.
//!
//! Owns: what is known of a name that stands before a bracket. The lists under `catalog/` become a
//! table of hashes at compile time: 56 bits of each, so that a name that is not in the lists is
//! taken for one that is once in 10^13 names.
// HOT

use std::ops::Range;

use super::bytes;
use super::hash::NAME_BYTES;
use super::touches::Touches;

/// What is known of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known(u8);

/// What a keyword says about the bracket behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Keyword {
    /// It is none.
    No,
    /// No function can have this name.
    Uncallable,
    /// A function can have this name.
    Callable,
}

/// What a call of the function touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Function {
    Plain = 1,
    Settings,
    Locks,
    Sequence,
    SequenceRead,
    Notifies,
    RunsSql,
}

/// Functions of which a call leaves something behind.
const SPECIAL: &[(&str, Function)] = &[
    ("set_config", Function::Settings),
    ("pg_advisory_lock", Function::Locks),
    ("pg_advisory_lock_shared", Function::Locks),
    ("pg_try_advisory_lock", Function::Locks),
    ("pg_try_advisory_lock_shared", Function::Locks),
    ("pg_advisory_unlock", Function::Locks),
    ("pg_advisory_unlock_shared", Function::Locks),
    ("pg_advisory_unlock_all", Function::Locks),
    ("nextval", Function::Sequence),
    ("setval", Function::Sequence),
    ("currval", Function::SequenceRead),
    ("lastval", Function::SequenceRead),
    ("pg_notify", Function::Notifies),
    // Each of these runs SQL that is given as text, or reads tables and views of any kind.
    ("query_to_xml", Function::RunsSql),
    ("query_to_xmlschema", Function::RunsSql),
    ("query_to_xml_and_xmlschema", Function::RunsSql),
    ("cursor_to_xml", Function::RunsSql),
    ("cursor_to_xmlschema", Function::RunsSql),
    ("table_to_xml", Function::RunsSql),
    ("table_to_xmlschema", Function::RunsSql),
    ("table_to_xml_and_xmlschema", Function::RunsSql),
    ("schema_to_xml", Function::RunsSql),
    ("schema_to_xmlschema", Function::RunsSql),
    ("schema_to_xml_and_xmlschema", Function::RunsSql),
    ("database_to_xml", Function::RunsSql),
    ("database_to_xmlschema", Function::RunsSql),
    ("database_to_xml_and_xmlschema", Function::RunsSql),
    ("ts_stat", Function::RunsSql),
    ("ts_rewrite", Function::RunsSql),
];

impl Known {
    /// What a call of the function of this name touches; None: pg_catalog has none of this name.
    #[inline]
    pub fn function(self) -> Option<Touches> {
        const TOUCHES: [Option<Touches>; 8] = [
            None,
            Some(Touches::NONE),
            Some(Touches::SETTINGS),
            Some(Touches::LOCKS),
            Some(Touches::SEQUENCE),
            Some(Touches::SEQUENCE_READ),
            Some(Touches::NOTIFIES),
            Some(Touches::FUNCTION),
        ];
        TOUCHES[usize::from(self.0 & 7)]
    }

    /// What the name is as an unquoted word.
    #[inline]
    pub fn keyword(self) -> Keyword {
        match self.0 >> 4 {
            0 => Keyword::No,
            1 => Keyword::Uncallable,
            _ => Keyword::Callable,
        }
    }
}

/// What is known of an unquoted name in lower case, or of the content of a quoted one.
pub(super) fn find(name: &[u8]) -> Known {
    find_in(name, 0..name.len(), true)
}

/// What is known of the name that stands at `range` of a text, which is unquoted or the content of
/// a quoted one.
#[inline]
pub(super) fn find_in(text: &[u8], range: Range<usize>, is_quoted: bool) -> Known {
    let length = range.len();
    if length > NAME_BYTES {
        return Known(0);
    }
    let mut state = FIRST ^ length as u64;
    let mut at = range.start;
    while at < range.end {
        let word = bytes::word_at(text, at);
        let word = if is_quoted { word } else { bytes::lower(word) };
        let left = range.end - at;
        state = mix(
            state,
            if left < 8 {
                bytes::keep(word, left)
            } else {
                word
            },
        );
        at += 8;
    }
    look_up(state | 1 << 63)
}

#[inline]
fn look_up(hash: u64) -> Known {
    let mut slot = slot_of(hash);
    loop {
        let entry = TABLE[slot];
        if entry == 0 {
            return Known(0);
        }
        if (entry ^ hash) >> 8 == 0 {
            return Known(entry as u8);
        }
        slot = (slot + 1) % SLOTS;
    }
}

const FUNCTIONS: &[u8] = include_bytes!("catalog/functions.txt");
const KEYWORDS: &[u8] = include_bytes!("catalog/keywords.txt");

/// Twice as many as names, so that most are found at once.
const SLOTS: usize = 8192;

const fn slot_of(hash: u64) -> usize {
    (hash >> 40) as usize % SLOTS
}

const FIRST: u64 = 0x9e37_79b9_7f4a_7c15;

const fn mix(state: u64, word: u64) -> u64 {
    let product = (state ^ word) as u128 * 0xd1b5_4a32_d192_ed03;
    product as u64 ^ (product >> 64) as u64
}

/// Not zero in its upper 56 bits. As `find_in` has it, of a name that stands alone.
const fn hash(name: &[u8]) -> u64 {
    let mut state = FIRST ^ name.len() as u64;
    let mut at = 0;
    while at < name.len() {
        let mut word = 0;
        let mut byte = 0;
        while byte < 8 && at < name.len() {
            word |= (name[at] as u64) << (8 * byte);
            byte += 1;
            at += 1;
        }
        state = mix(state, word);
    }
    state | 1 << 63
}

const fn put(table: &mut [u64; SLOTS], name: &[u8], what: u8) {
    let hash = hash(name);
    let mut slot = slot_of(hash);
    while table[slot] != 0 && (table[slot] ^ hash) >> 8 != 0 {
        slot = (slot + 1) % SLOTS;
    }
    let known = table[slot] & 0xff;
    // What a function is was said first, by the list of the special ones.
    let is_said = known & 7 != 0 && what & 7 != 0;
    let more = if is_said { 0 } else { what as u64 };
    table[slot] = (hash & !0xff) | known | more;
}

/// Puts the words of a list; `by_line`: the first of each line is a letter that says what they are.
const fn put_all(table: &mut [u64; SLOTS], list: &'static [u8], by_line: bool) {
    let mut at = 0;
    let mut what = Function::Plain as u8;
    while at < list.len() {
        let is_first = at == 0 || list[at - 1] == b'\n';
        if is_first && list[at] == b'#' {
            while list[at] != b'\n' {
                at += 1;
            }
        } else if is_first && by_line {
            let keyword = match list[at] {
                b'R' | b'C' => Keyword::Uncallable,
                _ => Keyword::Callable,
            };
            what = (keyword as u8) << 4;
            at += 1;
        } else if list[at] == b' ' || list[at] == b'\n' {
            at += 1;
        } else {
            let start = at;
            while list[at] != b' ' && list[at] != b'\n' {
                at += 1;
            }
            let (_, from) = list.split_at(start);
            let (name, _) = from.split_at(at - start);
            put(table, name, what);
        }
    }
}

#[allow(long_running_const_eval)]
static TABLE: [u64; SLOTS] = {
    let mut table = [0; SLOTS];
    let mut at = 0;
    while at < SPECIAL.len() {
        put(&mut table, SPECIAL[at].0.as_bytes(), SPECIAL[at].1 as u8);
        at += 1;
    }
    put_all(&mut table, FUNCTIONS, false);
    put_all(&mut table, KEYWORDS, true);
    table
};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn words(list: &'static [u8]) -> impl Iterator<Item = &'static str> {
        let text = std::str::from_utf8(list).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.flat_map(str::split_whitespace)
    }

    #[test]
    fn every_name_is_found_as_what_it_is() {
        let special: BTreeSet<&str> = SPECIAL.iter().map(|(name, _)| *name).collect();
        let names: BTreeSet<&str> = words(FUNCTIONS).collect();
        assert!(names.len() > 2500 && special.is_subset(&names));
        for name in &names {
            let touches = find(name.as_bytes()).function().unwrap();
            assert_eq!(touches.is_empty(), !special.contains(name), "{name}");
        }
        assert_eq!(find(b"set_config").function(), Some(Touches::SETTINGS));
        assert_eq!(
            find(b"pg_advisory_xact_lock").function(),
            Some(Touches::NONE)
        );
    }

    #[test]
    fn keywords_keep_their_kind() {
        assert_eq!(find(b"select").keyword(), Keyword::Uncallable);
        assert_eq!(find(b"coalesce").keyword(), Keyword::Uncallable);
        assert_eq!(find(b"over").keyword(), Keyword::Callable);
        assert_eq!(find(b"left").keyword(), Keyword::Callable);
        assert_eq!(find(b"left").function(), Some(Touches::NONE));
        assert_eq!(find(b"upper").keyword(), Keyword::No);
    }

    #[test]
    fn other_names_are_not_known() {
        for name in [
            "",
            "r",
            "set_confi",
            "set_config_",
            "SET_CONFIG",
            "my_function",
        ] {
            assert_eq!(find(name.as_bytes()), Known(0), "{name}");
        }
        assert_eq!(find(&[b'a'; 64]), Known(0));
        let text = b"select PG_Advisory_Lock_Shared(1)";
        assert_eq!(find_in(text, 7..30, false).function(), Some(Touches::LOCKS));
        assert_eq!(find_in(text, 7..30, true), Known(0));
        let load = TABLE.iter().filter(|entry| **entry != 0).count();
        assert!(load * 2 < SLOTS, "{load}");
    }
}
