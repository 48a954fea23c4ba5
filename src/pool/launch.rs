//! Launch: new server connections, one login at a time per pool (surface 4.1 to 4.6).

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::caps::{Blocked, Permit};
use super::place::{Attempt, Greeting};
use super::pooled::PooledServer;
use super::release::within;
use super::state::{Failure, Placed, State};
use super::{Pool, target};
use crate::config::LoadBalance;
use crate::error::ClientError;
use crate::server::{Fresh, OpenError, OwnQueryError, Server, open};
use crate::session::params::Params;
use crate::session::sequences::Owner;
use crate::session::state::SessionState;
use crate::stats::Pins;
use crate::stats::ServerSlot;
use crate::stats::clock::now_us;
use crate::stats::events::Event;
use crate::stats::slots::NewServer;
use crate::wire::backend::Status;

/// Least time between two attempts after a failure, in µs.
const MIN_RETRY_US: u64 = 100_000;

/// What a client is told at the end of its login, from the pool's first server.
#[derive(Debug)]
pub struct Welcome {
    /// Reported parameters that are not tracked, in the server's order.
    pub untracked: Vec<(String, String)>,
    /// Tracked parameters as the server starts with them.
    pub tracked: Arc<Params>,
}

/// Which allowance a launch uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowance {
    Normal,
    Reserve,
    /// Up to min_pool_size, for nobody yet: takes no server from another pool.
    Filling,
}

impl State {
    /// Whether a server should be launched now, leaving aside the caps that span pools.
    pub(super) fn wants_launch(&self, now: u64) -> Option<Allowance> {
        if !self.may_launch(now) {
            return None;
        }
        // A server that is being tested is for somebody who waits.
        let has_demand = self.waiting() > self.tested || !self.welcome_waiters.is_empty();
        let below = self.limits.size == 0 || self.total < self.limits.size;
        if has_demand && below {
            return Some(Allowance::Normal);
        }
        if has_demand && self.reserve_is_open(now) {
            return Some(Allowance::Reserve);
        }
        None
    }

    /// Whether nothing but the number of servers can stand against a launch.
    pub(super) fn may_launch(&self, now: u64) -> bool {
        !self.login && !self.paused && !self.removed && !self.is_backing_off(now)
    }

    /// No attempt until server_login_retry after the start of one that failed.
    fn is_backing_off(&self, now: u64) -> bool {
        let Some(failure) = &self.failure else {
            return false;
        };
        let retry = match failure.is_missing {
            true => MIN_RETRY_US,
            // Not even `server_login_retry = 0` makes a dead server a busy loop.
            false => self.limits.login_retry_us.max(MIN_RETRY_US),
        };
        now < self.last_attempt_us + retry
    }

    fn reserve_is_open(&self, now: u64) -> bool {
        let timeout = self.limits.reserve_timeout_us;
        let waited = self
            .oldest_wait_us()
            .map_or(0, |since| now.saturating_sub(since));
        timeout > 0 && waited >= timeout && self.total < self.limits.size + self.limits.reserve
    }

    /// Whether the pool is to be filled to min_pool_size. `has_clients`: any client uses it.
    pub(super) fn wants_filling(&self, has_clients: bool, now: u64) -> bool {
        let limits = &self.limits;
        let below = limits.size == 0 || self.total < limits.size;
        self.may_launch(now)
            && self.total < limits.min_size
            && below
            && (has_clients || limits.has_forced_user)
    }
}

impl State {
    /// Whether the welcome may be that of a database that is gone, and can be asked for anew. COMPAT:
    /// PgBouncer lets clients in by what it remembers, and refuses their first query.
    fn must_ask(&self, now: u64) -> bool {
        let has_none = self.total == usize::from(self.login);
        has_none && (self.login || self.may_launch(now))
    }

    /// Whoever waits for the welcome gets the one that is known.
    fn tell_welcome(&mut self) {
        if let Some(welcome) = &self.welcome {
            for waiter in self.welcome_waiters.drain(..) {
                let _ = waiter.send(Ok(Arc::clone(welcome)));
            }
        }
    }
}

impl Pool {
    /// Launches a server if somebody waits and the limits allow it.
    pub(super) fn launch_if_wanted(self: &Arc<Self>) {
        self.launch_when(|state, now| state.wants_launch(now));
    }

    /// Launches one when `wants` says so, both before and after the caps were asked.
    pub(super) fn launch_when(self: &Arc<Self>, wants: impl Fn(&State, u64) -> Option<Allowance>) {
        let now = now_us();
        let Some(wanted) = wants(&self.lock(), now) else {
            return;
        };
        let permit = match wanted {
            Allowance::Filling => self.acquire().ok(),
            Allowance::Normal | Allowance::Reserve => self.permit().or_else(|| {
                self.shared.caps.remember_blocked(self);
                // A place given back before the pool was remembered has kicked nobody.
                self.acquire().ok()
            }),
        };
        let Some(permit) = permit else {
            return;
        };
        let mut state = self.lock();
        let Some(allowance) = wants(&state, now) else {
            // The permit's drop may kick this very pool: not under its lock.
            drop(state);
            return;
        };
        let attempt = Attempt::begin(self, &mut state, permit);
        state.last_attempt_us = now;
        let generation = state.generation;
        let lane = state.launch_lane();
        drop(state);
        if allowance == Allowance::Reserve {
            log::warn!("{}: taking connection from reserve_pool", self.log_name());
            let shared = &self.shared;
            shared
                .events
                .count(Event::Reserve, &self.database.name, &self.user);
        }
        self.spawn_login(attempt, generation, lane);
    }

