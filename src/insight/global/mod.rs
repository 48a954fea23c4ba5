//! Everything since the last reset, and what `/metrics` counts since the start.
//!
//! Owned by one mutex that only the collector and readers take. Bounded in every direction.
//!
//! ```text
//! table.rs    groups of statements, eviction     texts.rs    a text per fingerprint
//! slow.rs     the last slow statements           pools.rs    sums per pool
//! profiles.rs profiles of transactions           windows.rs  the last hour, sparse.rs: in little room
//! top.rs      the counters with a name in /metrics
//! ```

mod pools;
mod profiles;
mod slow;
mod sparse;
mod table;
mod texts;
mod top;
mod windows;

use super::Insight;
use super::figures::{AppId, ByKey};
use super::labels;
use super::lane::{GroupKey, LaneRecords, PoolId};
use super::read::Totals;
use crate::sql::Class;
pub use pools::PoolTotals;
use pools::Pools;
use profiles::Profiles;
use slow::Slow;
use table::Table;
use texts::TextTable;
use top::Top;
use windows::Windows;

/// Statements that `/metrics` shows by fingerprint, twice as many at most.
const TOP_STATEMENTS: usize = 50;
/// Applications that `/metrics` shows by name, twice as many at most.
const TOP_APPS: usize = 10;
/// How often it is decided anew which those are.
const RANK_EVERY_US: u64 = 60_000_000;
/// What is left of a group's recent time after [`RANK_EVERY_US`]: half after a quarter of an hour.
const FADE: f64 = 0.955;

/// Amounts of a named statement: calls, server time in µs, rows, errors.
pub type TopStatements = Top<GroupKey, PoolId, 4>;

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
    pub(super) windows: Windows,
    pub(super) top: TopStatements,
    /// Server time by application, µs.
    pub(super) apps: Top<AppId, (), 1>,
    /// Recent server time of each application, µs, fading.
    app_weights: ByKey<AppId, f64>,
    /// Last reset, monotonic µs.
    pub(super) since_us: u64,
    ranked_us: u64,
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
            windows: Windows::for_groups(groups, now),
            top: Top::with_names(TOP_STATEMENTS),
            apps: Top::with_names(TOP_APPS),
            app_weights: ByKey::default(),
            since_us: now,
            ranked_us: now,
            overflowed: 0,
        }
    }

    /// Adds what one lane recorded.
    pub(super) fn merge(&mut self, lane: &LaneRecords, insight: &Insight, now: u64) {
        self.texts.take(lane, &insight.known, now);
        for (key, delta) in lane.groups() {
            let texts = &mut self.texts;
            self.table.merge(*key, delta, now, |change| {
                texts.follow(change, &insight.known, now);
            });
        }
        self.pools.add(lane);
        self.windows.add(lane);
        self.count(lane, now);
        for (key, delta) in &lane.transactions {
            self.transactions.merge(*key, delta);
        }
        self.slow.take(lane);
        self.overflowed += lane.overflowed;
    }

    /// The counters of `/metrics` that have names.
    fn count(&mut self, lane: &LaneRecords, now: u64) {
        for (key, delta) in lane.groups() {
            let server_us = delta.parts.server;
            let amounts = match delta.class {
                // Its members have the rest.
                Class::Composite => [0, server_us, 0, 0],
                _ => [delta.calls, server_us, delta.rows, delta.errors],
            };
            match labels::text(key.fingerprint) {
                Some(_) => self.top.add_rest(key.pool, amounts),
                None => self.top.add(*key, key.pool, amounts, now),
            }
        }
        let apps = lane.pools.iter().flatten().flat_map(|pool| &pool.apps.0);
        for &(app, us) in apps {
            self.apps.add(app, (), [us], now);
            *self.app_weights.entry(app).or_default() += us as f64;
        }
    }

    /// What is due from time to time, after the lanes have been merged.
    pub(super) fn tick(&mut self, now: u64) {
        self.windows.roll(now);
        if now.saturating_sub(self.ranked_us) < RANK_EVERY_US {
            return;
        }
        self.ranked_us = now;
        let ranks = self.table.rank(FADE).into_iter();
        let ranks = ranks.map(|(weight, key)| (weight, key, key.pool)).collect();
        self.top.rename(ranks, now);
        let apps = self.app_weights.iter_mut().map(|(app, weight)| {
            *weight *= FADE;
            (*weight, *app, ())
        });
        self.apps.rename(apps.collect(), now);
    }

    /// Forgets what was counted up to now.
    pub(super) fn reset(&mut self, now: u64) {
        self.table.clear();
        self.texts.detach_all();
        self.slow.clear();
        self.transactions = Profiles::default();
        self.windows.clear(now);
        self.pools.reset();
        self.since_us = now;
    }

    /// Forgets one fingerprint's groups; false when there is none.
    pub(super) fn reset_one(&mut self, fingerprint: u64) -> bool {
        let removed = self.table.remove_all(fingerprint);
        self.texts.detach(fingerprint, removed);
        self.windows.remove(fingerprint);
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
            slow_log_lines: 0,
            slow_log_suppressed: 0,
        }
    }
}
