//! Everything since the last reset, and what `/metrics` counts since the start.
//!
//! Owned by one mutex that only the collector and readers take. Bounded in every direction.
//!
//! ```text
//! table.rs    groups of statements, eviction     texts.rs  a text per fingerprint
//! slow.rs     the last slow statements           pools.rs  sums per pool
//! profiles.rs profiles of transactions
//! ```

mod pools;
mod profiles;
mod slow;
mod table;
mod texts;

use super::Insight;
use super::lane::LaneRecords;
use super::read::Totals;
use pools::Pools;
use profiles::Profiles;
use slow::Slow;
use table::Table;
use texts::TextTable;

/// The state.
#[derive(Debug)]
pub struct Global {
    /// A table for the next lane.
    pub(super) spare: LaneRecords,
    pub(super) table: Table,
    pub(super) texts: TextTable,
    pub(super) slow: Slow,
    pub(super) transactions: Profiles,
    pub(super) pools: Pools,
    /// Last reset, monotonic µs.
    pub(super) since_us: u64,
    overflowed: u64,
}

impl Global {
    /// Room for `groups` groups.
    pub fn with_room_for(groups: usize, now: u64) -> Self {
        Self {
            spare: LaneRecords::default(),
            table: Table::with_limit(groups),
            texts: TextTable::with_room_for(groups),
            slow: Slow::default(),
            transactions: Profiles::default(),
            pools: Pools::default(),
            since_us: now,
            overflowed: 0,
        }
    }

    /// Adds what one lane recorded.
    pub(super) fn merge(&mut self, lane: &LaneRecords, insight: &Insight, now: u64) {
        self.texts.take(lane, &insight.known, now);
        for (key, delta) in lane.groups() {
            let texts = &mut self.texts;
            self.table.merge(*key, delta, now, |change| {
                texts.follow(change, &insight.known, now)
            });
        }
        for (id, delta) in (0..).zip(&lane.pools) {
            if let Some(delta) = delta {
                self.pools.merge(id, delta);
            }
        }
        for (key, delta) in &lane.transactions {
            self.transactions.merge(*key, delta);
        }
        self.slow.take(lane);
        self.overflowed += lane.overflowed;
    }

    /// Forgets what was counted up to now.
    pub(super) fn reset(&mut self, now: u64) {
        self.table.clear();
        self.texts.detach_all();
        self.slow.clear();
        self.transactions = Profiles::default();
        self.pools.reset();
        self.since_us = now;
    }

    /// Forgets one fingerprint's groups; false when there is none.
    pub(super) fn reset_one(&mut self, fingerprint: u64) -> bool {
        let removed = self.table.remove_all(fingerprint);
        self.texts.detach(fingerprint, removed);
        removed > 0
    }

    pub(super) fn totals(&self) -> Totals {
        Totals {
            groups: self.table.len() as u64,
            groups_limit: self.table.limit() as u64,
            evictions: self.table.evictions(),
            overflowed: self.overflowed,
            texts_dropped: self.texts.dropped(),
            slow: self.slow.total(),
            slow_dropped: self.slow.dropped(),
        }
    }
}
