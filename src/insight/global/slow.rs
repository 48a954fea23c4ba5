//! The last slow statements.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::insight::lane::{LaneRecords, SlowStatement};

/// Slow statements that are kept.
const KEPT: usize = 1000;

/// A ring, numbered through.
#[derive(Debug, Default)]
pub struct Slow {
    ring: VecDeque<Arc<SlowStatement>>,
    /// Number of the newest.
    last: u64,
    dropped: u64,
}

impl Slow {
    /// Takes over a lane's.
    pub fn take(&mut self, lane: &LaneRecords) {
        for slow in &lane.slow {
            if self.ring.len() == KEPT {
                self.ring.pop_front();
            }
            self.ring.push_back(Arc::new(slow.clone()));
            self.last += 1;
        }
        self.dropped += lane.slow_dropped;
    }

    /// Those behind number `after`, oldest first.
    pub fn since(&self, after: u64) -> impl Iterator<Item = (u64, &Arc<SlowStatement>)> {
        let first = self.last + 1 - self.ring.len() as u64;
        (first..)
            .zip(&self.ring)
            .filter(move |(number, _)| *number > after)
    }

    /// All are forgotten; numbers go on.
    pub fn clear(&mut self) {
        self.ring.clear();
    }

    /// How many there were, those without room included.
    pub fn total(&self) -> u64 {
        self.last + self.dropped
    }

    /// Those without room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}
