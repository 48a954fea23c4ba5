//! What a pool's mutex guards, and the decisions that need nothing else: no I/O, no other lock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::launch::Welcome;
use super::limits::Limits;
use super::pooled::PooledServer;
use crate::error::ClientError;
use crate::session::sequences::Memory;
use crate::stats::{ClientSlot, ServerState};

/// How much longer another lane's client must have waited to go before the own lane's first, in µs
/// (design.md 3). Strict global order would cost a hand-over between lanes per transaction.
const FAIRNESS_US: u64 = 5_000;

/// What a waiter has got.
#[derive(Debug)]
pub(super) enum Grant {
    Queued,
    Server(Box<PooledServer>),
    Refused(ClientError),
    /// The client left; nothing may be put here.
    Gone,
}

/// A queued client.
#[derive(Debug)]
pub(super) struct Waiter {
    pub lane: usize,
    /// When its last packet came, µs.
    pub since_us: u64,
    pub client: Arc<ClientSlot>,
    pub grant: Mutex<Grant>,
}

impl Waiter {
    pub fn grant(&self) -> std::sync::MutexGuard<'_, Grant> {
        self.grant.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Idle servers and waiters of one lane.
#[derive(Debug, Default)]
struct LaneQueues {
    /// Most recently released last.
    idle: VecDeque<Box<PooledServer>>,
    waiters: VecDeque<Arc<Waiter>>,
}

/// The last attempt to connect that failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub text: String,
    /// The database does not exist: it may be created at any moment, so server_login_retry is not
    /// waited for.
    pub is_missing: bool,
}

impl Failure {
    /// For a reason that later clients are told.
    pub fn because(text: String) -> Self {
        Self {
            text,
            is_missing: false,
        }
    }
}

/// What to do with a server that comes back.
#[derive(Debug)]
pub(super) enum Placed {
    /// Idle, nobody waits.
    Idle,
    /// A client got it: wake this one.
    Granted(Arc<Waiter>),
    /// Kept aside until its cancel requests are finished.
    Canceled,
    /// To be closed, outside of the lock.
    Close(Box<PooledServer>, &'static str),
}

/// Figures of one pool.
#[derive(Clone, Copy, Debug, Default)]
pub struct PoolFigures {
    /// Servers of every state.
    pub servers: usize,
    /// Idle (or used) servers.
    pub idle: usize,
    /// Queued clients.
    pub waiting: usize,
    /// A server is logging in.
    pub login: bool,
    /// Since when the first client waits, monotonic µs; 0 when none does.
    pub oldest_wait_us: u64,
}

/// The guarded state.
#[derive(Debug)]
pub(super) struct State {
    pub limits: Limits,
    lanes: Vec<LaneQueues>,
    // Boxed like everywhere else: a server goes back to the stack without being copied.
    #[allow(clippy::vec_box)]
    canceled: Vec<Box<PooledServer>>,
    waiting: usize,
    /// Gets the next server, before all others.
    pub preferred: Option<Arc<Waiter>>,
    /// Servers of every state, the one logging in included.
    pub total: usize,
    /// A login is under way; never more than one (surface 4.1).
    pub login: bool,
    /// Servers on which a query of ours runs (server_check_query, server_reset_query): each will
    /// serve somebody who waits.
    pub tested: usize,
    /// Servers of an older generation are closed at release.
    pub generation: u64,
    pub welcome: Option<Arc<Welcome>>,
    pub welcome_waiters: Vec<oneshot::Sender<Result<Arc<Welcome>, ClientError>>>,
    pub failure: Option<Failure>,
    pub last_attempt_us: u64,
    last_retired_us: u64,
    /// PAUSE of the database or of everything.
    pub paused: bool,
    /// The pool has left the directory.
    pub removed: bool,
}

impl State {
    pub fn with_lanes(lanes: usize, limits: Limits) -> Self {
        Self {
            limits,
            lanes: (0..lanes.max(1)).map(|_| LaneQueues::default()).collect(),
            canceled: Vec::new(),
            waiting: 0,
            preferred: None,
            total: 0,
            login: false,
            tested: 0,
            generation: 0,
            welcome: None,
            welcome_waiters: Vec::new(),
            failure: None,
            last_attempt_us: 0,
            last_retired_us: 0,
            paused: false,
            removed: false,
        }
    }

