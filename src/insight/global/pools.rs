//! Sums per pool: since the start for `/metrics`, since the last reset for the console.

use crate::insight::figures::PoolFigures;
use crate::insight::lane::PoolId;

/// One pool's.
#[derive(Debug, Default)]
pub struct PoolTotals {
    /// Never goes down.
    pub since_start: PoolFigures,
    /// Since RESET STATEMENTS.
    pub since_reset: PoolFigures,
}

/// By pool id.
#[derive(Debug, Default)]
pub struct Pools {
    totals: Vec<Option<Box<PoolTotals>>>,
}

impl Pools {
    /// Adds a lane's.
    pub fn merge(&mut self, id: PoolId, delta: &PoolFigures) {
        if is_idle(delta) {
            return;
        }
        let at = id as usize;
        if self.totals.len() <= at {
            self.totals.resize_with(at + 1, || None);
        }
        let totals = self.totals[at].get_or_insert_default();
        totals.since_start.merge(delta);
        totals.since_reset.merge(delta);
    }

    /// All in which anything happened.
    pub fn iter(&self) -> impl Iterator<Item = (PoolId, &PoolTotals)> {
        (0..)
            .zip(&self.totals)
            .filter_map(|(id, totals)| Some((id, totals.as_deref()?)))
    }

    /// RESET STATEMENTS.
    pub fn reset(&mut self) {
        for totals in self.totals.iter_mut().flatten() {
            totals.since_reset = PoolFigures::default();
        }
    }
}

/// A lane keeps the room of a pool that had nothing to do.
fn is_idle(delta: &PoolFigures) -> bool {
    delta.classes.iter().all(|&count| count == 0)
        && delta.sqlstates.0.is_empty()
        && delta.transactions.count() == 0
        && delta.parts == Default::default()
}
