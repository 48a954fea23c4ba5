//! HOT. What a lane records: one table per lane, swapped out by the collector once a second.
//!
//! The mutex of a lane's table is taken by that lane once per answered query and by the collector
//! for the time of a swap, so it is not contended. Nothing here can fail a query: where a bound is
//! reached, figures fall into fixed groups and are counted there.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::figures::{AppId, ByKey, Figures, Parts, PoolFigures, SqlState, TransactionFigures};
use super::labels;
use crate::net::Endpoint;
use crate::sql::Class;

/// Index of a (database, user) in [`super::names::Names`].
pub type PoolId = u32;

/// A group of statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupKey {
    /// The statement.
    pub fingerprint: u64,
    /// Database and user.
    pub pool: PoolId,
}

/// A profile of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransactionKey {
    /// The statement that took the most server time.
    pub heaviest: u64,
    /// Database and user.
    pub pool: PoolId,
    /// Masked application name.
    pub app: AppId,
}

/// Fingerprints are hashes already; the small numbers beside them are mixed in.
#[derive(Debug, Default, Clone, Copy)]
pub struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        for &byte in rest {
            self.write_u64(u64::from(byte));
        }
    }
    #[inline]
    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }
    #[inline]
    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Builds [`Mixer`]s.
pub type Passthrough = BuildHasherDefault<Mixer>;

/// Groups a lane keeps apart between two collections; more fall into `(evicted)`.
pub const LANE_GROUPS: usize = 4096;
/// Slow statements a lane keeps between two collections; more are counted only.
pub const LANE_SLOW: usize = 256;
/// Bytes of new texts a lane keeps between two collections; more are dropped and sent again later.
pub const LANE_TEXT_BYTES: usize = 1 << 20;
/// Profiles of transactions a lane keeps apart between two collections.
pub const LANE_TRANSACTIONS: usize = 512;

/// A statement that was slow.
#[derive(Clone, Debug)]
pub struct SlowStatement {
    /// Which.
    pub key: GroupKey,
    /// What it does.
    pub class: Class,
    /// When it ended, monotonic µs.
    pub ended_us: u64,
    /// Where its time went.
    pub parts: Parts,
    /// Rows.
    pub rows: u64,
    /// How it ended; 08006 when its client was gone before.
    pub sqlstate: SqlState,
    /// Id of its client.
    pub client: u64,
    /// Login name of the client.
    pub login: Arc<str>,
    /// Its application_name, as it stands.
    pub application: Option<Arc<str>>,
    /// Where it comes from.
    pub remote: Endpoint,
    /// The backend that ran it.
    pub backend_pid: i32,
    /// The text with its constants, at most 4 KiB, when `sample_literals` asks for it.
    pub sample: Option<Box<[u8]>>,
    /// The comment that may hold tags, at most 1 KiB.
    pub tags: Option<Box<[u8]>>,
}

/// The first text of a fingerprint that the global table does not have.
#[derive(Clone, Debug)]
pub enum NewText {
    /// A statement as it was sent: what counts of it (`sql::CAP`), and one byte more where it goes on.
    Raw(Box<[u8]>),
    /// Statements whose time could not be told apart, in order, without repetition.
    Members(Box<[u64]>),
}

/// What happened on a lane since the last collection.
#[derive(Debug, Default)]
pub struct LaneRecords {
    /// Groups by key: index into `groups`.
    index: ByKey<GroupKey, u32>,
    groups: Vec<(GroupKey, Figures)>,
    /// Pools by id; `None` where nothing happened.
    pub pools: Vec<Option<Box<PoolFigures>>>,
    /// Profiles of transactions.
    pub transactions: ByKey<TransactionKey, TransactionFigures>,
    /// Slow statements, oldest first.
    pub slow: Vec<SlowStatement>,
    /// Slow statements for which there was no room.
    pub slow_dropped: u64,
    /// Texts of fingerprints that were new.
    pub texts: Vec<(u64, NewText)>,
    /// Texts for which there was no room.
    pub texts_dropped: u64,
    text_bytes: usize,
    /// Statements that fell into `(evicted)` because there was no room for their group.
    pub overflowed: u64,
}

impl LaneRecords {
    /// HOT. The figures of a group. No allocation for a group that is known.
    #[inline]
    pub fn group(&mut self, key: GroupKey, class: Class) -> &mut Figures {
        let at = match self.index.get(&key) {
            Some(&at) => at as usize,
            None => self.new_group(key, class),
        };
        &mut self.groups[at].1
    }

