//! What passes: statements, transactions, activity.
//!
//! Lanes record into tables of their own; a collector swaps them out once a second and merges them
//! into the global table, which every reader (console, /metrics, slow log) uses. Owns all of these.
//! May touch `stats` (slots), `session`, `net` (addresses). Must never block or fail a query.
//!
//! ```text
//! tracker/      HOT: what is in flight on one server, and what its answers amount to
//! lane.rs       HOT: the table of one lane
//! known.rs      HOT: which fingerprints have a text
//! figures.rs    what is counted                    histogram.rs  log-linear, 512 bytes
//! names.rs      numbers for pools, applications    labels.rs     groups that are not statements
//! locks.rs      who waits for whom                 health.rs     how each server is
//! blocking.rs   flags of lock waits
//! collector.rs  from the lanes to global/          global/       all groups, texts, windows, sums
//! read.rs       what readers get                   alerts.rs     thresholds, judged
//! flags.rs      who is slow, blocked, queued now
//! export.rs     what /metrics gets                  targets.rs    HOT: calls against targets_file
//! answered.rs   statements that no server saw
//! ```

pub mod alerts;
pub mod answered;
pub mod blocking;
mod collector;
pub mod export;
pub mod figures;
pub mod flags;
mod global;
pub mod health;
pub mod histogram;
pub mod known;
pub mod labels;
pub mod lane;
pub mod locks;
pub mod names;
pub mod read;
pub mod targets;
pub mod tracker;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use read::{Filter, View};

use crate::config::{List, OwnSettings, Target, Targets};
use crate::stats::ClientSlot;
use crate::stats::clock::{as_us, now_us};
use arc_swap::ArcSwap;
use global::Global;
use known::Known;
use lane::Recorder;
use locks::Locks;
use names::Names;
use targets::TargetCounts;

/// What lanes share with the collector and the readers.
#[derive(Debug)]
pub struct Insight {
    /// Numbers of pools and applications.
    pub names: Names,
    /// Fingerprints that have a text.
    pub known: Known,
    /// Who waits for whom on each PostgreSQL server.
    pub locks: Locks,
    alerts: Mutex<alerts::Watch>,
    flags: Mutex<flags::Flags>,
    lock_wait_warn_us: AtomicU64,
    lock_wait_crit_us: AtomicU64,
    /// Calls against `targets_file`.
    pub targets: TargetCounts,
    /// Flags of lock waits.
    pub blocking: blocking::Blocking,
    /// How each PostgreSQL server is.
    pub health: health::Board,
    recorders: Box<[Recorder]>,
    global: Mutex<Global>,
    enabled: AtomicBool,
    slow_us: AtomicU64,
    slow_ignored: ArcSwap<List>,
    slow_transaction_us: AtomicU64,
    samples: AtomicBool,
    slow_log_lines: AtomicU64,
    slow_log_suppressed: AtomicU64,
}

/// What a reload may change, resolved from `[pgweir]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `insight`.
    pub enabled: bool,
    /// `slow_statement_ms`, in µs; `u64::MAX` when off.
    pub slow_us: u64,
    /// `slow_ignore_users`.
    pub slow_ignored: List,
    /// `slow_transaction_ms`, in µs; `u64::MAX` when off.
    pub slow_transaction_us: u64,
    /// `sample_literals`.
    pub samples: bool,
    /// `lock_wait_warn_ms` and `lock_wait_crit_ms`, in µs; `u64::MAX` when off.
    pub lock_wait_us: (u64, u64),
    /// What `targets_file` holds.
    pub targets: Vec<Target>,
}

/// Broken lines are left out with an error in the log.
fn targets_of(path: &str) -> Vec<Target> {
    if path.is_empty() {
        return Vec::new();
    }
    let file = Targets::load(Path::new(path));
    for error in &file.errors {
        log::error!("{error}");
    }
    file.targets
}

impl From<&OwnSettings> for Settings {
    fn from(own: &OwnSettings) -> Self {
        // 0 = off, as everywhere in the settings.
        let limit = |duration: Duration| match as_us(duration) {
            0 => u64::MAX,
            us => us,
        };
        Self {
            enabled: own.insight,
            slow_us: limit(own.slow_statement_ms),
            slow_ignored: own.slow_ignore_users.clone(),
            slow_transaction_us: limit(own.slow_transaction_ms),
            samples: own.sample_literals,
            lock_wait_us: (limit(own.lock_wait_warn_ms), limit(own.lock_wait_crit_ms)),
            targets: targets_of(&own.targets_file),
        }
    }
}

