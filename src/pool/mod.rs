//! Pools: the servers and waiters of one (database, pool user), with one exact set of limits for
//! the whole process (surface 4).
//!
//! Owns idle servers, queues, limits, launching, and the directory of databases and pools. May touch
//! `listen`, `server`, `session`, `stats`, `lane`, `config`. Must never touch a client's socket. Each
//! pool has one short mutex; nothing is held across a poll, and nothing is touched between checkout
//! and release. INVARIANT: lock order is process-wide caps, then one pool, then one waiter; a server
//! is never dropped while a pool is locked (its drop locks the pool).
//!
//! ```text
//! directory.rs  databases, users, pools by name      limits.rs    settings resolved for one pool
//! checkout.rs   a server for a client, or the queue  state.rs     what the mutex guards
//! release.rs    a server comes back                  pooled.rs    a server and its permits (RAII)
//! launch.rs     new connections                      caps.rs      limits that span pools
//! maintain.rs   three times a second                 control.rs   PAUSE, KILL, RECONNECT ...
//! listening.rs  LISTEN for all its clients
//! view.rs       rows for SHOW and /metrics          place.rs     what is counted for a server (RAII)
//! nested.rs     a process that waits for itself
//! ```

mod caps;
mod checkout;
mod control;
mod directory;
mod launch;
mod limits;
mod listening;
mod maintain;
mod nested;
mod place;
mod pooled;
mod release;
mod state;
mod target;
pub mod view;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use caps::{Caps, ClientCaps, ClientPermit};
pub use checkout::{Checkout, Waiting};
pub use control::ControlError;
pub use directory::{Database, Directory, Live, NewShared, ProcessState, Shared};
pub use launch::Welcome;
pub use limits::{Limits, Timeouts};
pub use maintain::TICK;
pub use pooled::PooledServer;
pub use release::{release, release_at, reset};
pub use state::PoolFigures;

use crate::config::{PoolMode, SessionMode};
use crate::insight::lane::PoolId;
use crate::listen::Hub;
use crate::session::sequences::Readers;
use crate::stats::PoolCounters;
use arc_swap::ArcSwap;
use state::State;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// One pool.
#[derive(Debug)]
pub struct Pool {
    /// The database entry.
    pub database: Arc<Database>,
    /// Pool user: the forced user, else the login user.
    pub user: Arc<str>,
    /// Its number in `insight`.
    pub insight_id: PoolId,
    /// What SHOW STATS sums up.
    pub counters: PoolCounters,
    /// Timeouts of running queries, resolved; replaced on reload.
    pub timeouts: ArcSwap<Timeouts>,
    /// What all pools share.
    pub shared: Arc<Shared>,
    /// Applications that ask for values of sequences.
    pub sequence_readers: Readers,
    clients: AtomicUsize,
    /// Servers that their clients keep.
    pinned: AtomicUsize,
    mode: AtomicU8,
    max_prepared: AtomicUsize,
    session_state: AtomicU8,
    hold_begin_us: AtomicU64,
    keeps_unnamed: AtomicBool,
    has_reset: AtomicBool,
    /// Which element of a host list is next.
    host_turn: AtomicUsize,
    /// Listening connections, by client_encoding.
    hubs: Mutex<Vec<Arc<Hub>>>,
    state: Mutex<State>,
}

impl Pool {
    /// A pool without servers.
    pub(crate) fn with_limits(
        shared: Arc<Shared>,
        database: Arc<Database>,
        user: Arc<str>,
        limits: Limits,
    ) -> Arc<Self> {
        let lanes = shared.lanes.len();
        let insight_id = shared.insight.names.pool_id(&database.name, &user);
        Arc::new(Self {
            database,
            user,
            insight_id,
            counters: PoolCounters::with_writers(lanes + 1),
            timeouts: ArcSwap::from_pointee(limits.timeouts),
            sequence_readers: Readers::default(),
            clients: AtomicUsize::new(0),
            pinned: AtomicUsize::new(0),
            mode: AtomicU8::new(mode_number(limits.mode)),
            max_prepared: AtomicUsize::new(limits.max_prepared),
            session_state: AtomicU8::new(session_number(limits.session_state)),
            hold_begin_us: AtomicU64::new(limits.hold_begin_us),
            keeps_unnamed: AtomicBool::new(limits.keeps_unnamed),
            has_reset: AtomicBool::new(limits.reset_query.is_some()),
            host_turn: AtomicUsize::new(0),
            hubs: Mutex::default(),
            state: Mutex::new(State::with_lanes(lanes, limits)),
            shared,
        })
    }

