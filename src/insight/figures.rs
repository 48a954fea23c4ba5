//! What is counted for one group of statements, one pool, one profile of transactions.
//!
//! The same structs are a lane's delta of the last second, a window's sum and the total since the
//! last reset: merging is adding. Times are µs.

use std::collections::HashMap;

use super::histogram::Histogram;
use crate::sql::Class;

/// Limits with exact counters of their own, µs: 100 ms, 500 ms, 2 s.
pub const OVER_US: [u64; 3] = [100_000, 500_000, 2_000_000];

/// A five-letter error code.
pub type SqlState = [u8; 5];

/// SQLSTATE of what went well.
pub const SUCCESS: SqlState = *b"00000";

/// Index of an application name in [`super::names::Names`].
pub type AppId = u32;

/// The parts of a statement's time, in µs; they do not overlap, but for `blocked`, `first` and
/// `commit`, which lie inside `server`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Waiting for a server.
    pub wait: u64,
    /// From the request's last byte to the reply's last, without the client's stalls.
    pub server: u64,
    /// To the first byte of the reply.
    pub first: u64,
    /// Extended protocol: from the statement's end to ReadyForQuery.
    pub commit: u64,
    /// Waiting for a lock, as far as the sidecar saw it.
    pub blocked: u64,
    /// A client that sends or takes its bytes slowly.
    pub transfer: u64,
    /// The client's silence behind the statement, inside a transaction.
    pub think: u64,
}

impl Parts {
    /// What the client saw: wait, server and transfer.
    pub fn total(&self) -> u64 {
        self.wait + self.server + self.transfer
    }

    /// Adds.
    pub fn merge(&mut self, other: &Self) {
        self.wait += other.wait;
        self.server += other.server;
        self.first += other.first;
        self.commit += other.commit;
        self.blocked += other.blocked;
        self.transfer += other.transfer;
        self.think += other.think;
    }
}

/// The slowest statement of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slowest {
    /// Server time, µs.
    pub server_us: u64,
    /// When it ended, monotonic µs.
    pub at_us: u64,
    /// Id of its client.
    pub client: u64,
}

/// A counter per key with few keys, in order of first sight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Few<K>(pub Vec<(K, u64)>);

impl<K> Default for Few<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: PartialEq + Copy> Few<K> {
    /// Counts; beyond `limit` keys the least frequent gives way and its count is inherited
    /// (space-saving), so that the most frequent stay.
    pub fn add(&mut self, key: K, n: u64, limit: usize) {
        if let Some((_, count)) = self.0.iter_mut().find(|(known, _)| *known == key) {
            *count += n;
        } else if self.0.len() < limit {
            self.0.push((key, n));
        } else if let Some((known, count)) = self.0.iter_mut().min_by_key(|(_, count)| *count) {
            *known = key;
            *count += n;
        }
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self, limit: usize) {
        for &(key, n) in &other.0 {
            self.add(key, n, limit);
        }
    }
}

/// Applications remembered per group.
pub const APPS: usize = 4;
/// SQLSTATEs told apart per group.
pub const SQLSTATES: usize = 16;

/// What FETCH and MOVE took from the cursors that the statements of a group have declared. They are
/// calls of their own groups; this is told beside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// How many.
    pub calls: u64,
    /// Rows returned.
    pub rows: u64,
    /// Server time, µs.
    pub server_us: u64,
}

impl Fetched {
    /// One more.
    pub fn add(&mut self, rows: u64, server_us: u64) {
        self.merge(Self {
            calls: 1,
            rows,
            server_us,
        });
    }

    fn merge(&mut self, other: Self) {
        self.calls += other.calls;
        self.rows += other.rows;
        self.server_us += other.server_us;
    }
}

