//! The last minute in slices of 5 seconds, the last hour in slices of a minute.
//!
//! A slice is added to while it is open and made sparse when it closes. Bounded: each slice keeps
//! the most used groups, pools and profiles apart and sums up the rest per pool. The ends of slices
//! are those of collections, so that a window is off by a second at most at its young end, and by
//! half a slice at its old one; [`Windows::since_us`] says where it really begins.

use std::collections::VecDeque;
use std::hash::Hash;
use std::time::Duration;

use super::sparse::{Sparse, SparseFigures, SparsePool, SparseTransactions};
use super::table::{OTHER_POOL, use_of};
use crate::insight::figures::{ByKey, Figures, PoolFigures, TransactionFigures};
use crate::insight::labels;
use crate::insight::lane::{GroupKey, LaneRecords, PoolId, TransactionKey};
use crate::sql::Class;
use crate::stats::clock::as_us;

const SHORT_US: u64 = 5_000_000;
const LONG_US: u64 = 60_000_000;
/// Slices of [`SHORT_US`] kept: a minute, and one that is half in.
const SHORTS: usize = 13;
/// Slices of [`LONG_US`] kept.
const LONGS: usize = 61;
/// Entries of one kind that an open slice keeps apart.
const OPEN: usize = 4096;
/// Pools and profiles of transactions that a closed slice keeps apart.
const CLOSED: usize = 128;

/// Entries of one kind in one slice.
type Of<K, S> = ByKey<K, <S as Sparse>::Dense>;

/// A slice that is added to.
#[derive(Debug, Default)]
struct Open {
    since_us: u64,
    groups: Of<GroupKey, SparseFigures>,
    pools: Of<PoolId, SparsePool>,
    transactions: Of<TransactionKey, SparseTransactions>,
}

/// A slice that is over.
#[derive(Debug)]
struct Closed {
    since_us: u64,
    until_us: u64,
    groups: Vec<(GroupKey, SparseFigures)>,
    pools: Vec<(PoolId, SparsePool)>,
    transactions: Vec<(TransactionKey, SparseTransactions)>,
}

/// Where figures go for which there is no room.
fn other_group(key: GroupKey, class: Class) -> GroupKey {
    let fingerprint = match class {
        // Its calls are not to be added to others.
        Class::Composite => labels::evicted(class),
        _ => labels::OTHER,
    };
    GroupKey { fingerprint, ..key }
}

fn other_profile(key: TransactionKey) -> TransactionKey {
    TransactionKey {
        heaviest: labels::OTHER,
        ..key
    }
}

/// `key`, or what stands for it when there is no room for one more.
fn room<K: Eq + Hash + Copy, V>(map: &ByKey<K, V>, key: K, other: K) -> K {
    match map.len() < OPEN || map.contains_key(&key) {
        true => key,
        false => other,
    }
}

impl Open {
    fn add_group(&mut self, key: GroupKey, delta: &Figures) {
        let key = room(&self.groups, key, other_group(key, delta.class));
        self.groups.entry(key).or_default().merge(delta);
    }

    fn add_pool(&mut self, id: PoolId, delta: &PoolFigures) {
        let id = room(&self.pools, id, OTHER_POOL);
        self.pools.entry(id).or_default().merge(delta);
    }

    fn add_transactions(&mut self, key: TransactionKey, delta: &TransactionFigures) {
        let key = room(&self.transactions, key, other_profile(key));
        self.transactions.entry(key).or_default().merge(delta);
    }

    fn add(&mut self, other: &Self) {
        for (key, figures) in &other.groups {
            self.add_group(*key, figures);
        }
        for (id, figures) in &other.pools {
            self.add_pool(*id, figures);
        }
        for (key, figures) in &other.transactions {
            self.add_transactions(*key, figures);
        }
    }

    fn restart(&mut self, now: u64) {
        self.since_us = now;
        self.groups.clear();
        self.pools.clear();
        self.transactions.clear();
    }

    fn close(&self, groups: usize, now: u64) -> Closed {
        Closed {
            since_us: self.since_us,
            until_us: now,
            groups: sparse(&self.groups, groups, use_of, |key, figures: &Figures| {
                other_group(key, figures.class)
            }),
            pools: sparse(
                &self.pools,
                CLOSED,
                |pool: &PoolFigures| pool.parts.server as f64,
                |_, _| OTHER_POOL,
            ),
            transactions: sparse(
                &self.transactions,
                CLOSED,
                |figures: &TransactionFigures| figures.hold_us as f64,
                |key, _| other_profile(key),
            ),
        }
    }
}

/// The `most` heaviest as they are, the rest summed up.
fn sparse<K: Eq + Hash + Copy, S: Sparse>(
    all: &Of<K, S>,
    most: usize,
    weight: impl Fn(&S::Dense) -> f64,
    other: impl Fn(K, &S::Dense) -> K,
) -> Vec<(K, S)> {
    let mut ranks: Vec<(f64, K)> = all.iter().map(|(key, v)| (weight(v), *key)).collect();
    if ranks.len() > most {
        ranks.select_nth_unstable_by(most, |a, b| b.0.total_cmp(&a.0));
    }
    let (kept, rest) = ranks.split_at(most.min(ranks.len()));
    let mut closed: Vec<(K, S)> = Vec::with_capacity(kept.len());
    for key in kept.iter().map(|(_, key)| *key) {
        if let Some(dense) = all.get(&key) {
            closed.push((key, S::of(dense)));
        }
    }
    let mut others: Of<K, S> = ByKey::default();
    for key in rest.iter().map(|(_, key)| *key) {
        if let Some(dense) = all.get(&key) {
            // Sparse and back: the one way of adding that all kinds have.
            S::of(dense).add_to(others.entry(other(key, dense)).or_default());
        }
    }
    closed.extend(others.iter().map(|(key, dense)| (*key, S::of(dense))));
    closed
}

