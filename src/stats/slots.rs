//! One slot per connection: what SHOW CLIENTS and SHOW SERVERS print, and how a client is called.
//!
//! A slot is written by the one task that owns the connection and read by anybody. It also carries
//! the order to close (KILL_CLIENT, shutdown) and the deadline that the janitor compares, so that
//! neither needs a channel to the client.

use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Waker;

use dashmap::DashMap;

use super::pins::{PinSlot, Pins};
use super::{Activity, ClientState, ServerState, clock};
use crate::error::ClientError;
use crate::net::Endpoint;

/// No deadline.
pub const NEVER: u64 = u64::MAX;

/// What is known of a client after its startup packet.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Database as the client named it.
    pub database: Arc<str>,
    /// Login user.
    pub user: Arc<str>,
    /// `TLSv1.3/SUITE`, or `None` on a plain connection.
    pub tls: Option<Box<str>>,
}

/// A client connection.
#[derive(Debug)]
pub struct ClientSlot {
    /// Column `id`; one sequence for clients and servers.
    pub id: u64,
    /// The client's address.
    pub remote: Endpoint,
    /// Our end of the connection.
    pub local: Endpoint,
    /// Monotonic time of accept in µs.
    pub connected_us: u64,
    /// Its statement and transaction.
    pub activity: Activity,
    /// Why it keeps its server.
    pub pin: PinSlot,
    identity: OnceLock<Identity>,
    lane: AtomicUsize,
    state: AtomicU8,
    request_us: AtomicU64,
    wait_us: AtomicU64,
    deadline_us: AtomicU64,
    server: AtomicU64,
    prepared: AtomicU32,
    application_name: Mutex<Option<Arc<str>>>,
    has_order: AtomicBool,
    has_cancel: AtomicBool,
    caller: Mutex<Caller>,
}

/// How to reach the client's task, and what to tell it.
#[derive(Debug, Default)]
struct Caller {
    waker: Option<Waker>,
    order: Option<ClientError>,
}

impl ClientSlot {
    /// The order and waker; a panic elsewhere cannot leave them half written.
    fn caller(&self) -> std::sync::MutexGuard<'_, Caller> {
        self.caller.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `C-0x...: db/user@host:port `, in front of the client's log lines (surface 2.4).
    pub fn log_prefix(&self) -> String {
        match self.identity() {
            Some(who) => format!(
                "C-{:p}: {}/{}@{} ",
                self, who.database, who.user, self.remote
            ),
            None => format!("C-{:p}: (nodb)/(nouser)@{} ", self, self.remote),
        }
    }

    /// The same for a client that has not proved who it is.
    pub fn log_prefix_as(&self, database: &str, user: &str) -> String {
        format!("C-{:p}: {database}/{user}@{} ", self, self.remote)
    }

