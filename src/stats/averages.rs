//! The `avg_*` columns: what happened since the snapshot of two periods ago (surface 3.5).
//!
//! Owns two snapshots of all databases' totals. The control thread takes one per stats_period.
//! Counts and bytes are per second, times per query, transaction or assignment.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::clock::now_us;
use super::counters::{Count, Totals};

/// Totals by database at one moment.
#[derive(Debug, Default)]
struct Snapshot {
    at_us: u64,
    totals: HashMap<Arc<str>, Totals>,
}

impl Snapshot {
    fn of(&self, database: &str) -> Totals {
        self.totals.get(database).copied().unwrap_or_default()
    }
}

/// The last two snapshots.
#[derive(Debug)]
pub struct Averages {
    snapshots: Mutex<(Snapshot, Snapshot)>,
}

impl Default for Averages {
    /// Starts one second ago, so that the first columns are no division by nothing.
    fn default() -> Self {
        let start = || Snapshot {
            at_us: now_us().saturating_sub(1_000_000),
            totals: HashMap::new(),
        };
        Self {
            snapshots: Mutex::new((start(), start())),
        }
    }
}

impl Averages {
    fn lock(&self) -> MutexGuard<'_, (Snapshot, Snapshot)> {
        self.snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A period is over. Gives the averages of that one period over all databases.
    pub fn tick(&self, totals: Vec<(Arc<str>, Totals)>, now: u64) -> Totals {
        let mut snapshots = self.lock();
        let (older, newer) = &mut *snapshots;
        let span = now.saturating_sub(newer.at_us);
        let mut passed = Totals::default();
        for (database, sum) in &totals {
            passed.add(&sum.since(&newer.of(database)));
        }
        *older = std::mem::take(newer);
        *newer = Snapshot {
            at_us: now,
            totals: totals.into_iter().collect(),
        };
        average(&passed, span)
    }

    /// Averages of a database from its totals of now.
    pub fn of(&self, database: &str, totals: &Totals, now: u64) -> Totals {
        let snapshots = self.lock();
        let older = &snapshots.0;
        let passed = totals.since(&older.of(database));
        average(&passed, now.saturating_sub(older.at_us))
    }
}

/// What passed in `span_us`, as averages.
fn average(passed: &Totals, span_us: u64) -> Totals {
    let per_second = |count: u64| {
        let scaled = u128::from(count) * 1_000_000 / u128::from(span_us.max(1));
        u64::try_from(scaled).unwrap_or(u64::MAX)
    };
    let each = |time: Count, events: Count| {
        passed
            .get(time)
            .checked_div(passed.get(events))
            .unwrap_or(0)
    };
    let mut averages = Totals(passed.0.map(per_second));
    for (time, events) in [
        (Count::TransactionTime, Count::Transactions),
        (Count::QueryTime, Count::Queries),
        (Count::WaitTime, Count::ServerAssignments),
    ] {
        averages.0[time as usize] = each(time, events);
    }
    averages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(queries: u64, query_time: u64) -> Totals {
        let mut totals = Totals::default();
        totals.0[Count::Queries as usize] = queries;
        totals.0[Count::QueryTime as usize] = query_time;
        totals
    }

    #[test]
    fn averages_reach_back_two_periods() {
        let averages = Averages::default();
        let second = 1_000_000;
        let start = now_us();
        let at = |queries, time| vec![(Arc::from("db"), totals(queries, time))];
        averages.tick(at(100, 0), start);
        let line = averages.tick(at(200, 5_000), start + 10 * second);
        assert_eq!(line.get(Count::Queries), 10);
        assert_eq!(line.get(Count::QueryTime), 50);
        let now = averages.of("db", &totals(500, 45_000), start + 20 * second);
        assert_eq!(now.get(Count::Queries), 20);
        assert_eq!(now.get(Count::QueryTime), 112);
        let line = averages.tick(at(500, 45_000), start + 20 * second);
        assert_eq!(line.get(Count::Queries), 30);
        let unchanged = averages.of("db", &totals(500, 45_000), start + 30 * second);
        assert_eq!(unchanged.get(Count::Queries), 15);
    }

    #[test]
    fn an_unknown_or_restarted_database_has_no_negative_averages() {
        let averages = Averages::default();
        averages.tick(vec![(Arc::from("db"), totals(100, 100))], now_us());
        averages.tick(vec![(Arc::from("db"), totals(5, 5))], now_us());
        let of_new = averages.of("new", &totals(0, 0), now_us());
        assert_eq!(of_new, Totals::default());
        assert_eq!(
            averages
                .of("db", &totals(5, 5), now_us())
                .get(Count::QueryTime),
            0
        );
    }
}