    /// A place under the caps; evicts the least recently used idle server of another pool when
    /// that is what stands in the way (surface 4.6).
    fn permit(self: &Arc<Self>) -> Option<Permit> {
        // Twice: a user's cap may stand behind the database's.
        for _ in 0..2 {
            match self.acquire() {
                Ok(permit) => return Some(permit),
                Err(blocked) => {
                    if !self.evict_for(blocked) {
                        return None;
                    }
                }
            }
        }
        self.acquire().ok()
    }

    /// A place under the caps as they are.
    pub(super) fn acquire(&self) -> Result<Permit, Blocked> {
        let (max_database, max_user) = {
            let state = self.lock();
            (state.limits.max_database, state.limits.max_user)
        };
        self.shared
            .caps
            .acquire((&self.database.name, max_database), (&self.user, max_user))
    }

    /// Closes the oldest idle server under the same cap; false when there is none.
    fn evict_for(self: &Arc<Self>, blocked: Blocked) -> bool {
        let shares = |pool: &&Arc<Pool>| match blocked {
            Blocked::Database => Arc::ptr_eq(&pool.database, &self.database),
            Blocked::User => pool.user == self.user,
        };
        let pools = self.shared.pools();
        let victim = pools
            .iter()
            .filter(|pool| !Arc::ptr_eq(pool, self))
            .filter(shares)
            .filter_map(|pool| Some((pool.lock().oldest_idle_us()?, pool)))
            .min_by_key(|(since, _)| *since);
        let Some((_, pool)) = victim else {
            return false;
        };
        let server = pool.lock().take_oldest_idle();
        match server {
            Some(server) => {
                server.close("evicted");
                true
            }
            None => false,
        }
    }

    fn spawn_login(self: &Arc<Self>, attempt: Attempt, generation: u64, index: usize) {
        let pool = Arc::clone(self);
        let Some(lane) = self.shared.lanes.get(index) else {
            return;
        };
        lane.spawn(async move {
            let target = target::target_of(&pool);
            let limit = pool.limits().connect_timeout;
            let opened = if limit.is_zero() {
                open(&target).await
            } else {
                tokio::time::timeout(limit, open(&target))
                    .await
                    .unwrap_or(Err(OpenError::Timeout))
            };
            match opened {
                Ok(fresh) => pool.on_opened(fresh, attempt, generation, index).await,
                Err(error) => pool.on_failed(&error, attempt),
            }
        });
    }

