//! HOT. Checkout: hands a server to a client, or queues the client.
//!
//! Mirrors: query_wait_timeout (enforced by the client's own deadline), server_check_query,
//! the fail-fast of surface 4.2. FIFO within a lane.

use std::sync::{Arc, Mutex};

use super::pooled::PooledServer;
use super::state::{Grant, State, Waiter};
use super::{Pool, release};
use crate::error::ClientError;
use crate::session::sequences::Memory;
use crate::stats::ClientSlot;

/// What a client gets.
#[derive(Debug)]
pub enum Checkout {
    /// A server, on the caller's lane and checked.
    Server(Box<PooledServer>),
    /// A place in the queue.
    Queued(Waiting),
    /// No server, and the last login failed.
    Refused(ClientError),
}

/// A place in the queue. Dropping it leaves the queue and gives back what was granted meanwhile.
#[derive(Debug)]
pub struct Waiting {
    pool: Arc<Pool>,
    waiter: Arc<Waiter>,
}

impl Waiting {
    /// HOT. What has been granted, if anything. `Ok(None)`: the granted server turned out dead,
    /// check out anew.
    pub fn take(&self) -> Option<Result<Option<Box<PooledServer>>, ClientError>> {
        let mut grant = self.waiter.grant();
        match std::mem::replace(&mut *grant, Grant::Gone) {
            Grant::Queued => {
                *grant = Grant::Queued;
                None
            }
            Grant::Server(server) => {
                drop(grant);
                Some(Ok(usable(server, self.waiter.lane)))
            }
            Grant::Refused(error) => Some(Err(error)),
            Grant::Gone => Some(Ok(None)),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let returned = self.pool.lock().abandon(&self.waiter);
        if let Some(server) = returned {
            release::release(server, self.waiter.lane);
        }
    }
}

/// Brings a server to `lane`; closes it when it is not as it was left.
fn usable(mut server: Box<PooledServer>, lane: usize) -> Option<Box<PooledServer>> {
    let moved = server.lane != lane;
    if !server.move_to(lane) {
        server.close("server conn crashed?");
        return None;
    }
    if !moved && !server.stream.is_quiet() && !release::absorb(&mut server) {
        server.close("idle server got dirty");
        return None;
    }
    Some(server)
}

impl Pool {
    /// HOT. A server for `client` on `lane`, or a place in the queue. `since_us`: when the request
    /// came in; `memory`: where its sequences may be.
    pub fn checkout(
        self: &Arc<Self>,
        lane: usize,
        client: &Arc<ClientSlot>,
        since_us: u64,
        memory: Memory,
    ) -> Checkout {
        let mut is_testing = false;
        loop {
            let mut state = self.lock();
            let own = state.take_own(lane, client, memory);
            let Some(server) = own.or_else(|| state.take_idle(lane)) else {
                return self.queue(state, lane, client, since_us);
            };
            let check = needs_check(&state, &server, since_us);
            if check.is_some() && is_testing {
                // One for one, as PgBouncer does it: the rest stay as they are.
                state.put_back(server);
                return self.queue(state, lane, client, since_us);
            }
            drop(state);
            let Some(server) = usable(server, lane) else {
                continue;
            };
            match check {
                None => return Checkout::Server(server),
                Some(sql) => release::test(server, lane, sql, "server check failed"),
            }
            is_testing = true;
        }
    }

    /// HOT. An idle server that can be used at once, if there is one; never queues.
    pub fn checkout_idle(
        self: &Arc<Self>,
        lane: usize,
        client: &ClientSlot,
        now: u64,
        memory: Memory,
    ) -> Option<Box<PooledServer>> {
        loop {
            let mut state = self.lock();
            if state.waiting() > 0 {
                return None;
            }
            let own = state.take_own(lane, client, memory);
            let server = own.or_else(|| state.take_idle(lane))?;
            let check = needs_check(&state, &server, now);
            if check.is_some() && state.tested > 0 {
                state.put_back(server);
                return None;
            }
            drop(state);
            let Some(server) = usable(server, lane) else {
                continue;
            };
            match check {
                None => return Some(server),
                Some(sql) => release::test(server, lane, sql, "server check failed"),
            }
        }
    }

    fn queue(
        self: &Arc<Self>,
        mut state: std::sync::MutexGuard<'_, State>,
        lane: usize,
        client: &Arc<ClientSlot>,
        since_us: u64,
    ) -> Checkout {
        if state.removed {
            return Checkout::Refused(ClientError::database_removed());
        }
        // Where another attempt is due, this client is who waits for it: without one nobody would make
        // it, and the pool would stay dead.
        let has_none = state.total == usize::from(state.login) && !state.may_launch(since_us);
        if let (true, Some(failure)) = (has_none, &state.failure) {
            return Checkout::Refused(ClientError::login_failing(&failure.text));
        }
        let waiter = Arc::new(Waiter {
            lane,
            since_us,
            client: Arc::clone(client),
            grant: Mutex::new(Grant::Queued),
        });
        state.enqueue(Arc::clone(&waiter));
        let wants_launch = state.wants_launch(since_us).is_some();
        drop(state);
        if wants_launch {
            self.launch_if_wanted();
        }
        Checkout::Queued(Waiting {
            pool: Arc::clone(self),
            waiter,
        })
    }
}

/// The check query that is due before reuse (surface 4.11).
fn needs_check(state: &State, server: &PooledServer, now: u64) -> Option<String> {
    let sql = state.limits.check_query.as_ref()?;
    let delay = state.limits.check_delay_us;
    let idle = now.saturating_sub(server.last_used_us);
    (idle > delay).then(|| sql.clone())
}
