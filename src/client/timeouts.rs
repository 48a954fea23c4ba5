//! Timeouts of a client that has no server: user, then database, then global. Resolved at login and
//! again after each reload, which a client notices by one number when it is next idle or woken.

use std::time::Duration;

use crate::error::ClientError;
use crate::pool::Pool;
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
    /// The reload that these values are of.
    pub reload: u64,
}

impl ClientTimeouts {
    /// What holds now for a login user of a pool.
    pub fn resolve(pool: &Pool, login: &str) -> Self {
        // Before the values: a reload in between is then noticed, not missed.
        let reload = pool.shared.reloads();
        let live = pool.shared.live();
        let (config, database) = (&live.config, &pool.database.entry());
        let query = pool.timeouts.load().query;
        let or_never = |time: Duration| if time.is_zero() { NEVER } else { as_us(time) };
        Self {
            idle: or_never(config.client_idle_timeout(login)),
            queue: or_never(config.query_wait_timeout(database, login)),
            query,
            notify: or_never(config.settings.query_wait_notify),
            reload,
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