    /// Names the client, once, when its login has succeeded.
    pub fn identify(&self, identity: Identity) {
        let _ = self.identity.set(identity);
    }
    /// Who it is; `None` during login.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.get()
    }
    /// The lane that runs the client.
    pub fn lane(&self) -> usize {
        self.lane.load(Relaxed)
    }
    /// The client moved to another lane.
    pub fn set_lane(&self, lane: usize) {
        self.lane.store(lane, Relaxed);
    }
    /// Current state.
    pub fn state(&self) -> ClientState {
        ClientState::from_u8(self.state.load(Relaxed))
    }
    /// HOT. State changes of the owning task.
    #[inline]
    pub fn set_state(&self, state: ClientState) {
        self.state.store(state as u8, Relaxed);
    }
    /// Monotonic µs of the last request.
    pub fn request_us(&self) -> u64 {
        self.request_us.load(Relaxed)
    }
    /// HOT. A request began.
    #[inline]
    pub fn set_request_us(&self, at: u64) {
        self.request_us.store(at, Relaxed);
    }
    /// Monotonic µs since when the client waits for a server; 0 when it does not.
    pub fn waiting_since_us(&self) -> u64 {
        self.wait_us.load(Relaxed)
    }
    /// The client queued (or, with 0, left the queue).
    #[inline]
    pub fn set_waiting_since_us(&self, at: u64) {
        self.wait_us.store(at, Relaxed);
    }
    /// When the janitor shall wake the client, monotonic µs.
    pub fn deadline_us(&self) -> u64 {
        self.deadline_us.load(Relaxed)
    }
    /// HOT. Sets the deadline; `NEVER` for none.
    #[inline]
    pub fn set_deadline_us(&self, at: u64) {
        self.deadline_us.store(at, Relaxed);
    }
    /// Id of the linked server, 0 for none.
    pub fn server_id(&self) -> u64 {
        self.server.load(Acquire)
    }
    /// HOT. Linked to a server (or, with 0, no longer).
    #[inline]
    pub fn set_server_id(&self, id: u64) {
        self.server.store(id, Release);
    }
    /// Why it keeps its server from now (monotonic µs) on, or that it does not. Gives the reasons
    /// that are new, to be counted as `Event::Pin`.
    pub fn set_pins(&self, reasons: Pins, now: u64) -> Pins {
        self.pin.set(reasons, now)
    }
    /// Named prepared statements the client holds.
    pub fn prepared(&self) -> u32 {
        self.prepared.load(Relaxed)
    }
    /// Sets the number of named prepared statements.
    pub fn set_prepared(&self, count: usize) {
        self.prepared
            .store(u32::try_from(count).unwrap_or(u32::MAX), Relaxed);
    }
    /// Current application_name.
    pub fn application_name(&self) -> Option<Arc<str>> {
        self.application_name
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
    /// The application_name changed.
    pub fn set_application_name(&self, name: Option<Arc<str>>) {
        *self
            .application_name
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = name;
    }

    /// Registers the task to wake; once per task, not per poll (a task's waker does not change).
    pub fn set_waker(&self, waker: &Waker) {
        self.caller().waker = Some(waker.clone());
    }
    /// Wakes the task.
    pub fn wake(&self) {
        let waker = self.caller().waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
    /// Passes a cancel request on to a client without a server: a console command that waits.
    pub fn ask_cancel(&self) {
        self.has_cancel.store(true, Release);
        self.wake();
    }
    /// Whether there has been a cancel request since the last call.
    pub fn take_cancel(&self) -> bool {
        self.has_cancel.swap(false, Acquire)
    }
    /// Orders the client to send `error` and close. The first order stands.
    pub fn order_close(&self, error: ClientError) {
        self.caller().order.get_or_insert(error);
        self.has_order.store(true, Release);
        self.wake();
    }
    /// HOT. Whether an order waits.
    #[inline]
    pub fn has_order(&self) -> bool {
        self.has_order.load(Acquire)
    }
    /// HOT. The order, if there is one.
    #[inline]
    pub fn order(&self) -> Option<ClientError> {
        if self.has_order() {
            self.read_order()
        } else {
            None
        }
    }

    #[cold]
    fn read_order(&self) -> Option<ClientError> {
        self.caller().order.clone()
    }
}

/// A server connection.
#[derive(Debug)]
pub struct ServerSlot {
    /// Column `id`.
    pub id: u64,
    /// Database name of the pool.
    pub database: Arc<str>,
    /// Pool user.
    pub user: Arc<str>,
    /// PostgreSQL's address.
    pub remote: Endpoint,
    /// Our end.
    pub local: Endpoint,
    /// Monotonic time of connect in µs.
    pub connected_us: u64,
    /// Process id of the backend.
    pub backend_pid: i32,
    /// Secret for cancel requests.
    pub cancel_key: Box<[u8]>,
    /// `TLSv1.3/SUITE`, if any.
    pub tls: Option<Box<str>>,
    state: AtomicU8,
    request_us: AtomicU64,
    blocked_us: AtomicU64,
    client: AtomicU64,
    prepared: AtomicU32,
    close_needed: AtomicBool,
    cancels: AtomicU32,
}

/// What a new server slot is made of.
#[derive(Debug)]
pub struct NewServer {
    pub database: Arc<str>,
    pub user: Arc<str>,
    pub remote: Endpoint,
    pub local: Endpoint,
    pub backend_pid: i32,
    pub cancel_key: Box<[u8]>,
    pub tls: Option<Box<str>>,
}

impl ServerSlot {
    /// `S-0x...: db/user@host:port `, in front of the connection's log lines (surface 2.4).
    pub fn log_prefix(&self) -> String {
        format!(
            "S-{:p}: {}/{}@{} ",
            self, self.database, self.user, self.remote
        )
    }
    /// Current state.
    pub fn state(&self) -> ServerState {
        ServerState::from_u8(self.state.load(Relaxed))
    }
    /// HOT.
    #[inline]
    pub fn set_state(&self, state: ServerState) {
        self.state.store(state as u8, Relaxed);
    }
    /// Monotonic µs of the last link or release.
    pub fn request_us(&self) -> u64 {
        self.request_us.load(Relaxed)
    }
    /// HOT.
    #[inline]
    pub fn set_request_us(&self, at: u64) {
        self.request_us.store(at, Relaxed);
    }
    /// The sidecar saw the backend wait for a lock for so long, µs, in its running statement.
    pub fn saw_blocked_us(&self, us: u64) {
        self.blocked_us.fetch_max(us, Relaxed);
    }
    /// HOT. How long the statement that just ended was seen waiting for a lock, µs.
    #[inline]
    pub fn take_blocked_us(&self) -> u64 {
        match self.blocked_us.load(Relaxed) {
            0 => 0,
            _ => self.blocked_us.swap(0, Relaxed),
        }
    }
    /// Id of the linked client, 0 for none.
    pub fn client_id(&self) -> u64 {
        self.client.load(Acquire)
    }
    /// HOT.
    #[inline]
    pub fn set_client_id(&self, id: u64) {
        self.client.store(id, Release);
    }
    /// Prepared statements it holds.
    pub fn prepared(&self) -> u32 {
        self.prepared.load(Relaxed)
    }
    /// Sets the number of prepared statements.
    pub fn set_prepared(&self, count: usize) {
        self.prepared
            .store(u32::try_from(count).unwrap_or(u32::MAX), Relaxed);
    }
    /// Tagged to be closed at release (RECONNECT, changed connect string).
    pub fn close_needed(&self) -> bool {
        self.close_needed.load(Acquire)
    }
    /// Tags it.
    pub fn set_close_needed(&self) {
        self.close_needed.store(true, Release);
    }
    /// Cancel requests aimed at it that are not finished.
    #[inline]
    pub fn cancels(&self) -> u32 {
        self.cancels.load(Acquire)
    }
    /// A cancel request begins.
    pub fn begin_cancel(&self) {
        self.cancels.fetch_add(1, Release);
    }
    /// A cancel request ended; true when it was the last.
    pub fn end_cancel(&self) -> bool {
        self.cancels.fetch_sub(1, Release) == 1
    }
}

/// All connections by id.
#[derive(Debug, Default)]
pub struct Registry {
    last_id: AtomicU64,
    clients: DashMap<u64, Arc<ClientSlot>>,
    servers: DashMap<u64, Arc<ServerSlot>>,
}

impl Registry {
    fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Relaxed) + 1
    }

    /// Registers an accepted client; remove it with `forget_client`.
    pub fn add_client(&self, remote: Endpoint, local: Endpoint, lane: usize) -> Arc<ClientSlot> {
        let now = clock::now_us();
        let slot = Arc::new(ClientSlot {
            id: self.next_id(),
            remote,
            local,
            connected_us: now,
            activity: Activity::default(),
            pin: PinSlot::default(),
            identity: OnceLock::new(),
            lane: AtomicUsize::new(lane),
            state: AtomicU8::new(ClientState::Login as u8),
            request_us: AtomicU64::new(now),
            wait_us: AtomicU64::new(0),
            deadline_us: AtomicU64::new(NEVER),
            server: AtomicU64::new(0),
            prepared: AtomicU32::new(0),
            application_name: Mutex::new(None),
            has_order: AtomicBool::new(false),
            has_cancel: AtomicBool::new(false),
            caller: Mutex::new(Caller::default()),
        });
        self.clients.insert(slot.id, Arc::clone(&slot));
        slot
    }

    /// Registers a server that has logged in.
    pub fn add_server(&self, new: NewServer) -> Arc<ServerSlot> {
        let now = clock::now_us();
        let slot = Arc::new(ServerSlot {
            id: self.next_id(),
            database: new.database,
            user: new.user,
            remote: new.remote,
            local: new.local,
            connected_us: now,
            backend_pid: new.backend_pid,
            cancel_key: new.cancel_key,
            tls: new.tls,
            state: AtomicU8::new(ServerState::Login as u8),
            request_us: AtomicU64::new(now),
            blocked_us: AtomicU64::new(0),
            client: AtomicU64::new(0),
            prepared: AtomicU32::new(0),
            close_needed: AtomicBool::new(false),
            cancels: AtomicU32::new(0),
        });
        self.servers.insert(slot.id, Arc::clone(&slot));
        slot
    }

    /// The client is gone.
    pub fn forget_client(&self, id: u64) {
        self.clients.remove(&id);
    }
    /// The server is gone.
    pub fn forget_server(&self, id: u64) {
        self.servers.remove(&id);
    }
    /// A client by id.
    pub fn client(&self, id: u64) -> Option<Arc<ClientSlot>> {
        self.clients.get(&id).map(|slot| Arc::clone(&slot))
    }
    /// A server by id.
    pub fn server(&self, id: u64) -> Option<Arc<ServerSlot>> {
        self.servers.get(&id).map(|slot| Arc::clone(&slot))
    }
    /// All clients, by id.
    pub fn clients(&self) -> Vec<Arc<ClientSlot>> {
        let mut all: Vec<_> = self.clients.iter().map(|slot| Arc::clone(&slot)).collect();
        all.sort_by_key(|slot| slot.id);
        all
    }
    /// All servers, by id.
    pub fn servers(&self) -> Vec<Arc<ServerSlot>> {
        let mut all: Vec<_> = self.servers.iter().map(|slot| Arc::clone(&slot)).collect();
        all.sort_by_key(|slot| slot.id);
        all
    }
    /// How many clients there are.
    pub fn client_count(&self) -> usize {
        self.clients.len()
    }
    /// Calls `visit` for each client without collecting them.
    pub fn each_client(&self, mut visit: impl FnMut(&Arc<ClientSlot>)) {
        for slot in &self.clients {
            visit(slot.value());
        }
    }
    /// Calls `visit` for each server without collecting them.
    pub fn each_server(&self, mut visit: impl FnMut(&Arc<ServerSlot>)) {
        for slot in &self.servers {
            visit(slot.value());
        }
    }
}