/// What one group of statements (fingerprint, pool) amounts to.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Statements that ended well.
    pub calls: u64,
    /// Statements that failed, cancelled ones included.
    pub errors: u64,
    /// Of these, cancelled ones (57014).
    pub cancelled: u64,
    /// Statements whose client went away before they ended; neither calls nor errors.
    pub abandoned: u64,
    /// Calls whose time could not be told from that of others in the same arrival.
    pub time_shared: u64,
    /// Calls and errors over `slow_statement_ms`.
    pub slow: u64,
    /// Rows returned or changed.
    pub rows: u64,
    /// Bytes of the requests, headers included.
    pub request_bytes: u64,
    /// Bytes of the replies, headers included.
    pub result_bytes: u64,
    /// Sums of the parts.
    pub parts: Parts,
    /// Server time of Parse and Describe that came with a Sync of their own, µs.
    pub prepare_us: u64,
    /// Shortest server time, µs; `u64::MAX` when there is none.
    pub min_us: u64,
    /// The slowest.
    pub slowest: Slowest,
    /// Sum of the squares of server time, µs².
    pub squares: f64,
    /// Statements over [`OVER_US`].
    pub over: [u64; 3],
    /// First and last seen, monotonic µs.
    pub first_seen_us: u64,
    /// Last seen, monotonic µs.
    pub last_seen_us: u64,
    /// Server time of each statement that took one (errors too).
    pub histogram: Histogram,
    /// Most frequent applications.
    pub apps: Few<AppId>,
    /// Errors by SQLSTATE.
    pub sqlstates: Few<SqlState>,
    /// From the cursors that they declared.
    pub fetched: Fetched,
    /// What the statements do.
    pub class: Class,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            calls: 0,
            errors: 0,
            cancelled: 0,
            abandoned: 0,
            time_shared: 0,
            slow: 0,
            rows: 0,
            request_bytes: 0,
            result_bytes: 0,
            parts: Parts::default(),
            prepare_us: 0,
            min_us: u64::MAX,
            slowest: Slowest::default(),
            squares: 0.0,
            over: [0; 3],
            first_seen_us: 0,
            last_seen_us: 0,
            histogram: Histogram::default(),
            apps: Few::default(),
            sqlstates: Few::default(),
            fetched: Fetched::default(),
            class: Class::default(),
        }
    }
}

impl Figures {
    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        self.merge_counts(other);
        self.histogram.merge(&other.histogram);
    }

    /// Adds everything but the histogram.
    pub fn merge_counts(&mut self, other: &Self) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.cancelled += other.cancelled;
        self.abandoned += other.abandoned;
        self.time_shared += other.time_shared;
        self.slow += other.slow;
        self.rows += other.rows;
        self.request_bytes += other.request_bytes;
        self.result_bytes += other.result_bytes;
        self.parts.merge(&other.parts);
        self.prepare_us += other.prepare_us;
        self.min_us = self.min_us.min(other.min_us);
        if other.slowest.server_us >= self.slowest.server_us {
            self.slowest = other.slowest;
        }
        self.squares += other.squares;
        for (mine, theirs) in self.over.iter_mut().zip(other.over) {
            *mine += theirs;
        }
        if self.first_seen_us == 0 || (1..self.first_seen_us).contains(&other.first_seen_us) {
            self.first_seen_us = other.first_seen_us;
        }
        self.last_seen_us = self.last_seen_us.max(other.last_seen_us);
        self.apps.merge(&other.apps, APPS);
        self.sqlstates.merge(&other.sqlstates, SQLSTATES);
        self.fetched.merge(other.fetched);
        if self.class == Class::default() {
            self.class = other.class;
        }
    }

    /// Mean server time, µs, over calls and errors.
    pub fn mean_us(&self) -> f64 {
        match self.calls + self.errors {
            0 => 0.0,
            n => self.parts.server as f64 / n as f64,
        }
    }

    /// A quantile of the server time, µs, never beyond what was really measured.
    pub fn quantile_us(&self, q: f64) -> Option<f64> {
        let found = self.histogram.quantile_us(q)?;
        let min = if self.min_us == u64::MAX {
            0
        } else {
            self.min_us
        };
        Some(found.clamp(min as f64, (self.slowest.server_us.max(min)) as f64))
    }
}

/// Upper bounds of `pgweir_statement_seconds` and `pgweir_transaction_seconds`, µs.
pub const BOUNDS_US: [u64; 17] = [
    1_000,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    200_000,
    300_000,
    500_000,
    1_000_000,
    2_000_000,
    3_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    60_000_000,
    300_000_000,
];

/// A Prometheus histogram over [`BOUNDS_US`]; not cumulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounded {
    /// One more than there are bounds, for what is beyond.
    pub counts: [u64; BOUNDS_US.len() + 1],
    /// Sum, µs.
    pub sum_us: u64,
}

