//! The key that was probably meant.
//!
//! Owns the guess in "unknown setting" errors. Touches nothing.

use super::registry::Entry;

/// The key most like a misspelt one: by far the most common errors are a letter or two, or case.
pub(super) fn nearest<T>(table: &'static [Entry<T>], key: &str) -> Option<&'static str> {
    table
        .iter()
        .map(|entry| (distance(entry.key, key), entry.key))
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.len() / 4))
        .min()
        .map(|(_, key)| key)
}

/// Letters to insert, delete or replace to get from one word to the other, case aside.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<u8> = right.bytes().take(64).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let cost = usize::from(!a.eq_ignore_ascii_case(b));
            let best = (diagonal + cost).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = row[j + 1];
            row[j + 1] = best;
        }
    }
    row[right.len()]
}