    pub fn figures(&self) -> PoolFigures {
        PoolFigures {
            servers: self.total,
            idle: self.lanes.iter().map(|lane| lane.idle.len()).sum(),
            waiting: self.waiting,
            login: self.login,
            oldest_wait_us: self.oldest_wait_us().unwrap_or(0),
        }
    }

    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// HOT. An idle server: the own lane's, else another's. INVARIANT: the caller moves it.
    #[inline]
    pub fn take_idle(&mut self, lane: usize) -> Option<Box<PooledServer>> {
        if self.paused {
            return None;
        }
        let round_robin = self.limits.round_robin;
        let pick = |queues: &mut LaneQueues| {
            if round_robin {
                queues.idle.pop_front()
            } else {
                queues.idle.pop_back()
            }
        };
        let own = self.lanes.get_mut(lane).and_then(pick);
        let server = own.or_else(|| self.lanes.iter_mut().find_map(pick))?;
        server.slot.set_state(ServerState::Active);
        Some(server)
    }

    /// An idle server that was taken in vain, at its place again.
    pub fn put_back(&mut self, server: Box<PooledServer>) {
        server.slot.set_state(ServerState::Used);
        let home = server.lane.min(self.lanes.len() - 1);
        if self.limits.round_robin {
            self.lanes[home].idle.push_front(server);
        } else {
            self.lanes[home].idle.push_back(server);
        }
    }

    /// HOT. The idle server of the own lane that holds the sequence values of this client, and of
    /// nobody else.
    #[inline]
    pub fn take_own(
        &mut self,
        lane: usize,
        client: &ClientSlot,
        memory: Memory,
    ) -> Option<Box<PooledServer>> {
        if !memory.is_one() || self.paused || self.limits.round_robin {
            return None;
        }
        let idle = &mut self.lanes.get_mut(lane)?.idle;
        let at = idle
            .iter()
            .rposition(|server| memory.is_at(server.slot.id) && server.sequences.is(client.id))?;
        let server = idle.remove(at)?;
        server.slot.set_state(ServerState::Active);
        Some(server)
    }

    /// Queues a client behind the others of its lane.
    pub fn enqueue(&mut self, waiter: Arc<Waiter>) {
        let lane = waiter.lane.min(self.lanes.len() - 1);
        self.lanes[lane].waiters.push_back(waiter);
        self.waiting += 1;
    }

    /// A client leaves the queue. What it had been granted comes back.
    pub fn abandon(&mut self, waiter: &Arc<Waiter>) -> Option<Box<PooledServer>> {
        self.forget_waiter(waiter);
        match std::mem::replace(&mut *waiter.grant(), Grant::Gone) {
            Grant::Server(server) => Some(server),
            _ => None,
        }
    }

    /// Takes a client out of its queue; false when it is in none.
    pub fn forget_waiter(&mut self, waiter: &Arc<Waiter>) -> bool {
        let lane = waiter.lane.min(self.lanes.len() - 1);
        let queue = &mut self.lanes[lane].waiters;
        let at = queue.iter().position(|queued| Arc::ptr_eq(queued, waiter));
        if let Some(at) = at {
            queue.remove(at);
            self.waiting -= 1;
        }
        at.is_some()
    }

    /// Whether a client is in its queue.
    pub fn is_queued(&self, waiter: &Arc<Waiter>) -> bool {
        let lane = waiter.lane.min(self.lanes.len() - 1);
        let mut queue = self.lanes[lane].waiters.iter();
        queue.any(|queued| Arc::ptr_eq(queued, waiter))
    }