impl Bounded {
    /// HOT. Counts a value.
    #[inline]
    pub fn add(&mut self, us: u64) {
        self.counts[BOUNDS_US.partition_point(|bound| *bound < us)] += 1;
        self.sum_us += us;
    }

    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += theirs;
        }
        self.sum_us += other.sum_us;
    }

    /// How many values.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// How many classes there are.
pub const CLASSES: usize = Class::Composite as usize + 1;

/// What one pool amounts to. Of composite groups only the time is in here: each statement counts
/// once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PoolFigures {
    /// Server time of statements, without [`Class::Control`] and [`Class::Empty`].
    pub statements: Bounded,
    /// The same, finer, for quantiles.
    pub statement_histogram: Histogram,
    /// Time a transaction held its server.
    pub transactions: Bounded,
    /// The same, finer, for quantiles.
    pub transaction_histogram: Histogram,
    /// Sums over all statements.
    pub parts: Parts,
    /// Statements ended (calls and errors) by class.
    pub classes: [u64; CLASSES],
    /// Rows.
    pub rows: u64,
    /// Errors by SQLSTATE, also those that no statement caused.
    pub sqlstates: Few<SqlState>,
    /// Server time by application, µs.
    pub apps: Few<AppId>,
}

/// SQLSTATEs told apart per pool.
pub const POOL_SQLSTATES: usize = 64;
/// Applications told apart per pool.
pub const POOL_APPS: usize = 32;

impl PoolFigures {
    /// Whether nothing happened: a lane keeps the room of a pool that had nothing to do.
    pub fn is_idle(&self) -> bool {
        self.classes.iter().all(|&count| count == 0)
            && self.sqlstates.0.is_empty()
            && self.transactions.count() == 0
            && self.parts == Parts::default()
    }

    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        self.statements.merge(&other.statements);
        self.statement_histogram.merge(&other.statement_histogram);
        self.transactions.merge(&other.transactions);
        self.transaction_histogram
            .merge(&other.transaction_histogram);
        self.parts.merge(&other.parts);
        for (mine, theirs) in self.classes.iter_mut().zip(other.classes) {
            *mine += theirs;
        }
        self.rows += other.rows;
        self.sqlstates.merge(&other.sqlstates, POOL_SQLSTATES);
        self.apps.merge(&other.apps, POOL_APPS);
    }
}

/// What one profile of transactions amounts to: those of two statements or more, or begun by BEGIN.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TransactionFigures {
    /// How many.
    pub transactions: u64,
    /// Of these, committed.
    pub commits: u64,
    /// Rolled back, by the client or by an error.
    pub rollbacks: u64,
    /// COMMIT that PostgreSQL answered with ROLLBACK.
    pub silent_rollbacks: u64,
    /// The client went away inside.
    pub abandoned: u64,
    /// Statements in all.
    pub statements: u64,
    /// Time the server was held, µs.
    pub hold_us: u64,
    /// Of this, PostgreSQL worked.
    pub server_us: u64,
    /// Of this, the client was silent.
    pub think_us: u64,
    /// Time held.
    pub histogram: Histogram,
    /// The most repeated statement seen: how often, which, and whether its texts differed (N+1)
    /// or not (the same query again and again).
    pub repeat: Repeat,
}

/// A statement that came again and again inside one transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repeat {
    /// How often.
    pub count: u32,
    /// Which.
    pub fingerprint: u64,
    /// Its texts were not all the same.
    pub is_varied: bool,
}

impl TransactionFigures {
    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        self.transactions += other.transactions;
        self.commits += other.commits;
        self.rollbacks += other.rollbacks;
        self.silent_rollbacks += other.silent_rollbacks;
        self.abandoned += other.abandoned;
        self.statements += other.statements;
        self.hold_us += other.hold_us;
        self.server_us += other.server_us;
        self.think_us += other.think_us;
        self.histogram.merge(&other.histogram);
        if other.repeat.count > self.repeat.count {
            self.repeat = other.repeat;
        }
    }
}

/// A map whose hasher takes the fingerprint as it is.
pub type ByKey<K, V> = HashMap<K, V, super::lane::Passthrough>;