    /// HOT. The state; a panic elsewhere cannot leave it half changed, since nothing under the lock
    /// calls out.
    #[inline]
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// HOT. Current pool mode; a change holds from the next transaction on.
    #[inline]
    pub fn mode(&self) -> PoolMode {
        match self.mode.load(Relaxed) {
            0 => PoolMode::Session,
            1 => PoolMode::Transaction,
            _ => PoolMode::Statement,
        }
    }

    /// HOT. Named statements a server may hold; 0 passes names through.
    #[inline]
    pub fn max_prepared(&self) -> usize {
        self.max_prepared.load(Relaxed)
    }

    /// HOT. How much of a session its clients keep; `Pgbouncer` in session mode.
    #[inline]
    pub fn session_state(&self) -> SessionMode {
        match self.session_state.load(Relaxed) {
            0 => SessionMode::Strict,
            1 => SessionMode::Tracked,
            _ => SessionMode::Pgbouncer,
        }
    }

    /// HOT. How long a BEGIN is held back, µs; 0 sends it at once.
    #[inline]
    pub fn hold_begin_us(&self) -> u64 {
        self.hold_begin_us.load(Relaxed)
    }

    /// HOT. Whether unnamed statements stay prepared on the servers.
    #[inline]
    pub fn keeps_unnamed(&self) -> bool {
        self.keeps_unnamed.load(Relaxed)
    }

    /// HOT. What to run on a server before another client gets it, if anything.
    #[inline]
    pub fn reset_query(&self) -> Option<String> {
        if !self.has_reset.load(Relaxed) {
            return None;
        }
        self.lock().limits.reset_query.clone()
    }

    /// One more server is kept by its client; false when `max_pins` are already.
    pub(crate) fn pin(&self) -> bool {
        let max = self.lock().limits.max_pins;
        let more = |pinned| (pinned < max).then_some(pinned + 1);
        self.pinned.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// One less.
    pub(crate) fn unpin(&self) {
        self.pinned.fetch_sub(1, Relaxed);
    }

    /// A client has logged in to this pool.
    pub fn client_arrived(&self) {
        self.clients.fetch_add(1, Relaxed);
    }

    /// It has left.
    pub fn client_left(&self) {
        self.clients.fetch_sub(1, Relaxed);
    }

    /// Logged-in clients, idle ones included.
    pub fn clients(&self) -> usize {
        self.clients.load(Relaxed)
    }

    /// Takes over new limits, as after a reload or SET.
    pub fn set_limits(&self, limits: Limits) {
        self.timeouts.store(Arc::new(limits.timeouts));
        self.mode.store(mode_number(limits.mode), Relaxed);
        self.max_prepared.store(limits.max_prepared, Relaxed);
        let session_state = session_number(limits.session_state);
        self.session_state.store(session_state, Relaxed);
        self.hold_begin_us.store(limits.hold_begin_us, Relaxed);
        self.keeps_unnamed.store(limits.keeps_unnamed, Relaxed);
        self.has_reset.store(limits.reset_query.is_some(), Relaxed);
        self.lock().limits = limits;
    }

    /// Limits in force.
    pub fn limits(&self) -> Limits {
        self.lock().limits.clone()
    }

    /// Figures for SHOW POOLS and the metrics.
    pub fn figures(&self) -> PoolFigures {
        self.lock().figures()
    }
}

fn session_number(mode: SessionMode) -> u8 {
    match mode {
        SessionMode::Strict => 0,
        SessionMode::Tracked => 1,
        SessionMode::Pgbouncer => 2,
    }
}

fn mode_number(mode: PoolMode) -> u8 {
    match mode {
        PoolMode::Session => 0,
        PoolMode::Transaction => 1,
        PoolMode::Statement => 2,
    }
}
