//! What one scrape shows, as plain rows: what SHOW DATABASES, POOLS, LISTS and STATS_TOTALS say.
//!
//! Owns no truth, copies it. Whoever fills it must not visit a lane.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::ages::Ages;
use super::sidecar::Asked;
use crate::insight::export::Export;
use crate::pool::view::{DatabaseRow, ListenRow, Lists, PoolRow, WaitRow};
use crate::stats::Totals;
use crate::stats::events::Event;

/// Everything a scrape shows but `process_*`.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When the process started.
    pub started: SystemTime,
    /// One per database, the console's included.
    pub databases: Vec<DatabaseRow>,
    /// One per pool, by database and user.
    pub pools: Vec<PoolRow>,
    /// Sums per database that has a pool.
    pub totals: Vec<(Arc<str>, Totals)>,
    /// Waiting times, one per pool.
    pub waits: Vec<WaitRow>,
    /// LISTEN, one per pool whose clients have listened.
    pub listening: Vec<ListenRow>,
    /// Counts of things.
    pub lists: Lists,
    /// The setting max_client_conn.
    pub max_client_conn: u64,
    /// The setting max_user_connections.
    pub max_user_connections: u64,
    /// By lane.
    pub lanes: Vec<LaneRow>,
    /// Rare events: (event, database, label, count).
    pub events: Vec<(Event, String, String, u64)>,
    /// What PostgreSQL was asked.
    pub asked: Asked,
    /// How the last reload went.
    pub reload: ReloadRow,
    /// The oldest of everything, by database.
    pub ages: BTreeMap<Arc<str>, Ages>,
    /// Clients that keep their server.
    pub pins: super::pins::Counts,
    /// Statements and transactions.
    pub insight: Export,
    /// The setting metrics_series_limit.
    pub series_limit: usize,
    /// Series that earlier scrapes left out.
    pub series_dropped: u64,
}

/// One lane.
#[derive(Clone, Copy, Debug, Default)]
pub struct LaneRow {
    /// CPU time of its thread.
    pub cpu: Duration,
    /// Clients on it.
    pub clients: u64,
}

/// How the last reload went; written by whoever reloads, read by scrapes.
#[derive(Debug)]
pub struct Reload {
    is_successful: AtomicBool,
    /// Unix time of the last success in milliseconds.
    success_ms: AtomicU64,
}

/// [`Reload`] as read.
#[derive(Clone, Copy, Debug)]
pub struct ReloadRow {
    pub is_successful: bool,
    pub success_seconds: f64,
}

impl Default for Reload {
    /// The start counts as a successful reload.
    fn default() -> Self {
        Self {
            is_successful: AtomicBool::new(true),
            success_ms: AtomicU64::new(unix_ms()),
        }
    }
}

impl Reload {
    /// A reload ended.
    pub fn record(&self, is_successful: bool) {
        self.is_successful.store(is_successful, Relaxed);
        if is_successful {
            self.success_ms.store(unix_ms(), Relaxed);
        }
    }

    /// For a snapshot.
    pub fn row(&self) -> ReloadRow {
        ReloadRow {
            is_successful: self.is_successful.load(Relaxed),
            success_seconds: self.success_ms.load(Relaxed) as f64 / 1e3,
        }
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
