//! Groups that are not statements: fixed fingerprints with a label for a text.

use crate::sql::{Class, EMPTY, of_label};

/// Profiles of transactions for which there was no room.
pub const OTHER: u64 = of_label("(other)");
/// FunctionCall of the old sub-protocol.
pub const FUNCTION_CALL: u64 = of_label("(function call)");
/// Statements behind the part of a text that is looked at.
pub const UNSEEN: u64 = of_label("(unseen)");
/// What failed with 42601 and was never seen to work.
pub const SYNTAX_ERROR: u64 = of_label("(error:42601)");
/// What failed with another error of class 42 and was never seen to work.
pub const NAME_ERROR: u64 = of_label("(error:42xxx)");

const EVICTED: [(u64, &str); 12] = [
    (of_label("(evicted select)"), "(evicted select)"),
    (of_label("(evicted insert)"), "(evicted insert)"),
    (of_label("(evicted update)"), "(evicted update)"),
    (of_label("(evicted delete)"), "(evicted delete)"),
    (of_label("(evicted merge)"), "(evicted merge)"),
    (of_label("(evicted copy)"), "(evicted copy)"),
    (of_label("(evicted ddl)"), "(evicted ddl)"),
    (of_label("(evicted maintenance)"), "(evicted maintenance)"),
    (of_label("(evicted control)"), "(evicted control)"),
    (of_label("(evicted empty)"), "(evicted empty)"),
    (of_label("(evicted other)"), "(evicted other)"),
    (of_label("(evicted composite)"), "(evicted composite)"),
];

const FIXED: [(u64, &str); 6] = [
    (EMPTY, "(empty)"),
    (OTHER, "(other)"),
    (FUNCTION_CALL, "(function call)"),
    (UNSEEN, "(unseen)"),
    (SYNTAX_ERROR, "(error:42601)"),
    (NAME_ERROR, "(error:42xxx)"),
];

/// The group that takes the figures of evicted ones of a class.
pub const fn evicted(class: Class) -> u64 {
    EVICTED[class as usize].0
}

/// The label of a fixed group.
pub fn text(fingerprint: u64) -> Option<&'static str> {
    EVICTED
        .iter()
        .chain(&FIXED)
        .find(|(known, _)| *known == fingerprint)
        .map(|(_, label)| *label)
}