    /// A server has logged in: it is counted, greeted with connect_query, and given away.
    async fn on_opened(
        self: &Arc<Self>,
        fresh: Fresh,
        attempt: Attempt,
        generation: u64,
        lane: usize,
    ) {
        let shared = &self.shared;
        let pairs = fresh
            .parameters
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()));
        let tracked = shared.tracked.set_of(pairs);
        let welcome = Arc::new(Welcome {
            untracked: fresh
                .parameters
                .iter()
                .filter(|(name, _)| shared.tracked.index_of(name.as_bytes()).is_none())
                .cloned()
                .collect(),
            tracked: Arc::clone(&tracked),
        });
        let slot = shared.registry.add_server(NewServer {
            database: Arc::clone(&self.database.name),
            user: Arc::clone(&self.user),
            remote: fresh.remote,
            local: fresh.local,
            backend_pid: fresh.backend_pid,
            cancel_key: fresh.cancel_key.into(),
            tls: fresh.tls.map(Into::into),
        });
        self.log_server_opened(&slot);
        shared
            .events
            .count(Event::ServerOpened, &self.database.name, "");
        let server = Server {
            stream: fresh.stream,
            slot,
            start_params: Arc::clone(&tracked),
            params: tracked,
            session: SessionState::with_startup(shared.settings.empty()),
            suspect: None,
            has_question: false,
            may_hold: false,
            is_hurried: false,
            is_listening: false,
            sequences: Owner::NOBODY,
            pins: Pins::NONE,
            statements: Default::default(),
            pending: Default::default(),
            status: Status::Idle,
            generation,
            last_used_us: 0,
            is_fresh: true,
            lane,
            unnamed: None,
            copied: Default::default(),
            is_private: false,
            is_cut: false,
        };
        let (place, greeting) = attempt.connected();
        let mut server = PooledServer::with_place(server, place);
        let connect_query = self.database.entry().connect_query.clone();
        if !connect_query.is_empty() {
            let tracked = Arc::clone(&shared.tracked);
            let limit = self.limits().connect_timeout;
            let run = within(limit, server.run_own(&connect_query, &tracked)).await;
            if let Err(error) = run {
                log::warn!("{}: connect_query failed: {error}", self.log_name());
                if !matches!(error, OwnQueryError::Refused(_)) {
                    return self.on_unusable(server, greeting, error.to_string());
                }
            }
        }
        server.session.adopt(self.base_settings());
        server.session.committed();
        server.start_params = Arc::clone(&server.params);
        self.place_fresh(server, greeting, welcome);
        self.launch_if_wanted();
    }

    /// The connection broke, or did not answer in time, behind its login.
    fn on_unusable(self: &Arc<Self>, server: Box<PooledServer>, greeting: Greeting, text: String) {
        let mut state = self.lock();
        greeting.end(&mut state);
        state.failure = Some(Failure::because(text));
        drop(state);
        server.close("connect_query failed");
    }

    fn place_fresh(
        self: &Arc<Self>,
        server: Box<PooledServer>,
        greeting: Greeting,
        welcome: Arc<Welcome>,
    ) {
        let (now, lane) = (now_us(), server.lane);
        let mut state = self.lock();
        greeting.end(&mut state);
        state.failure = None;
        if server.generation == state.generation {
            state.welcome.get_or_insert(welcome);
            state.tell_welcome();
        }
        let placed = if server.is_clean() {
            state.place_new(server, lane, now)
        } else {
            Placed::Close(server, "connect_query left a transaction open")
        };
        drop(state);
        match placed {
            Placed::Granted(waiter) => waiter.client.wake(),
            Placed::Close(server, reason) => server.close(reason),
            Placed::Idle | Placed::Canceled => {}
        }
    }

    /// A connect or login failed (surface 4.2): refusals by PostgreSQL go to everybody who waits,
    /// unless the pool has a server; unreachability leaves them waiting.
    fn on_failed(self: &Arc<Self>, error: &OpenError, mut attempt: Attempt) {
        let text = error.reason();
        log::warn!("{}: {}", self.log_name(), error.log_line());
        if self.shared.live().config.settings.log_disconnections {
            let age = now_us().saturating_sub(self.lock().last_attempt_us) / 1_000_000;
            let (name, reason) = (self.log_name(), error.close_reason());
            log::info!("S: {name} closing because: {reason} (age={age}s)");
        }
        let shown = error.for_clients();
        if error.is_unreachable()
            && self.database.entry().load_balance_hosts == LoadBalance::Disable
        {
            self.host_turn.fetch_add(1, Relaxed);
        }
        if let OpenError::Refused { sqlstate, .. } = error {
            let shared = &self.shared;
            shared
                .events
                .count(Event::ServerLoginFailure, &self.database.name, sqlstate);
        }
        let is_missing = error.is_missing_database();
        let mut state = self.lock();
        attempt.failed(&mut state);
        state.failure = Some(Failure { text, is_missing });
        if is_missing {
            state.welcome = None;
        }
        let refused = match shown {
            Some(shown) if state.total == 0 => state.refuse_all(&shown),
            _ => {
                // As far as is known the database is there: as before, clients log in and wait.
                state.tell_welcome();
                Vec::new()
            }
        };
        drop(state);
        for waiter in refused {
            waiter.client.wake();
        }
    }

    /// The welcome of this pool; waits for a server where it has none: only a login tells whether the
    /// database is still there (Odoo asks so). Where that cannot be told, the last welcome stands.
    ///
    /// # Errors
    /// PostgreSQL's own refusal, or `database removed`. Cancel safe.
    pub async fn welcome(self: &Arc<Self>) -> Result<Arc<Welcome>, ClientError> {
        self.close_dirty();
        let waiting = {
            let mut state = self.lock();
            if state.removed {
                return Err(ClientError::database_removed());
            }
            if let Some(welcome) = &state.welcome
                && !state.must_ask(now_us())
            {
                return Ok(Arc::clone(welcome));
            }
            let (tell, told) = tokio::sync::oneshot::channel();
            state.welcome_waiters.push(tell);
            told
        };
        self.launch_if_wanted();
        waiting
            .await
            .unwrap_or_else(|_| Err(ClientError::database_removed()))
    }

    /// `db/user`, for log lines about the pool itself.
    pub(super) fn log_name(&self) -> String {
        format!("{}/{}", self.database.name, self.user)
    }

    fn log_server_opened(&self, slot: &ServerSlot) {
        if self.shared.live().config.settings.log_connections {
            let from = match slot.local.ip() {
                Some(_) => format!(" (from {})", slot.local),
                None => String::new(),
            };
            log::info!("{}new connection to server{from}", slot.log_prefix());
            if let Some(tls) = &slot.tls {
                log::info!("{}SSL established: {tls}", slot.log_prefix());
            }
        }
    }

    pub(super) fn log_server_closed(&self, slot: &ServerSlot, reason: &str) {
        if self.shared.live().config.settings.log_disconnections {
            let age = now_us().saturating_sub(slot.connected_us) / 1_000_000;
            log::info!(
                "{}closing because: {reason} (age={age}s)",
                slot.log_prefix()
            );
        }
    }
}