    /// The first clients of each lane's queue, `most` in all, the longest waiting first.
    pub fn first_waiters(&self, most: usize) -> Vec<Arc<Waiter>> {
        let firsts = self.lanes.iter().flat_map(|l| l.waiters.iter().take(most));
        let mut waiters: Vec<_> = firsts.cloned().collect();
        waiters.sort_by_key(|waiter| waiter.since_us);
        waiters.truncate(most);
        waiters
    }

    /// When the first client in any queue began to wait.
    pub fn oldest_wait_us(&self) -> Option<u64> {
        self.lanes
            .iter()
            .filter_map(|lane| lane.waiters.front())
            .map(|waiter| waiter.since_us)
            .min()
    }

    /// Where a new server is most wanted: the lane of the oldest waiter.
    pub fn launch_lane(&self) -> usize {
        if let Some(waiter) = &self.preferred {
            return waiter.lane.min(self.lanes.len() - 1);
        }
        let oldest = self
            .lanes
            .iter()
            .enumerate()
            .filter_map(|(index, lane)| Some((lane.waiters.front()?.since_us, index)))
            .min();
        oldest.map_or(0, |(_, index)| index)
    }

    /// The client that goes next when `lane` has a server to give.
    fn next_waiter(&mut self, lane: usize) -> Option<Arc<Waiter>> {
        if self.waiting == 0 {
            return None;
        }
        if let Some(waiter) = self.preferred.take()
            && self.forget_waiter(&waiter)
        {
            return Some(waiter);
        }
        let own = self.lanes.get(lane).and_then(|l| l.waiters.front());
        let own_since = own.map(|waiter| waiter.since_us);
        let (other, since) = self
            .lanes
            .iter()
            .enumerate()
            .filter_map(|(index, l)| Some((index, l.waiters.front()?.since_us)))
            .min_by_key(|&(_, since)| since)?;
        let from = match own_since {
            Some(own) if own <= since.saturating_add(FAIRNESS_US) => lane,
            _ => other,
        };
        let waiter = self.lanes[from].waiters.pop_front()?;
        self.waiting -= 1;
        Some(waiter)
    }

    /// HOT. A clean server comes back on `lane`: the first waiter gets it, or it becomes idle.
    pub fn place(&mut self, mut server: Box<PooledServer>, lane: usize, now: u64) -> Placed {
        server.last_used_us = now;
        server.is_fresh = false;
        if let Some(reason) = self.must_close(&server, now) {
            return Placed::Close(server, reason);
        }
        self.give(server, lane, now)
    }

    /// A new server: as `place`, but server_lifetime = 0 grants it one use.
    pub fn place_new(&mut self, mut server: Box<PooledServer>, lane: usize, now: u64) -> Placed {
        server.last_used_us = now;
        if self.removed || server.generation != self.generation {
            return Placed::Close(server, "obsolete connection");
        }
        self.give(server, lane, now)
    }

    fn give(&mut self, server: Box<PooledServer>, lane: usize, now: u64) -> Placed {
        if server.slot.cancels() > 0 {
            server.slot.set_state(ServerState::BeingCanceled);
            self.canceled.push(server);
            return Placed::Canceled;
        }
        if self.paused {
            return Placed::Close(server, "pause mode");
        }
        while let Some(waiter) = self.next_waiter(lane) {
            let mut grant = waiter.grant();
            if matches!(*grant, Grant::Queued) {
                server.slot.set_state(ServerState::Active);
                *grant = Grant::Server(server);
                drop(grant);
                return Placed::Granted(waiter);
            }
        }
        server.slot.set_state(ServerState::Idle);
        server.slot.set_request_us(now);
        let home = server.lane.min(self.lanes.len() - 1);
        self.lanes[home].idle.push_back(server);
        Placed::Idle
    }

    /// Whether a server that nobody uses has to go.
    /// With server_lifetime = 0 each serves once, so one that has not yet is kept (surface 4.9).
    fn must_close(&mut self, server: &PooledServer, now: u64) -> Option<&'static str> {
        if self.removed {
            return Some("database removed");
        }
        if server.generation != self.generation || server.slot.close_needed() {
            return Some("close_needed");
        }
        if self.limits.lifetime_us == 0 && server.is_fresh {
            return None;
        }
        let age = now.saturating_sub(server.slot.connected_us);
        self.lifetime_is_over(age, now)
            .then_some("server lifetime over")
    }

