//! A server that belongs to a pool: whoever drops it closes it, and the counts stay right.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::Pool;
use super::place::Place;
use crate::insight::tracker::Tracker;
use crate::server::{CloseReason, Server};
use crate::stats::ClientSlot;
use crate::stats::events::Event;

/// A server connection together with its place in the limits.
#[derive(Debug)]
pub struct PooledServer {
    server: Server,
    /// What is measured on it.
    pub tracker: Tracker,
    reason: CloseReason,
    /// Its client keeps it, and the pool has counted that.
    is_pinned: bool,
    /// Given back by its own drop, after this value's.
    place: Place,
}

impl PooledServer {
    pub(super) fn with_place(server: Server, place: Place) -> Box<Self> {
        let insight = Arc::clone(&place.pool.shared.insight);
        let tracker = Tracker::for_pool(insight, place.pool.insight_id);
        Box::new(Self {
            server,
            tracker,
            reason: CloseReason::Borrowed("server conn crashed?"),
            is_pinned: false,
            place,
        })
    }

    /// The pool it belongs to.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.place.pool
    }

    /// Counts and shows whether the client keeps the server; false when the pool has no room for
    /// one more of those.
    pub fn show_pins(&mut self, client: &ClientSlot, now: u64) -> bool {
        let is_pinned = !self.server.pins.is_empty();
        let shared = &self.place.pool.shared;
        let fresh = client.set_pins(self.server.pins, now);
        for word in fresh.words() {
            let database = &self.place.pool.database.name;
            shared.events.count(Event::Pin, database, word);
        }
        if is_pinned == self.is_pinned {
            return true;
        }
        if is_pinned {
            self.is_pinned = self.place.pool.pin();
            return self.is_pinned;
        }
        self.is_pinned = false;
        self.place.pool.unpin();
        true
    }

    /// Closes the connection, with the reason for the log.
    pub fn close(mut self: Box<Self>, reason: impl Into<CloseReason>) {
        self.reason = reason.into();
    }
}

impl Deref for PooledServer {
    type Target = Server;
    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for PooledServer {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}

impl Drop for PooledServer {
    fn drop(&mut self) {
        let pool = &self.place.pool;
        if self.is_pinned {
            pool.unpin();
        }
        let shared = &pool.shared;
        shared.registry.forget_server(self.slot.id);
        let reason: &str = &self.reason;
        shared.events.count(
            Event::ServerClosed,
            &pool.database.name,
            reason_label(reason),
        );
        pool.log_server_closed(&self.server.slot, reason);
    }
}

/// Reasons that carry the server's own words are one label.
fn reason_label(reason: &str) -> &str {
    const KNOWN: [&str; 18] = [
        "server idle timeout",
        "server lifetime over",
        "query timeout",
        "idle transaction timeout",
        "transaction timeout",
        "server conn crashed?",
        "client disconnect while server was not ready",
        "client disconnected with query in progress",
        "client disconnect before everything was sent to the server",
        "close_needed",
        "obsolete connection",
        "connect string changed",
        "evicted",
        "too many servers in the pool",
        "pause mode",
        "idle server got dirty",
        "database removed",
        "reset query failed",
    ];
    KNOWN
        .iter()
        .find(|known| **known == reason)
        .copied()
        .unwrap_or("other")
}
