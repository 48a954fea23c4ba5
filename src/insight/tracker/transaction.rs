//! HOT. A transaction as a whole: how long it held its server, who was silent, what it repeated.

use crate::insight::figures::Repeat;

/// Fingerprints watched for repetition in one transaction.
const WATCHED: usize = 32;

/// One fingerprint inside a transaction.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    fingerprint: u64,
    count: u32,
    server_us: u64,
    text_hash: u64,
    is_varied: bool,
}

/// A transaction, from its first statement to the status `I`.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    began_us: u64,
    statements: u64,
    server_us: u64,
    think_us: u64,
    /// A transaction of one statement needs no table.
    only: Seen,
    /// Direct-mapped; allocated once per server, at its first transaction of two statements.
    seen: Option<Box<[Seen; WATCHED]>>,
    uses_table: bool,
    has_begin: bool,
    has_failed: bool,
    committed: bool,
    rolled_back: bool,
    commit_asked: bool,
}

/// What it came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub began_us: u64,
    pub statements: u64,
    pub server_us: u64,
    pub think_us: u64,
    pub heaviest: u64,
    pub repeat: Repeat,
    pub is_committed: bool,
    pub is_silent_rollback: bool,
    /// Two statements or more, or begun by BEGIN.
    pub is_profiled: bool,
}

impl Transaction {
    /// HOT. A server is linked for it at `since_us`.
    #[inline]
    pub fn begin(&mut self, since_us: u64) {
        let seen = self.seen.take();
        let was_used = self.uses_table;
        *self = Self {
            began_us: since_us,
            seen,
            ..Self::default()
        };
        if was_used && let Some(seen) = self.seen.as_deref_mut() {
            *seen = [Seen::default(); WATCHED];
        }
    }

    /// HOT. Whether the transaction has run this statement already.
    #[inline]
    pub fn has_seen(&self, fingerprint: u64) -> bool {
        if !self.uses_table {
            return self.only.count > 0 && self.only.fingerprint == fingerprint;
        }
        self.seen
            .as_ref()
            .is_some_and(|seen| seen[at(fingerprint)].fingerprint == fingerprint)
    }

    #[inline]
    pub fn thought(&mut self, us: u64) {
        self.think_us += us;
    }

    /// HOT. A command ended well.
    #[inline]
    pub fn completed(&mut self, tag: &[u8]) {
        match tag.first() {
            Some(b'B') if tag == b"BEGIN" => self.has_begin = true,
            Some(b'S') if tag == b"START TRANSACTION" => self.has_begin = true,
            Some(b'C') if tag == b"COMMIT" => self.committed = true,
            Some(b'R') if tag == b"ROLLBACK" => self.rolled_back = true,
            _ => {}
        }
    }

    pub fn failed(&mut self) {
        self.has_failed = true;
    }

    /// HOT. The client asked for a commit: answered by ROLLBACK, it was a silent rollback.
    #[inline]
    pub fn commit_asked(&mut self) {
        self.commit_asked = true;
    }

    /// HOT. A statement that is not transaction control was answered.
    #[inline]
    pub fn add(&mut self, fingerprint: u64, server_us: u64, text_hash: u64) {
        self.statements += 1;
        self.server_us += server_us;
        let seen = Seen {
            fingerprint,
            count: 1,
            server_us,
            text_hash,
            is_varied: false,
        };
        if self.statements == 1 {
            self.only = seen;
            return;
        }
        if !self.uses_table {
            self.uses_table = true;
            let only = self.only;
            self.seen
                .get_or_insert_with(|| Box::new([Seen::default(); WATCHED]));
            self.watch(only);
        }
        self.watch(seen);
    }

    fn watch(&mut self, new: Seen) {
        let Some(table) = self.seen.as_deref_mut() else {
            return;
        };
        let slot = &mut table[at(new.fingerprint)];
        if slot.count == 0 || (slot.fingerprint != new.fingerprint && slot.count == 1) {
            *slot = new;
        } else if slot.fingerprint == new.fingerprint {
            slot.count += 1;
            slot.server_us += new.server_us;
            // Texts are looked at from the second time on; prepared statements vary by nature.
            let is_known = slot.text_hash != 0 && new.text_hash != 0;
            slot.is_varied |= new.text_hash == 0 || (is_known && slot.text_hash != new.text_hash);
            if new.text_hash != 0 {
                slot.text_hash = new.text_hash;
            }
        }
    }

    /// Whether anything ran in it.
    pub fn is_open(&self) -> bool {
        self.statements > 0 || self.has_begin
    }

    /// The transaction is over.
    pub fn outcome(&self) -> Outcome {
        let none = [];
        let seen = match (&self.seen, self.uses_table) {
            (Some(seen), true) => &seen[..],
            _ => &none[..],
        };
        let heaviest = seen.iter().max_by_key(|seen| seen.server_us);
        let repeated = seen.iter().max_by_key(|seen| seen.count);
        let heaviest = heaviest.unwrap_or(&self.only);
        Outcome {
            began_us: self.began_us,
            statements: self.statements,
            server_us: self.server_us,
            think_us: self.think_us,
            heaviest: heaviest.fingerprint,
            repeat: repeated
                .filter(|seen| seen.count > 1)
                .map_or_else(Repeat::default, |seen| Repeat {
                    count: seen.count,
                    fingerprint: seen.fingerprint,
                    is_varied: seen.is_varied,
                }),
            is_committed: self.committed || (!self.rolled_back && !self.has_failed),
            is_silent_rollback: self.commit_asked && self.rolled_back,
            is_profiled: self.has_begin || self.statements > 1,
        }
    }
}

fn at(fingerprint: u64) -> usize {
    (fingerprint >> 40) as usize % WATCHED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_repeated_and_the_heaviest_are_found() {
        let mut transaction = Transaction::default();
        transaction.begin(5);
        transaction.completed(b"BEGIN");
        transaction.add(7 << 40, 10, 0);
        assert!(transaction.has_seen(7 << 40) && !transaction.has_seen(8 << 40));
        transaction.add(8 << 40, 500, 0);
        for hash in [1, 2, 3] {
            transaction.add(7 << 40, 10, hash);
        }
        let outcome = transaction.outcome();
        assert_eq!((outcome.heaviest, outcome.statements), (8 << 40, 5));
        assert_eq!((outcome.repeat.count, outcome.repeat.is_varied), (4, true));
        transaction.begin(9);
        assert!(!transaction.has_seen(7 << 40));
        assert_eq!(transaction.outcome().statements, 0);
    }

    #[test]
    fn the_same_text_again_is_not_varied() {
        let mut transaction = Transaction::default();
        for hash in [0, 9, 9, 9] {
            transaction.add(3 << 40, 1, hash);
        }
        let repeat = transaction.outcome().repeat;
        assert_eq!((repeat.count, repeat.is_varied), (4, false));
    }
}
