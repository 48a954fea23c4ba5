//! Rare events by label: logins, errors shown to clients, connections opened and closed.
//!
//! Never on the path of a query: a lookup in a sharded map per event.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use dashmap::DashMap;

/// What happened; each is one metric family (operator.md 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Event {
    /// A client login ended; label: `ok`, or the reason it failed.
    ClientLogin,
    /// An error was sent to a client; label: `ClientError::reason`.
    ClientError,
    /// A server connection finished its login; label empty.
    ServerOpened,
    /// A server connection was closed; label: the reason.
    ServerClosed,
    /// A client connection ended; label: the reason.
    ClientClosed,
    /// PostgreSQL refused a login; label: SQLSTATE.
    ServerLoginFailure,
    /// A connection was taken from the reserve; label: user.
    Reserve,
    /// A client began to keep its server between transactions; label: why (`Pins::words`).
    Pin,
    /// The clients of one process waited for each other; label: what was done about it.
    Nested,
    /// A server was given its settings anew, since some may have been changed unseen; label: by what.
    SuspectServer,
}

/// Labels beyond this many per process fold into `(other)`: names come from strangers.
const MAX_LABELS: usize = 5_000;

/// The table of counts by (event, database, label).
#[derive(Debug, Default)]
pub struct Events {
    counts: DashMap<(Event, Box<str>, Box<str>), AtomicU64>,
}

impl Events {
    /// Counts one event.
    pub fn count(&self, event: Event, database: &str, label: &str) {
        let key = (event, Box::from(database), Box::from(label));
        if let Some(cell) = self.counts.get(&key) {
            cell.fetch_add(1, Relaxed);
            return;
        }
        let key = if self.counts.len() < MAX_LABELS {
            key
        } else {
            (event, Box::from("(other)"), Box::from("(other)"))
        };
        self.counts.entry(key).or_default().fetch_add(1, Relaxed);
    }

    /// Everything counted so far, sorted: (event, database, label, count).
    pub fn snapshot(&self) -> Vec<(Event, String, String, u64)> {
        let mut rows: Vec<_> = self
            .counts
            .iter()
            .map(|entry| {
                let (event, database, label) = entry.key();
                (
                    *event,
                    database.to_string(),
                    label.to_string(),
                    entry.load(Relaxed),
                )
            })
            .collect();
        rows.sort();
        rows
    }
}
