//! What SHOW LISTENERS and the metrics print of a hub.
//!
//! Owns: the rows. Reads only.

use std::ops::AddAssign;

use super::Hub;

/// Counters and gauges of one hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubFigures {
    /// Listening connections that are open: 0 or 1.
    pub connections: usize,
    /// Clients that listen.
    pub clients: usize,
    /// Channels that are listened to.
    pub channels: usize,
    /// NotificationResponse messages that PostgreSQL sent.
    pub received: u64,
    /// Notifications that clients were given.
    pub delivered: u64,
    /// Dropped since a client did not take them (`listen_buffer`).
    pub dropped_overflow: u64,
    /// Dropped since the client left, or unlistened, before it could be given them.
    pub dropped_gone: u64,
    /// Listening connections opened in place of one that was lost or given up.
    pub reconnects: u64,
}

impl AddAssign for HubFigures {
    fn add_assign(&mut self, more: Self) {
        self.connections += more.connections;
        self.clients += more.clients;
        self.channels += more.channels;
        self.received += more.received;
        self.delivered += more.delivered;
        self.dropped_overflow += more.dropped_overflow;
        self.dropped_gone += more.dropped_gone;
        self.reconnects += more.reconnects;
    }
}

/// One client that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The client's id.
    pub client: u64,
    /// Its channels, sorted.
    pub channels: Vec<String>,
    /// Notifications that wait for it.
    pub waiting: usize,
    /// Their bytes.
    pub waiting_bytes: usize,
    /// How many it was given.
    pub delivered: u64,
    /// Monotonic µs of its first LISTEN.
    pub since_us: u64,
}

impl Hub {
    /// Counters and gauges.
    pub fn figures(&self) -> HubFigures {
        let (clients, channels) = self.book().counts();
        self.counters.figures(clients, channels)
    }

    /// Its clients, by id.
    pub fn listeners(&self) -> Vec<Listener> {
        let mut rows = self.book().listeners();
        rows.sort_by_key(|row| row.client);
        rows
    }
}
