//! The twelve counters of SHOW STATS, one padded set per pool and lane.
//!
//! HOT: adding is a load and a store without a locked instruction, which is exact because each set
//! has a single writer, its lane; the control thread (console, admin commands) has a set of its own.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What is counted, in the order of SHOW STATS_TOTALS; times in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Count {
    /// Links of a client to a server.
    ServerAssignments,
    /// Transactions ended (status back to `I`).
    Transactions,
    /// Queries: from the first message after idle until nothing is outstanding.
    Queries,
    /// Bytes from clients.
    Received,
    /// Bytes from servers.
    Sent,
    /// Time in transactions.
    TransactionTime,
    /// Time in queries.
    QueryTime,
    /// Time clients waited for a server.
    WaitTime,
    /// Named Parse messages from clients.
    ClientParses,
    /// Parse messages sent to servers for named statements.
    ServerParses,
    /// Bind messages.
    Binds,
    /// Successful logins.
    ClientLogins,
}

/// How many counters there are.
pub const COUNTS: usize = 12;

/// Upper bounds of the buckets of waiting, in µs; one more bucket takes what is longer
/// (`pgweir_pool_wait_seconds`, operator.md 3.1).
pub const WAIT_BOUNDS_US: [u64; 11] = [
    1_000,
    10_000,
    50_000,
    100_000,
    500_000,
    1_000_000,
    5_000_000,
    15_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
];

/// How many clients waited how long for their server, per bucket, not cumulated.
pub type Waits = [u64; WAIT_BOUNDS_US.len() + 1];

/// A sum over lanes, indexed by `Count as usize`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals(pub [u64; COUNTS]);

impl Totals {
    /// One value.
    pub fn get(&self, count: Count) -> u64 {
        self.0[count as usize]
    }

    /// Adds another sum.
    pub fn add(&mut self, other: &Totals) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.wrapping_add(theirs);
        }
    }

    /// The difference to an earlier sum; zero where a counter went down.
    pub fn since(&self, earlier: &Totals) -> Totals {
        let mut out = *self;
        for (mine, before) in out.0.iter_mut().zip(earlier.0) {
            *mine = mine.saturating_sub(before);
        }
        out
    }
}

/// The counters of one pool on one lane. Padded so that two lanes never share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct LaneCounters {
    cells: [AtomicU64; COUNTS],
    waits: [AtomicU64; WAIT_BOUNDS_US.len() + 1],
}

impl LaneCounters {
    /// Adds `n`. INVARIANT: called only from the lane that this set belongs to.
    #[inline]
    pub fn add(&self, count: Count, n: u64) {
        let cell = &self.cells[count as usize];
        cell.store(cell.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// A client that had to queue got its server after `us`. INVARIANT: as for `add`.
    pub fn add_wait(&self, us: u64) {
        self.add(Count::WaitTime, us);
        let bucket = WAIT_BOUNDS_US.partition_point(|bound| *bound < us);
        let cell = &self.waits[bucket];
        cell.store(cell.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// All values.
    pub fn totals(&self) -> Totals {
        Totals(std::array::from_fn(|at| self.cells[at].load(Relaxed)))
    }
}

/// All counters of one pool.
#[derive(Debug)]
pub struct PoolCounters {
    lanes: Box<[LaneCounters]>,
}

impl PoolCounters {
    /// `writers`: the number of lanes plus one for the control thread.
    pub fn with_writers(writers: usize) -> Self {
        Self {
            lanes: (0..writers.max(1))
                .map(|_| LaneCounters::default())
                .collect(),
        }
    }

    /// The set of one lane; an index beyond the last gives the control thread's.
    #[inline]
    pub fn lane(&self, lane: usize) -> &LaneCounters {
        &self.lanes[lane.min(self.lanes.len() - 1)]
    }

    /// Sum over lanes.
    pub fn totals(&self) -> Totals {
        let mut sum = Totals::default();
        for lane in &self.lanes {
            sum.add(&lane.totals());
        }
        sum
    }

    /// Sum over lanes of how long clients waited. Who did not queue waited 0: links without a wait
    /// are in the first bucket.
    pub fn waits(&self) -> Waits {
        let mut sum = Waits::default();
        for lane in &self.lanes {
            for (total, cell) in sum.iter_mut().zip(&lane.waits) {
                *total = total.wrapping_add(cell.load(Relaxed));
            }
        }
        let queued: u64 = sum.iter().sum();
        let links = self.totals().get(Count::ServerAssignments);
        sum[0] += links.saturating_sub(queued);
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_add_up_and_an_unknown_lane_is_the_control_thread() {
        let counters = PoolCounters::with_writers(3);
        counters.lane(0).add(Count::Queries, 2);
        counters.lane(1).add(Count::Queries, 3);
        counters.lane(99).add(Count::Received, 7);
        let totals = counters.totals();
        assert_eq!(totals.get(Count::Queries), 5);
        assert_eq!(totals.get(Count::Received), 7);
        assert_eq!(Totals::default().since(&totals), Totals::default());
    }

    #[test]
    fn waits_fall_into_buckets_and_links_without_a_wait_into_the_first() {
        let counters = PoolCounters::with_writers(1);
        counters.lane(0).add(Count::ServerAssignments, 10);
        for us in [1_000, 1_001, 121_000_000] {
            counters.lane(0).add_wait(us);
        }
        let waits = counters.waits();
        assert_eq!((waits[0], waits[1], waits[11]), (8, 1, 1));
        assert_eq!(waits.iter().sum::<u64>(), 10);
        assert_eq!(counters.totals().get(Count::WaitTime), 121_002_001);
    }
}
