//! Calls of single statements against the limits of `targets_file`.
//!
//! Counted where the statement ends, since a limit falls inside a bucket of every histogram. Without
//! a file this costs a lane one relaxed load per statement. Owns the counters; they outlive a
//! reload that keeps the name.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwap;

use crate::config::Target;
use crate::stats::clock::as_us;

/// One target's counters.
#[derive(Debug, Default)]
pub struct Counter {
    calls: AtomicU64,
    missed: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    /// Limit in µs and counter by fingerprint.
    statements: HashMap<u64, (u64, Arc<Counter>)>,
    counters: Vec<(Arc<str>, Arc<Counter>)>,
}

/// All targets.
#[derive(Debug, Default)]
pub struct TargetCounts {
    is_used: AtomicBool,
    table: ArcSwap<Table>,
}

impl TargetCounts {
    /// Takes over a file's targets.
    pub fn replace(&self, targets: &[Target]) {
        let before = self.table.load_full();
        let mut table = Table::default();
        for target in targets {
            let name: Arc<str> = target.name.as_str().into();
            let known = before.counters.iter().find(|(known, _)| *known == name);
            let counter = known.map_or_else(Arc::default, |(_, counter)| Arc::clone(counter));
            for &fingerprint in &target.fingerprints {
                let limit_us = as_us(target.limit);
                let entry = (limit_us, Arc::clone(&counter));
                table.statements.insert(fingerprint, entry);
            }
            table.counters.push((name, counter));
        }
        self.is_used.store(!targets.is_empty(), Relaxed);
        self.table.store(Arc::new(table));
    }

    /// HOT. A statement ended, well or not, after so much server time.
    #[inline]
    pub fn count(&self, fingerprint: u64, server_us: u64) {
        if self.is_used.load(Relaxed) {
            self.count_known(fingerprint, server_us);
        }
    }

    #[cold]
    fn count_known(&self, fingerprint: u64, server_us: u64) {
        if let Some((limit_us, counter)) = self.table.load().statements.get(&fingerprint) {
            counter.calls.fetch_add(1, Relaxed);
            if server_us > *limit_us {
                counter.missed.fetch_add(1, Relaxed);
            }
        }
    }

    /// Name, calls and missed calls of each, in the order of the file.
    pub fn rows(&self) -> Vec<(Arc<str>, u64, u64)> {
        let table = self.table.load();
        let row = |(name, counter): &(Arc<str>, Arc<Counter>)| {
            let (calls, missed) = (counter.calls.load(Relaxed), counter.missed.load(Relaxed));
            (Arc::clone(name), calls, missed)
        };
        table.counters.iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn calls_over_the_limit_miss_and_counts_outlive_a_reload() {
        let counts = TargetCounts::default();
        let target = |name: &str, ms, fingerprints: &[u64]| Target {
            name: name.to_owned(),
            limit: Duration::from_millis(ms),
            fingerprints: fingerprints.to_vec(),
        };
        counts.count(1, 9_000);
        counts.replace(&[target("pk", 5, &[1, 2]), target("join", 200, &[3])]);
        for (fingerprint, us) in [(1, 5_000), (2, 5_001), (3, 1), (4, 1 << 40)] {
            counts.count(fingerprint, us);
        }
        let expected = [("pk".into(), 2, 1), ("join".into(), 1, 0)];
        assert_eq!(counts.rows(), expected);
        counts.replace(&[target("pk", 7, &[1])]);
        counts.count(1, 6_000);
        counts.count(2, 6_000);
        assert_eq!(counts.rows(), [("pk".into(), 3, 1)]);
    }
}
