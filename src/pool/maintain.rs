//! Three times a second, for every pool: what time alone brings about (surface 4.3 to 4.14).
//!
//! Runs on the control thread. COMPAT: comparisons are strict, so a timeout is enforced up to a
//! third of a second late, as in PgBouncer.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::launch::Allowance;
use super::release::absorb;
use super::{Directory, Pool, ProcessState};
use crate::net::dns::Dropped;
use crate::stats::ServerState;
use crate::stats::clock::{as_us, now_us};

/// Time between two rounds.
pub const TICK: Duration = Duration::from_millis(333);

impl Directory {
    /// One round over all pools and all clients' deadlines.
    pub fn maintain(&self) {
        let now = now_us();
        for dropped in self.shared.resolver.take_dropped() {
            self.retire_addresses(&dropped);
        }
        for pool in self.shared.pools() {
            pool.maintain(now);
        }
        self.shared.registry.each_client(|client| {
            if client.deadline_us() < now {
                client.wake();
            }
        });
        self.expire_auto_databases(now);
    }
}

impl Directory {
    /// A name has lost addresses: servers on them go when nobody uses them (surface 6.10).
    fn retire_addresses(&self, dropped: &Dropped) {
        let config = self.shared.live_arc();
        for pool in self.shared.pools() {
            if !pool
                .database
                .entry()
                .hosts(&config.config)
                .contains(&dropped.name)
            {
                continue;
            }
            for slot in pool.slots() {
                if slot
                    .remote
                    .ip()
                    .is_some_and(|ip| dropped.addresses.contains(&ip))
                {
                    slot.set_close_needed();
                }
            }
        }
    }
}

impl Pool {
    /// Closes idle servers that PostgreSQL has ended.
    pub(super) fn close_dirty(&self) {
        let dirty = self.lock().take_idle_where(|server| {
            let is_dirty = !server.stream.is_quiet() && !absorb(server);
            is_dirty.then_some("idle server got dirty")
        });
        for (server, reason) in dirty {
            server.close(reason);
        }
    }

    fn maintain(self: &Arc<Self>, now: u64) {
        let mut closing = Vec::new();
        let mut state = self.lock();
        state.welcome_waiters.retain(|waiter| !waiter.is_closed());
        closing.extend(state.take_expired(now));
        let idle_timeout = state.limits.idle_timeout_us;
        let check_delay = state.limits.check_delay_us;
        let checks = state.limits.check_query.is_some();
        let minimum = state.limits.min_size;
        let ceiling = state.limits.size + state.limits.reserve;
        let has_ceiling = state.limits.size > 0;
        let mut total = state.total.saturating_sub(closing.len());
        let paused = state.paused;
        closing.extend(state.take_idle_where(|server| {
            let idle = now.saturating_sub(server.last_used_us);
            let reason = if paused {
                Some("pause mode")
            } else if !server.stream.is_quiet() && !absorb(server) {
                Some("idle server got dirty")
            } else if has_ceiling && total > ceiling {
                Some("too many servers in the pool")
            } else if idle_timeout > 0 && idle > idle_timeout && total > minimum {
                Some("server idle timeout")
            } else {
                if checks && idle > check_delay {
                    server.slot.set_state(ServerState::Used);
                }
                None
            };
            total -= usize::from(reason.is_some());
            reason
        }));
        drop(state);
        for (server, reason) in closing {
            server.close(reason);
        }
        let has_clients = self.clients() > 0;
        self.launch_when(|state, now| {
            state.wants_launch(now).or_else(|| {
                state
                    .wants_filling(has_clients, now)
                    .then_some(Allowance::Filling)
            })
        });
        self.untie_nested(now);
    }
}

impl Directory {
    /// autodb_idle_timeout: auto databases that nobody uses are forgotten with their statistics.
    fn expire_auto_databases(&self, now: u64) {
        let timeout = as_us(self.shared.live().config.settings.autodb_idle_timeout);
        if timeout == 0 || self.state() == ProcessState::Paused {
            return;
        }
        for database in self.databases() {
            if !database.is_auto() {
                continue;
            }
            if self.is_used(&database) {
                database.last_used_us.store(now, Relaxed);
            } else if now.saturating_sub(database.last_used_us.load(Relaxed)) > timeout
                && !database.paused.load(Relaxed)
            {
                self.drop_database(&database);
            }
        }
    }
}
