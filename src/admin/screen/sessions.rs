//! Clients that are not idle: what each is at and for how long.
//!
//! Owns nothing; reads slots. One pass over all clients per screen.

use std::sync::Arc;

use super::knots::Knot;
use crate::config::CONSOLE_DATABASE;
use crate::pool::Directory;
use crate::stats::clock::now_us;
use crate::stats::{ClientSlot, ClientState, Pins, ServerSlot};

/// What a client is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Its statement runs.
    Executing,
    /// Its statement waits for a lock.
    LockWait,
    /// It does not take its result as fast as it comes.
    Sending,
    /// It holds a server in a transaction and asks nothing.
    IdleInTransaction,
    /// It waits for a server.
    Queued,
    /// It keeps its server outside of a transaction, and asks nothing.
    Pinned,
}

impl State {
    /// As the column says it.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Executing => "executing",
            State::LockWait => "lock wait",
            State::Sending => "sending",
            State::IdleInTransaction => "idle in tx",
            State::Queued => "queued",
            State::Pinned => "pinned",
        }
    }
}

/// One client.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its slot.
    pub slot: Arc<ClientSlot>,
    /// The server it holds.
    pub server: Option<Arc<ServerSlot>>,
    /// Database and user as it logged in.
    pub database: Arc<str>,
    /// Login user.
    pub user: Arc<str>,
    /// User of its pool.
    pub pool_user: Arc<str>,
    /// What it is at.
    pub state: State,
    /// For how long, µs.
    pub state_us: u64,
    /// Age of its transaction, µs.
    pub xact_us: Option<u64>,
    /// Why it keeps its server between transactions.
    pub pins: Pins,
    /// For how long it has, µs.
    pub pinned_us: u64,
    /// Its application_name.
    pub app: Arc<str>,
}

impl Session {
    /// Process id of its backend.
    pub fn pid(&self) -> Option<i32> {
        self.server.as_ref().map(|server| server.backend_pid)
    }

    /// Where it comes from, without the port.
    pub fn client(&self) -> String {
        self.slot.remote.host()
    }

    /// Fingerprint that stands for it: of an idle one the last that wrote, since that one holds the
    /// locks, of a queued one what it asks for; 0 when nothing is known.
    pub fn fingerprint(&self) -> u64 {
        let activity = &self.slot.activity;
        match (self.state, activity.writer(), activity.queued()) {
            (State::IdleInTransaction, writer, _) if writer != 0 => writer,
            (State::Queued, _, queued) if queued != 0 => queued,
            _ => activity.statement(),
        }
    }

    /// Whether that is over: what it did last, not what it does or asks for.
    pub fn is_past(&self) -> bool {
        match self.state {
            State::IdleInTransaction | State::Pinned => true,
            State::Queued => self.slot.activity.queued() == 0,
            State::Executing | State::LockWait | State::Sending => false,
        }
    }

    /// It waits for a lock, as far as is known.
    pub fn tie(&mut self, knot: Option<&Knot>) {
        let waits_us = knot.and_then(|knot| knot.waits_us);
        if let (State::Executing, Some(waits_us)) = (self.state, waits_us) {
            self.state = State::LockWait;
            self.state_us = waits_us;
        }
    }

    /// Key of its pool.
    pub fn pool(&self) -> (&str, &str) {
        (&self.database, &self.pool_user)
    }
}

/// Everybody who is not idle, the console's own sessions apart.
pub fn sessions(directory: &Directory) -> Vec<Session> {
    let now = now_us();
    let clients = directory.shared.registry.clients();
    let all = clients.into_iter();
    all.filter_map(|slot| session(directory, slot, now))
        .collect()
}

fn session(directory: &Directory, slot: Arc<ClientSlot>, now: u64) -> Option<Session> {
    let activity = &slot.activity;
    let pins = slot.pin.reasons();
    let since = |at: u64| match at {
        0 => slot.request_us(),
        at => at,
    };
    let (state, begun) = match slot.state() {
        ClientState::Waiting => (State::Queued, since(slot.waiting_since_us())),
        ClientState::IdleInTransaction => (State::IdleInTransaction, since(activity.thinking_us())),
        ClientState::Active => match activity.stalled_us() {
            0 => (State::Executing, slot.request_us()),
            at => (State::Sending, at),
        },
        ClientState::Idle if !pins.is_empty() => (State::Pinned, slot.request_us()),
        ClientState::Login
        | ClientState::Idle
        | ClientState::WaitingCancel
        | ClientState::ActiveCancel => return None,
    };
    let who = slot.identity()?;
    if &*who.database == CONSOLE_DATABASE {
        return None;
    }
    let (database, user) = (Arc::clone(&who.database), Arc::clone(&who.user));
    let known = directory.known(&database);
    let pool_user = known.map_or_else(|| Arc::clone(&user), |known| known.pool_user(&user));
    let age = |at: u64| now.saturating_sub(at);
    let xact_us = match activity.transaction_us() {
        0 => None,
        at => Some(age(at)),
    };
    Some(Session {
        server: directory.shared.registry.server(slot.server_id()),
        database,
        user,
        pool_user,
        state,
        state_us: age(begun),
        xact_us,
        pins,
        pinned_us: match slot.pin.since_us() {
            0 => 0,
            at => age(at),
        },
        app: slot.application_name().unwrap_or_default(),
        slot,
    })
}
