//! SHOW CLIENTS, SERVERS, SOCKETS, ACTIVE_SOCKETS: one row per connection, from its slot.

use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Cell, Column, head};
use crate::net::Endpoint;
use crate::pool::Shared;
use crate::stats::clock::{now_us, to_wall};
use crate::stats::{ClientSlot, ClientState, ServerSlot, ServerState};

pub const SOCKETS: &[Column] = head![
    type T, user T, database T, replication T, state T, addr T, port I, local_addr T, local_port I,
    connect_time T, request_time T, wait I, wait_us I, close_needed I, ptr T, link T, remote_pid I,
    tls T, application_name T, prepared_statements I, id I,
];
pub const SOCKETS_IN_DETAIL: &[Column] = head![
    type T, user T, database T, replication T, state T, addr T, port I, local_addr T, local_port I,
    connect_time T, request_time T, wait I, wait_us I, close_needed I, ptr T, link T, remote_pid I,
    tls T, application_name T, prepared_statements I, id I,
    recv_pos I, pkt_pos I, pkt_remain I, send_pos I, send_remain I, pkt_avail I, send_avail I,
];

/// Columns that only SOCKETS has. Buffers belong to the lanes and are not looked into.
const DETAILS: usize = SOCKETS_IN_DETAIL.len() - SOCKETS.len();
const MICROS: u64 = 1_000_000;

/// Clients that are logged in, by database and user.
pub fn clients(shared: &Shared) -> Vec<Vec<Cell>> {
    let state = |slot: &ClientSlot| match slot.state() {
        ClientState::Login => None,
        ClientState::Idle | ClientState::Active | ClientState::IdleInTransaction => {
            Some(linked_or_idle(slot))
        }
        ClientState::Waiting => Some("waiting"),
        ClientState::ActiveCancel => Some("active_cancel_req"),
        ClientState::WaitingCancel => Some("waiting_cancel_req"),
    };
    let mut slots = shared.registry.clients();
    slots.sort_by_key(|slot| name_of(slot));
    let rows = slots.iter();
    rows.filter_map(|slot| Some(client(shared, slot, state(slot)?)))
        .collect()
}

/// COMPAT: a client without a server is idle, whatever it does; so is one on the console. A client
/// that keeps its server outside of a transaction is something PgBouncer does not know.
fn linked_or_idle(slot: &ClientSlot) -> &'static str {
    if slot.server_id() == 0 {
        "idle"
    } else if slot.state() == ClientState::Idle && !slot.pin.reasons().is_empty() {
        "pinned"
    } else {
        "active"
    }
}

/// Servers by database and user.
pub fn servers(shared: &Shared) -> Vec<Vec<Cell>> {
    let state = |slot: &ServerSlot| match slot.state() {
        ServerState::Login => "new",
        ServerState::Idle => "idle",
        ServerState::Active => "active",
        ServerState::Used => "used",
        ServerState::Tested => "tested",
        ServerState::BeingCanceled => "being_canceled",
    };
    let slots = sorted_servers(shared);
    slots
        .iter()
        .map(|slot| server(shared, slot, state(slot)))
        .collect()
}

/// Everybody, clients that are logging in included.
pub fn sockets(shared: &Shared) -> Vec<Vec<Cell>> {
    detailed(shared, |_| true, |_| true)
}

/// COMPAT: those that have bytes in a buffer; with us, those in the middle of something.
pub fn active_sockets(shared: &Shared) -> Vec<Vec<Cell>> {
    detailed(
        shared,
        |client| client.state() != ClientState::Idle || client.server_id() != 0,
        |server| matches!(server.state(), ServerState::Active | ServerState::Tested),
    )
}

fn detailed(
    shared: &Shared,
    has_client: impl Fn(&ClientSlot) -> bool,
    has_server: impl Fn(&ServerSlot) -> bool,
) -> Vec<Vec<Cell>> {
    let mut clients = shared.registry.clients();
    clients.retain(|slot| has_client(slot));
    clients.sort_by_key(|slot| name_of(slot));
    let mut servers = sorted_servers(shared);
    servers.retain(|slot| has_server(slot));
    let clients = clients
        .iter()
        .map(|slot| client(shared, slot, client_state(slot)));
    let servers = servers
        .iter()
        .map(|slot| server(shared, slot, server_state(slot)));
    clients
        .chain(servers)
        .map(|mut row| {
            row.extend((0..DETAILS).map(|_| Cell::from(0)));
            row
        })
        .collect()
}

fn client_state(slot: &ClientSlot) -> &'static str {
    match slot.state() {
        ClientState::Login => "cl_login",
        ClientState::Waiting => "cl_waiting",
        _ => "cl_active",
    }
}