    /// server_lifetime, with the closings spread over it (surface 4.9).
    fn lifetime_is_over(&mut self, age_us: u64, now: u64) -> bool {
        let lifetime = self.limits.lifetime_us;
        if lifetime == 0 {
            return true;
        }
        let gap = lifetime / self.limits.size.max(1) as u64;
        if age_us < lifetime || now.saturating_sub(self.last_retired_us) < gap {
            return false;
        }
        self.last_retired_us = now;
        true
    }

    /// The last cancel aimed at a server is finished: it may be used again.
    pub fn take_canceled(&mut self, server_id: u64) -> Option<Box<PooledServer>> {
        let at = self
            .canceled
            .iter()
            .position(|server| server.slot.id == server_id)?;
        Some(self.canceled.swap_remove(at))
    }

    /// Takes out all servers that wait for the end of a cancel.
    #[allow(clippy::vec_box)] // They are boxed wherever they are; unboxing would move 300 bytes each.
    pub fn take_all_canceled(&mut self) -> Vec<Box<PooledServer>> {
        std::mem::take(&mut self.canceled)
    }

    /// Takes out idle servers for which `choose` gives a reason; longest idle are asked first.
    pub fn take_idle_where(
        &mut self,
        mut choose: impl FnMut(&mut PooledServer) -> Option<&'static str>,
    ) -> Vec<(Box<PooledServer>, &'static str)> {
        let mut taken = Vec::new();
        for lane in &mut self.lanes {
            let mut index = 0;
            while index < lane.idle.len() {
                let reason = lane.idle.get_mut(index).and_then(|server| choose(server));
                match reason {
                    Some(reason) => {
                        if let Some(server) = lane.idle.remove(index) {
                            taken.push((server, reason));
                        }
                    }
                    None => index += 1,
                }
            }
        }
        taken
    }

    /// Idle servers that must go at this tick: obsolete ones and old ones.
    pub fn take_expired(&mut self, now: u64) -> Vec<(Box<PooledServer>, &'static str)> {
        let mut lanes = std::mem::take(&mut self.lanes);
        let mut taken = Vec::new();
        for lane in &mut lanes {
            let mut index = 0;
            while index < lane.idle.len() {
                match self.must_close(&lane.idle[index], now) {
                    Some(reason) => {
                        if let Some(server) = lane.idle.remove(index) {
                            taken.push((server, reason));
                        }
                    }
                    None => index += 1,
                }
            }
        }
        self.lanes = lanes;
        taken
    }

    /// When the least recently used idle server was last used.
    pub fn oldest_idle_us(&self) -> Option<u64> {
        self.lanes
            .iter()
            .flat_map(|lane| &lane.idle)
            .map(|server| server.last_used_us)
            .min()
    }

    /// Takes the least recently used idle server.
    pub fn take_oldest_idle(&mut self) -> Option<Box<PooledServer>> {
        let oldest = self.oldest_idle_us()?;
        for lane in &mut self.lanes {
            if let Some(at) = lane.idle.iter().position(|s| s.last_used_us == oldest) {
                return lane.idle.remove(at);
            }
        }
        None
    }

    /// Empties all queues; the waiters are to be told `error` and woken by the caller.
    pub fn refuse_all(&mut self, error: &ClientError) -> Vec<Arc<Waiter>> {
        let mut refused = Vec::new();
        for lane in &mut self.lanes {
            for waiter in lane.waiters.drain(..) {
                let mut grant = waiter.grant();
                if matches!(*grant, Grant::Queued) {
                    *grant = Grant::Refused(error.clone());
                }
                drop(grant);
                refused.push(waiter);
            }
        }
        self.waiting = 0;
        self.preferred = None;
        for login in self.welcome_waiters.drain(..) {
            let _ = login.send(Err(error.clone()));
        }
        refused
    }
}
