//! Timeouts of a client that has no server, resolved once at login: user, then database, then global.

use std::time::Duration;

use crate::config::{Config, DatabaseConfig};
use crate::error::ClientError;
use crate::stats::clock::{as_us, now_us};
use crate::stats::slots::NEVER;

/// All in µs; `NEVER` where there is none.
#[derive(Clone, Copy, Debug)]
pub struct ClientTimeouts {
    /// client_idle_timeout.
    pub idle: u64,
    /// query_wait_timeout.
    pub queue: u64,
    /// query_timeout, which counts in the queue too.
    pub query: u64,
    /// query_wait_notify.
    pub notify: u64,
}

impl ClientTimeouts {
    /// What holds for a login user in a database; `query` comes from the pool.
    pub fn resolve(config: &Config, database: &DatabaseConfig, login: &str, query: u64) -> Self {
        let or_never = |time: Duration| if time.is_zero() { NEVER } else { as_us(time) };
        Self {
            idle: or_never(config.client_idle_timeout(login)),
            queue: or_never(config.query_wait_timeout(database, login)),
            query,
            notify: or_never(config.settings.query_wait_notify),
        }
    }

    /// When something is due next for a client queued since `since`.
    pub fn next_while_queued(&self, since: u64, notified: bool) -> u64 {
        let notify = if notified { NEVER } else { self.notify };
        since.saturating_add(self.queue.min(self.query).min(notify))
    }

    /// Whether the notice is due.
    pub fn is_notify_due(&self, since: u64) -> bool {
        now_us() > since.saturating_add(self.notify)
    }

    /// The timeout that ends the wait, if one has run out.
    pub fn overdue_in_queue(&self, since: u64) -> Option<ClientError> {
        if self.queue == NEVER && self.query == NEVER {
            return None;
        }
        let now = now_us();
        if now > since.saturating_add(self.queue) {
            return Some(ClientError::query_wait_timeout());
        }
        (now > since.saturating_add(self.query)).then(ClientError::query_timeout_queued)
    }
}
