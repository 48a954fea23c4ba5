//! HOT. Texts of transaction control: what they ask for, as each lane remembers it.
//!
//! An application sends the same few texts around every transaction, letter by letter; to read each
//! of them anew cost more than to read the statements between them. Owns: the lane's memory, a few
//! texts. Never: answers.

use std::cell::RefCell;

use crate::sql::{self, Control, Rules, Summary};

/// Longest text that is remembered, in bytes.
const LONGEST: usize = 128;
/// Texts remembered per lane: those of a handful of applications.
const KEPT: usize = 8;

/// What a text of transaction control amounts to.
#[derive(Clone, Copy, Debug)]
pub struct ControlText {
    /// What it asks for.
    pub control: Control,
    /// How it is counted.
    pub what: Summary,
    /// A BEGIN that is spelled START TRANSACTION; its tag is another.
    pub is_start: bool,
}

#[derive(Debug)]
struct Entry {
    text: Box<[u8]>,
    rules: Rules,
    found: ControlText,
}

/// The texts of a lane, and which is forgotten next.
#[derive(Debug)]
struct Memory {
    entries: Vec<Entry>,
    oldest: usize,
}

thread_local! {
    static MEMORY: RefCell<Memory> = const {
        RefCell::new(Memory {
            entries: Vec::new(),
            oldest: 0,
        })
    };
}

/// HOT. What the text of a Query (NUL and all) asks for, if it is transaction control or DISCARD
/// and nothing else.
#[inline]
pub fn control(text: &[u8], rules: Rules) -> Option<ControlText> {
    if !sql::may_be_control(text) {
        return None;
    }
    match text.len() {
        ..=LONGEST => MEMORY.with_borrow_mut(|memory| memory.look(text, rules)),
        _ => read(text, rules),
    }
}

impl Memory {
    fn look(&mut self, text: &[u8], rules: Rules) -> Option<ControlText> {
        let mut entries = self.entries.iter();
        let known = entries.find(|entry| *entry.text == *text && entry.rules == rules);
        if let Some(entry) = known {
            return Some(entry.found);
        }
        let found = read(text, rules)?;
        let entry = Entry {
            text: text.into(),
            rules,
            found,
        };
        if self.entries.len() < KEPT {
            self.entries.push(entry);
        } else {
            self.entries[self.oldest] = entry;
            self.oldest = (self.oldest + 1) % KEPT;
        }
        Some(found)
    }
}

fn read(text: &[u8], rules: Rules) -> Option<ControlText> {
    let control = sql::control(text)?;
    let statement = sql::single(text, rules);
    let first = text.get(statement.span.start);
    Some(ControlText {
        control,
        what: Summary::from(&statement),
        is_start: matches!(first, Some(b's' | b'S')),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_what_was_read() {
        let rules = Rules::default();
        let texts: Vec<String> = (0..3 * KEPT)
            .map(|n| format!("{}BEGIN\0", " ".repeat(n)))
            .chain(["start transaction;\0".to_owned(), "ROLLBACK\0".to_owned()])
            .collect();
        for text in texts.iter().chain(texts.iter().rev()) {
            let found = control(text.as_bytes(), rules);
            let read = read(text.as_bytes(), rules);
            let parts = |found: Option<ControlText>| {
                found.map(|found| (found.control, found.what, found.is_start))
            };
            assert_eq!(parts(found), parts(read), "{text:?}");
            assert!(found.is_some());
        }
        for text in [
            "BEGIN; select 1\0",
            "commit and chain\0",
            "select 1\0",
            "be\0",
        ] {
            assert!(control(text.as_bytes(), rules).is_none(), "{text:?}");
        }
    }
}
