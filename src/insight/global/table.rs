//! Groups of statements: at most `statement_table_size`, the least used give way.
//!
//! Use is counted as calls plus milliseconds of server time, and fades, so that a rare slow
//! statement outlives a thousand quick ones that never came back. Who gives way is added to the
//! `(evicted ...)` group of its class and pool: sums over all groups stay exact.
//! Source: insight.md 3 (usage-decayed, the lowest 5 % in a batch).

use std::cmp::Ordering;

use crate::insight::figures::{ByKey, Figures};
use crate::insight::labels;
use crate::insight::lane::{GroupKey, PoolId};

/// Fewest groups: less would be evicted before anybody reads it.
const MIN_LIMIT: usize = 50;
/// Share of the groups that is evicted at once: one in so many.
const BATCH: usize = 20;
/// What is left of the use of a group after a pass of evictions.
const FADE: f64 = 0.99;
/// Use fades once in so long at most: under an explosion of statements passes come many a second,
/// and a statement of half a minute shall outlive it.
const FADE_EVERY_US: u64 = 1_000_000;
/// Stands for the pools whose fixed groups found no room.
pub const OTHER_POOL: PoolId = PoolId::MAX;

#[derive(Debug, Default)]
struct Group {
    figures: Figures,
    usage: f64,
    /// Server time, fading; see [`Table::rank`].
    recent_us: f64,
}

/// What texts must know of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A fingerprint has one group more.
    Added(u64),
    /// A fingerprint has one group less.
    Evicted(u64),
}

/// The table.
#[derive(Debug)]
pub struct Table {
    groups: ByKey<GroupKey, Box<Group>>,
    /// Groups that are no statements: never evicted.
    fixed: ByKey<GroupKey, Box<Figures>>,
    limit: usize,
    evictions: u64,
    faded_us: u64,
    /// Kept for its room.
    ranks: Vec<(f64, u64, GroupKey)>,
}

impl Table {
    /// At most `limit` groups.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            groups: ByKey::default(),
            fixed: ByKey::default(),
            limit: limit.max(MIN_LIMIT),
            evictions: 0,
            faded_us: 0,
            ranks: Vec::new(),
        }
    }

    /// Adds a lane's figures of one group. `follow` hears of groups that come and go.
    pub fn merge(
        &mut self,
        key: GroupKey,
        delta: &Figures,
        now: u64,
        mut follow: impl FnMut(Change),
    ) {
        if labels::text(key.fingerprint).is_some() {
            self.fixed_group(key).merge(delta);
            return;
        }
        if !self.groups.contains_key(&key) {
            if self.len() >= self.limit {
                self.evict(now, &mut follow);
            }
            follow(Change::Added(key.fingerprint));
        }
        let group = self.groups.entry(key).or_default();
        group.figures.merge(delta);
        group.usage += use_of(delta);
        group.recent_us += delta.parts.server as f64;
    }

    fn fixed_group(&mut self, key: GroupKey) -> &mut Figures {
        let is_full = self.fixed.len() >= self.limit / 4;
        let key = match is_full && !self.fixed.contains_key(&key) {
            true => GroupKey {
                pool: OTHER_POOL,
                ..key
            },
            false => key,
        };
        self.fixed.entry(key).or_default()
    }

    fn evict(&mut self, now: u64, follow: &mut impl FnMut(Change)) {
        self.fade(now);
        let mut ranks = std::mem::take(&mut self.ranks);
        ranks.clear();
        let groups = self.groups.iter();
        ranks.extend(groups.map(|(key, group)| (group.usage, group.figures.last_seen_us, *key)));
        let count = (self.limit / BATCH).clamp(1, ranks.len().max(1));
        if count < ranks.len() {
            ranks.select_nth_unstable_by(count, by_use);
        }
        for (_, _, key) in ranks.iter().take(count) {
            let Some(group) = self.groups.remove(key) else {
                continue;
            };
            let evicted = GroupKey {
                fingerprint: labels::evicted(group.figures.class),
                pool: key.pool,
            };
            self.fixed_group(evicted).merge(&group.figures);
            self.evictions += 1;
            follow(Change::Evicted(key.fingerprint));
        }
        self.ranks = ranks;
    }

    fn fade(&mut self, now: u64) {
        if now.saturating_sub(self.faded_us) < FADE_EVERY_US {
            return;
        }
        self.faded_us = now;
        for group in self.groups.values_mut() {
            group.usage *= FADE;
        }
    }

    /// All groups, the fixed ones included.
    pub fn iter(&self) -> impl Iterator<Item = (GroupKey, &Figures)> {
        let groups = self
            .groups
            .iter()
            .map(|(key, group)| (*key, &group.figures));
        groups.chain(self.fixed.iter().map(|(key, figures)| (*key, &**figures)))
    }

    /// The groups by recent server time, µs; what counted up to now fades by `fade`.
    pub fn rank(&mut self, fade: f64) -> Vec<(f64, GroupKey)> {
        let groups = self.groups.iter_mut().map(|(key, group)| {
            group.recent_us *= fade;
            (group.recent_us, *key)
        });
        groups.collect()
    }

    /// Forgets everything; evictions stay counted.
    pub fn clear(&mut self) {
        self.groups.clear();
        self.fixed.clear();
    }

    /// Forgets the groups of one fingerprint; how many there were.
    pub fn remove_all(&mut self, fingerprint: u64) -> usize {
        let before = self.len();
        self.groups.retain(|key, _| key.fingerprint != fingerprint);
        self.fixed.retain(|key, _| key.fingerprint != fingerprint);
        before - self.len()
    }

    /// Groups there are.
    pub fn len(&self) -> usize {
        self.groups.len() + self.fixed.len()
    }

    /// Most groups there may be.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Groups evicted since the start.
    pub fn evictions(&self) -> u64 {
        self.evictions
    }
}

/// How much a group is used: calls and milliseconds.
pub fn use_of(figures: &Figures) -> f64 {
    (figures.calls + figures.errors) as f64 + figures.parts.server as f64 / 1e3
}

/// Least used first; of equals the one that was not seen for longest.
fn by_use(one: &(f64, u64, GroupKey), other: &(f64, u64, GroupKey)) -> Ordering {
    one.0.total_cmp(&other.0).then(one.1.cmp(&other.1))
}