impl Insight {
    /// `writers`: the number of lanes plus one for the control thread; `groups`:
    /// `statement_table_size`.
    pub fn with_writers(writers: usize, groups: usize) -> Self {
        Self {
            names: Names::default(),
            known: Known::with_room_for(groups),
            locks: Locks::default(),
            alerts: Mutex::default(),
            flags: Mutex::default(),
            lock_wait_warn_us: AtomicU64::new(u64::MAX),
            lock_wait_crit_us: AtomicU64::new(u64::MAX),
            targets: TargetCounts::default(),
            blocking: blocking::Blocking::default(),
            health: health::Board::default(),
            recorders: (0..writers.max(1)).map(|_| Recorder::default()).collect(),
            global: Mutex::new(Global::with_room_for(groups, now_us())),
            enabled: AtomicBool::new(true),
            slow_us: AtomicU64::new(u64::MAX),
            slow_ignored: ArcSwap::default(),
            slow_transaction_us: AtomicU64::new(u64::MAX),
            samples: AtomicBool::new(false),
            slow_log_lines: AtomicU64::new(0),
            slow_log_suppressed: AtomicU64::new(0),
        }
    }

    /// Takes over settings, at start and after a reload.
    pub fn apply(&self, settings: &Settings) {
        self.enabled.store(settings.enabled, Relaxed);
        self.slow_us.store(settings.slow_us, Relaxed);
        self.slow_ignored
            .store(Arc::new(settings.slow_ignored.clone()));
        self.slow_transaction_us
            .store(settings.slow_transaction_us, Relaxed);
        self.samples.store(settings.samples, Relaxed);
        let (warn_us, crit_us) = settings.lock_wait_us;
        self.lock_wait_warn_us.store(warn_us, Relaxed);
        self.lock_wait_crit_us.store(crit_us, Relaxed);
        self.targets.replace(&settings.targets);
    }

    /// HOT. Whether statements are counted at all.
    #[inline]
    pub fn is_enabled(&self) -> bool {
        self.enabled.load(Relaxed)
    }

    /// HOT. Server time from which a statement is slow, µs.
    #[inline]
    pub fn slow_us(&self) -> u64 {
        self.slow_us.load(Relaxed)
    }

    /// Whether the statements of a client are never slow. Asked only of those that would be.
    pub fn ignores_slow(&self, client: &ClientSlot) -> bool {
        let ignored = self.slow_ignored.load();
        let user = client.identity().map(|who| &*who.user);
        user.is_some_and(|user| ignored.has(user))
    }

    /// HOT. Time held from which a transaction is slow, µs.
    #[inline]
    pub fn slow_transaction_us(&self) -> u64 {
        self.slow_transaction_us.load(Relaxed)
    }

    /// Lock waits that are a warning and critical, µs.
    pub fn lock_wait_limits(&self) -> (u64, u64) {
        let (warn, crit) = (&self.lock_wait_warn_us, &self.lock_wait_crit_us);
        (warn.load(Relaxed), crit.load(Relaxed))
    }

    /// HOT. Whether samples keep their constants.
    #[inline]
    pub fn keeps_samples(&self) -> bool {
        self.samples.load(Relaxed)
    }

    /// What the alerts remember; for the control thread only.
    pub fn alerts(&self) -> MutexGuard<'_, alerts::Watch> {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lines of the slow log: written, and left out.
    pub fn slow_log_counts(&self) -> (u64, u64) {
        (
            self.slow_log_lines.load(Relaxed),
            self.slow_log_suppressed.load(Relaxed),
        )
    }

    /// Who writes the slow log says how far it is.
    pub fn set_slow_log_counts(&self, lines: u64, suppressed: u64) {
        self.slow_log_lines.store(lines, Relaxed);
        self.slow_log_suppressed.store(suppressed, Relaxed);
    }

    /// HOT. The table of a lane; an index beyond the last gives the control thread's.
    #[inline]
    pub fn recorder(&self, lane: usize) -> &Recorder {
        &self.recorders[lane.min(self.recorders.len() - 1)]
    }

    /// All tables, for the collector.
    pub fn recorders(&self) -> &[Recorder] {
        &self.recorders
    }
}

#[cfg(test)]
mod tests;
