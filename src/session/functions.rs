//! Which statements call only functions that leave nothing in a session.
//!
//! Owns: what servers have said of the functions that a statement calls, by its fingerprint (which
//! stands for the names in it). Most functions that are not PostgreSQL's own come with well-known
//! extensions: a session that has called them need not be suspected. Bounded, and forgotten after a
//! while, because functions can be replaced past the pool.
//! The question is asked by `link/functions.rs`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use dashmap::DashMap;

use crate::sql::Touches;

/// How long an answer holds, µs.
const HOLDS_US: u64 = 300_000_000;

/// Statements remembered for each database; with one more all are forgotten.
const MOST: usize = 8192;

/// A statement that calls functions nobody has asked about.
#[derive(Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its fingerprint.
    pub fingerprint: u64,
    /// The names of the functions that it may call.
    pub names: Vec<Box<str>>,
}

/// What a server has said of a statement's functions.
#[derive(Clone, Copy, Debug)]
struct Answer {
    touches: Touches,
    until_us: u64,
    age: u64,
}

/// The statements of one database that call functions.
#[derive(Debug, Default)]
pub struct Functions {
    answers: DashMap<u64, Answer>,
    age: AtomicU64,
}

impl Functions {
    /// What the functions that the statement calls touch; `None`: to be asked.
    pub fn touches(&self, fingerprint: u64, now_us: u64) -> Option<Touches> {
        let answer = *self.answers.get(&fingerprint)?;
        // What was suspected may be so a while longer; what was not must not.
        let is_suspected = answer.touches.has(Touches::FUNCTION);
        let is_valid = now_us < answer.until_us && (is_suspected || answer.age == self.age());
        is_valid.then_some(answer.touches)
    }

    /// Takes over what a server has said. `age`: that of the functions when it was asked.
    pub fn learn(&self, fingerprint: u64, touches: Touches, age: u64, now_us: u64) {
        if self.answers.len() >= MOST {
            self.answers.clear();
        }
        let answer = Answer {
            touches,
            until_us: now_us.saturating_add(HOLDS_US),
            age,
        };
        self.answers.insert(fingerprint, answer);
    }

    /// Another number behind each change of functions by a client.
    pub fn age(&self) -> u64 {
        self.age.load(Relaxed)
    }

    /// A client has made, replaced or dropped functions.
    pub fn change(&self) {
        self.age.fetch_add(1, Relaxed);
    }
}

/// Whether a command tag is that of a change of functions.
pub fn changes_functions(command: &[u8]) -> bool {
    const KINDS: [&[u8]; 5] = [
        b"FUNCTION",
        b"PROCEDURE",
        b"ROUTINE",
        b"AGGREGATE",
        b"EXTENSION",
    ];
    let kind = ["ALTER ", "CREATE "]
        .iter()
        .find_map(|word| command.strip_prefix(word.as_bytes()));
    kind.is_some_and(|kind| KINDS.iter().any(|known| kind.starts_with(known)))
}

#[cfg(test)]
mod tests {
    use super::{Functions, HOLDS_US, MOST, Touches, changes_functions};

    const HARMLESS: Touches = Touches::NONE;
    const LEAVING: Touches = Touches::FUNCTION;

    #[test]
    fn an_answer_holds_until_functions_change_or_time_is_up() {
        let functions = Functions::default();
        assert_eq!(functions.touches(1, 0), None);
        functions.learn(1, HARMLESS, functions.age(), 5);
        functions.learn(2, LEAVING, functions.age(), 5);
        assert_eq!(functions.touches(1, HOLDS_US), Some(HARMLESS));
        assert_eq!(functions.touches(1, HOLDS_US + 5), None);
        functions.change();
        assert_eq!(functions.touches(1, 6), None);
        assert_eq!(functions.touches(2, 6), Some(LEAVING));
    }

    #[test]
    fn what_was_asked_before_a_change_does_not_hold_behind_it() {
        let functions = Functions::default();
        let age = functions.age();
        functions.change();
        functions.learn(1, HARMLESS, age, 0);
        assert_eq!(functions.touches(1, 0), None);
    }

    #[test]
    fn the_number_of_answers_is_bounded() {
        let functions = Functions::default();
        for fingerprint in 0..3 * MOST as u64 {
            functions.learn(fingerprint, HARMLESS, 0, 0);
        }
        assert!(functions.answers.len() <= MOST);
    }

    #[test]
    fn tags_that_change_functions() {
        for tag in ["CREATE FUNCTION", "ALTER EXTENSION", "CREATE AGGREGATE"] {
            assert!(changes_functions(tag.as_bytes()), "{tag}");
        }
        for tag in ["CREATE TABLE", "DROP FUNCTION", "SELECT 1"] {
            assert!(!changes_functions(tag.as_bytes()), "{tag}");
        }
    }
}
