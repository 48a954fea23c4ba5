//! The running pooler as a source of metrics: fills a snapshot from slots, counters and settings.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use super::serve::Source;
use super::sidecar::Asked;
use super::snapshot::{LaneRow, Reload, Snapshot};
use crate::pool::{Directory, ProcessState, view};

/// What `app` hands to [`super::serve`].
#[derive(Debug)]
pub struct Face {
    directory: Arc<Directory>,
    reload: Arc<Reload>,
    started: SystemTime,
    series_dropped: AtomicU64,
}

impl Face {
    /// `reload` is written by whoever reloads. The process counts as started now.
    pub fn of(directory: Arc<Directory>, reload: Arc<Reload>) -> Arc<Self> {
        Arc::new(Self {
            directory,
            reload,
            started: SystemTime::now(),
            series_dropped: AtomicU64::new(0),
        })
    }

    /// One reading of everything.
    pub fn snapshot(&self) -> Snapshot {
        let shared = &self.directory.shared;
        let live = shared.live_arc();
        let settings = &live.config.settings;
        Snapshot {
            started: self.started,
            databases: view::databases(&self.directory),
            pools: view::pools(shared),
            totals: view::totals(shared),
            waits: view::waits(shared),
            listening: view::listening(shared),
            lists: view::lists(&self.directory),
            max_client_conn: settings.max_client_conn.into(),
            max_user_connections: settings.max_user_connections.into(),
            lanes: shared
                .lanes
                .iter()
                .map(|lane| LaneRow {
                    cpu: lane.cpu_time().unwrap_or_default(),
                    clients: lane.clients() as u64,
                })
                .collect(),
            events: shared.events.snapshot(),
            asked: Asked::of(&shared.insight),
            reload: self.reload.row(),
            ages: super::ages::read(shared),
            pins: super::pins::read(&self.directory),
            insight: shared.insight.read().export(),
            series_limit: live.config.own.metrics_series_limit as usize,
            series_dropped: self.series_dropped.load(Relaxed),
        }
    }
}

impl Source for Face {
    fn metrics(&self) -> String {
        let (body, dropped) = super::render(&self.snapshot());
        self.series_dropped.fetch_add(dropped as u64, Relaxed);
        body
    }

    fn is_ready(&self) -> bool {
        matches!(
            self.directory.state(),
            ProcessState::Active | ProcessState::Paused
        )
    }
}