    #[cold]
    fn new_group(&mut self, key: GroupKey, class: Class) -> usize {
        let key = if self.groups.len() < LANE_GROUPS {
            key
        } else {
            self.overflowed += 1;
            GroupKey {
                fingerprint: labels::evicted(class),
                pool: key.pool,
            }
        };
        let (index, groups) = (&mut self.index, &mut self.groups);
        let at = *index.entry(key).or_insert_with(|| {
            let figures = Figures {
                class,
                ..Figures::default()
            };
            groups.push((key, figures));
            (groups.len() - 1) as u32
        });
        at as usize
    }

    /// HOT. The figures of a pool.
    #[inline]
    pub fn pool(&mut self, pool: PoolId) -> &mut PoolFigures {
        let at = pool as usize;
        if self.pools.len() <= at {
            self.pools.resize_with(at + 1, || None);
        }
        self.pools[at].get_or_insert_default()
    }

    /// The figures of a profile of transactions.
    pub fn transaction(&mut self, key: TransactionKey) -> &mut TransactionFigures {
        let is_full = self.transactions.len() >= LANE_TRANSACTIONS;
        let key = if is_full && !self.transactions.contains_key(&key) {
            TransactionKey {
                heaviest: labels::OTHER,
                ..key
            }
        } else {
            key
        };
        self.transactions.entry(key).or_default()
    }

    /// A slow statement.
    pub fn push_slow(&mut self, slow: SlowStatement) {
        if self.slow.len() < LANE_SLOW {
            self.slow.push(slow);
        } else {
            self.slow_dropped += 1;
        }
    }

    /// The text of a new fingerprint; false when there was no room.
    pub fn push_text(&mut self, fingerprint: u64, text: NewText) -> bool {
        let bytes = match &text {
            NewText::Raw(raw) => raw.len(),
            NewText::Members(members) => 8 * members.len(),
        };
        if self.text_bytes + bytes > LANE_TEXT_BYTES {
            self.texts_dropped += 1;
            return false;
        }
        self.text_bytes += bytes;
        self.texts.push((fingerprint, text));
        true
    }

    /// All groups, for the collector.
    pub fn groups(&self) -> &[(GroupKey, Figures)] {
        &self.groups
    }

    /// Empties everything and keeps the room, so that a lane need not allocate again.
    pub fn clear(&mut self) {
        self.index.clear();
        self.groups.clear();
        for pool in self.pools.iter_mut().flatten() {
            **pool = PoolFigures::default();
        }
        self.transactions.clear();
        self.slow.clear();
        self.slow_dropped = 0;
        self.texts.clear();
        self.texts_dropped = 0;
        self.text_bytes = 0;
        self.overflowed = 0;
    }
}

/// The table of one lane; padded so that two lanes never share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Recorder {
    records: Mutex<LaneRecords>,
}

impl Recorder {
    /// HOT. The table, for the time of one recording.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, LaneRecords> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes everything recorded; `spare` is an emptied table that the lane goes on with.
    pub fn swap(&self, spare: &mut LaneRecords) {
        std::mem::swap(&mut *self.lock(), spare);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(fingerprint: u64) -> GroupKey {
        GroupKey {
            fingerprint,
            pool: 0,
        }
    }

    #[test]
    fn what_finds_no_room_is_counted_in_the_evicted_group() {
        let mut records = LaneRecords::default();
        for fingerprint in 0..LANE_GROUPS as u64 + 10 {
            records.group(key(fingerprint), Class::Select).calls += 1;
        }
        let total: u64 = records.groups().iter().map(|(_, f)| f.calls).sum();
        assert_eq!(total, LANE_GROUPS as u64 + 10);
        assert!(records.groups().len() <= LANE_GROUPS + 1);
        assert_eq!(
            records
                .group(key(labels::evicted(Class::Select)), Class::Select)
                .calls,
            10
        );
        assert_eq!(records.overflowed, 10);
    }

    #[test]
    fn a_cleared_table_is_empty_and_works_again() {
        let mut records = LaneRecords::default();
        records.group(key(1), Class::Select).calls += 1;
        records.pool(3).rows += 5;
        assert!(records.push_text(1, NewText::Raw(Box::from(&b"select 1"[..]))));
        records.clear();
        assert!(records.groups().is_empty() && records.texts.is_empty());
        assert_eq!(records.pool(3).rows, 0);
        assert_eq!(records.group(key(1), Class::Select).calls, 0);
    }

    #[test]
    fn texts_are_bounded_in_bytes() {
        let mut records = LaneRecords::default();
        let text = || NewText::Raw(vec![b'x'; 64 << 10].into());
        let kept = (0..100).filter(|&at| records.push_text(at, text())).count();
        assert_eq!(kept, LANE_TEXT_BYTES / (64 << 10));
        assert_eq!(records.texts_dropped, 100 - kept as u64);
    }
}
