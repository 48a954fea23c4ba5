//! Takes what the lanes recorded and merges it into the global state.
//!
//! Once a second by a task of `app`, and before each reading. A lane is held up for the time of a
//! swap; the tables go round, so that none is allocated anew.

use std::sync::{MutexGuard, PoisonError};

use super::Insight;
use super::global::Global;
use super::read::View;
use crate::stats::clock::now_us;

impl Insight {
    /// The global state; only readers and the collector take it, never a lane.
    pub(super) fn global(&self) -> MutexGuard<'_, Global> {
        self.global.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Merges what the lanes recorded since the last time.
    pub fn collect(&self) {
        self.collect_at(&mut self.global(), now_us());
    }

    pub(super) fn collect_at(&self, global: &mut Global, now: u64) {
        let mut table = std::mem::take(&mut global.spare);
        for recorder in self.recorders() {
            recorder.swap(&mut table);
            global.merge(&table, self, now);
            table.clear();
        }
        global.spare = table;
        global.tick(now);
    }

    /// Everything up to now, for a reader on the control thread.
    pub fn read(&self) -> View<'_> {
        let now = now_us();
        let mut global = self.global();
        self.collect_at(&mut global, now);
        View {
            insight: self,
            global,
            now_us: now,
        }
    }

    /// RESET STATEMENTS: all groups, windows, profiles and slow statements are forgotten; what was
    /// recorded before does not come back. Counters of `/metrics` go on.
    pub fn reset_statements(&self) {
        let now = now_us();
        let mut global = self.global();
        self.collect_at(&mut global, now);
        global.reset(now);
    }

    /// RESET STATEMENTS of one fingerprint; false when there is no such group.
    pub fn reset_statement(&self, fingerprint: u64) -> bool {
        let mut global = self.global();
        self.collect_at(&mut global, now_us());
        global.reset_one(fingerprint)
    }
}