/// The slices.
#[derive(Debug)]
pub struct Windows {
    /// Groups that a closed slice keeps apart.
    groups: usize,
    short: Open,
    long: Open,
    shorts: VecDeque<Closed>,
    longs: VecDeque<Closed>,
}

impl Windows {
    /// For a table of so many groups.
    pub fn for_groups(groups: usize, now: u64) -> Self {
        let mut windows = Self {
            groups: (groups / 20).clamp(64, 512),
            short: Open::default(),
            long: Open::default(),
            shorts: VecDeque::new(),
            longs: VecDeque::new(),
        };
        windows.clear(now);
        windows
    }

    /// Adds what one lane recorded.
    pub fn add(&mut self, lane: &LaneRecords) {
        for (key, delta) in lane.groups() {
            self.short.add_group(*key, delta);
        }
        for (id, delta) in (0..).zip(&lane.pools) {
            if let Some(delta) = delta.as_deref().filter(|delta| !delta.is_idle()) {
                self.short.add_pool(id, delta);
            }
        }
        for (key, delta) in &lane.transactions {
            self.short.add_transactions(*key, delta);
        }
    }

    /// Closes what is due.
    pub fn roll(&mut self, now: u64) {
        if now.saturating_sub(self.short.since_us) < SHORT_US {
            return;
        }
        self.long.add(&self.short);
        push(&mut self.shorts, self.short.close(self.groups, now), SHORTS);
        self.short.restart(now);
        if now.saturating_sub(self.long.since_us) < LONG_US {
            return;
        }
        push(&mut self.longs, self.long.close(self.groups, now), LONGS);
        self.long.restart(now);
    }

    /// Groups of a window.
    pub fn groups(&self, window: Duration, now: u64) -> ByKey<GroupKey, Figures> {
        let (closed, open) = self.slices(window, now);
        let mut sum = sum(closed.iter().map(|slice| &slice.groups));
        for (key, figures) in open.iter().flat_map(|open| &open.groups) {
            sum.entry(*key).or_default().merge(figures);
        }
        sum
    }

    /// Pools of a window.
    pub fn pools(&self, window: Duration, now: u64) -> ByKey<PoolId, PoolFigures> {
        let (closed, open) = self.slices(window, now);
        let mut sum = sum(closed.iter().map(|slice| &slice.pools));
        for (id, figures) in open.iter().flat_map(|open| &open.pools) {
            sum.entry(*id).or_default().merge(figures);
        }
        sum
    }

    /// Profiles of transactions of a window.
    pub fn transactions(
        &self,
        window: Duration,
        now: u64,
    ) -> ByKey<TransactionKey, TransactionFigures> {
        let (closed, open) = self.slices(window, now);
        let mut sum = sum(closed.iter().map(|slice| &slice.transactions));
        for (key, figures) in open.iter().flat_map(|open| &open.transactions) {
            sum.entry(*key).or_default().merge(figures);
        }
        sum
    }

    /// Where a window really begins, monotonic µs.
    pub fn since_us(&self, window: Duration, now: u64) -> u64 {
        let (closed, open) = self.slices(window, now);
        let closed = closed.first().map(|slice| slice.since_us);
        let open = open.iter().map(|open| open.since_us);
        open.chain(closed).min().unwrap_or(now)
    }

    /// The slices of a window, oldest first, and the open ones.
    fn slices(&self, window: Duration, now: u64) -> (Vec<&Closed>, Vec<&Open>) {
        let begin = now.saturating_sub(as_us(window));
        let is_in = |slice: &&Closed| (slice.since_us + slice.until_us) / 2 >= begin;
        if as_us(window) <= LONG_US {
            return (
                self.shorts.iter().filter(is_in).collect(),
                vec![&self.short],
            );
        }
        let open = vec![&self.short, &self.long];
        (self.longs.iter().filter(is_in).collect(), open)
    }

    /// RESET STATEMENTS.
    pub fn clear(&mut self, now: u64) {
        self.shorts.clear();
        self.longs.clear();
        self.short.restart(now);
        self.long.restart(now);
    }

    /// RESET STATEMENTS of one.
    pub fn remove(&mut self, fingerprint: u64) {
        for slice in self.shorts.iter_mut().chain(&mut self.longs) {
            slice
                .groups
                .retain(|(key, _)| key.fingerprint != fingerprint);
        }
        for open in [&mut self.short, &mut self.long] {
            open.groups.retain(|key, _| key.fingerprint != fingerprint);
        }
    }
}

fn push(ring: &mut VecDeque<Closed>, slice: Closed, most: usize) {
    if ring.len() == most {
        ring.pop_front();
    }
    ring.push_back(slice);
}

fn sum<'a, K: Eq + Hash + Copy + 'a, S: Sparse + 'a>(
    slices: impl Iterator<Item = &'a Vec<(K, S)>>,
) -> Of<K, S> {
    let mut sum: Of<K, S> = ByKey::default();
    for (key, figures) in slices.flatten() {
        figures.add_to(sum.entry(*key).or_default());
    }
    sum
}