fn server_state(slot: &ServerSlot) -> &'static str {
    match slot.state() {
        ServerState::Login => "sv_login",
        ServerState::Idle => "sv_idle",
        ServerState::Used => "sv_used",
        ServerState::Tested => "sv_tested",
        ServerState::Active | ServerState::BeingCanceled => "sv_active",
    }
}

fn name_of(slot: &ClientSlot) -> Option<(Arc<str>, Arc<str>, u64)> {
    let who = slot.identity()?;
    Some((Arc::clone(&who.database), Arc::clone(&who.user), slot.id))
}

fn sorted_servers(shared: &Shared) -> Vec<Arc<ServerSlot>> {
    let mut slots = shared.registry.servers();
    slots.sort_by(|a, b| (&a.database, &a.user, a.id).cmp(&(&b.database, &b.user, b.id)));
    slots
}

/// The 21 columns.
struct Row<'a> {
    kind: &'static str,
    user: &'a str,
    database: &'a str,
    state: &'static str,
    remote: Endpoint,
    local: Endpoint,
    connected_us: u64,
    request_us: u64,
    waited_us: u64,
    is_close_needed: bool,
    pointer: String,
    link: String,
    pid: u64,
    tls: Option<&'a str>,
    application: Option<Arc<str>>,
    prepared: u32,
    id: u64,
}

impl Row<'_> {
    fn cells(self) -> Vec<Cell> {
        vec![
            self.kind.into(),
            self.user.into(),
            self.database.into(),
            "none".into(),
            self.state.into(),
            self.remote.host().into(),
            u64::from(self.remote.port()).into(),
            self.local.host().into(),
            u64::from(self.local.port()).into(),
            timestamp(to_wall(self.connected_us)).into(),
            timestamp(to_wall(self.request_us)).into(),
            (self.waited_us / MICROS).into(),
            (self.waited_us % MICROS).into(),
            self.is_close_needed.into(),
            self.pointer.into(),
            self.link.into(),
            self.pid.into(),
            self.tls.unwrap_or_default().into(),
            self.application.as_deref().unwrap_or_default().into(),
            u64::from(self.prepared).into(),
            self.id.into(),
        ]
    }
}

fn client(shared: &Shared, slot: &Arc<ClientSlot>, state: &'static str) -> Vec<Cell> {
    let who = slot.identity();
    let server = shared.registry.server(slot.server_id());
    Row {
        kind: "C",
        user: who.map_or("(nouser)", |who| &who.user),
        database: who.map_or("(nodb)", |who| &who.database),
        state,
        remote: slot.remote,
        local: slot.local,
        connected_us: slot.connected_us,
        request_us: slot.request_us(),
        waited_us: waited_us(slot),
        is_close_needed: false,
        pointer: format!("{:p}", Arc::as_ptr(slot)),
        link: server.map_or(String::new(), |server| {
            format!("{:p}", Arc::as_ptr(&server))
        }),
        pid: pid_of(&slot.remote),
        tls: who.and_then(|who| who.tls.as_deref()),
        application: slot.application_name(),
        prepared: slot.prepared(),
        id: slot.id,
    }
    .cells()
}

fn server(shared: &Shared, slot: &Arc<ServerSlot>, state: &'static str) -> Vec<Cell> {
    let client = shared.registry.client(slot.client_id());
    let application = client.as_ref().and_then(|client| client.application_name());
    Row {
        kind: "S",
        user: &slot.user,
        database: &slot.database,
        state,
        remote: slot.remote,
        local: slot.local,
        connected_us: slot.connected_us,
        request_us: slot.request_us(),
        waited_us: 0,
        is_close_needed: slot.close_needed(),
        pointer: format!("{:p}", Arc::as_ptr(slot)),
        link: client.map_or(String::new(), |client| {
            format!("{:p}", Arc::as_ptr(&client))
        }),
        pid: u64::try_from(slot.backend_pid).unwrap_or(0),
        tls: slot.tls.as_deref(),
        application,
        prepared: slot.prepared(),
        id: slot.id,
    }
    .cells()
}

/// How long the client has been waiting for a server, or its running query for an answer.
fn waited_us(slot: &ClientSlot) -> u64 {
    let since = match (slot.waiting_since_us(), slot.state()) {
        (0, ClientState::Active | ClientState::Waiting) => slot.request_us(),
        (0, _) => return 0,
        (since, _) => since,
    };
    now_us().saturating_sub(since)
}

/// Process of a client on a Unix socket.
fn pid_of(endpoint: &Endpoint) -> u64 {
    match endpoint {
        Endpoint::Unix { pid: Some(pid), .. } => u64::try_from(*pid).unwrap_or(0),
        _ => 0,
    }
}

/// `YYYY-MM-DD HH:MM:SS TZ` in local time.
fn timestamp(at: SystemTime) -> String {
    let at = Timestamp::try_from(at).unwrap_or_default();
    let local = at.to_zoned(TimeZone::system());
    local.strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}
