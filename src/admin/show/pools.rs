//! SHOW DATABASES, POOLS, PEERS, PEER_POOLS, USERS, LISTS.

use super::{Cell, Column, Kind, head};
use crate::config::{Config, PoolMode};
use crate::pool::{Directory, Shared, view};

pub const DATABASES: &[Column] = head![
    name T, host T, port I, database T, force_user T, pool_size I, min_pool_size I,
    reserve_pool_size I, server_lifetime I, pool_mode T, load_balance_hosts T, max_connections I,
    current_connections I, max_client_connections I, current_client_connections I, paused I,
    disabled I,
];
pub const POOLS: &[Column] = head![
    database T, user T, cl_active I, cl_waiting I, cl_active_cancel_req I, cl_waiting_cancel_req I,
    sv_active I, sv_active_cancel I, sv_being_canceled I, sv_idle I, sv_used I, sv_tested I,
    sv_login I, maxwait I, maxwait_us I, pool_mode T, load_balance_hosts T,
];
pub const PEERS: &[Column] = head![peer_id I, host T, port I, pool_size I];
pub const PEER_POOLS: &[Column] = head![
    peer_id I, cl_active_cancel_req I, cl_waiting_cancel_req I, sv_active_cancel I, sv_login I,
];
pub const USERS: &[Column] = head![
    name T, pool_size T, reserve_pool_size T, pool_mode T, max_user_connections I,
    current_connections I, max_user_client_connections I, current_client_connections I,
];
pub const LISTS: &[Column] = &[("list", Kind::T), ("items", Kind::I)];

const MICROS: u64 = 1_000_000;

fn mode(mode: Option<PoolMode>) -> Cell {
    mode.map(|mode| mode.as_str().to_owned()).into()
}

/// COMPAT: databases made from `*` are left out while nobody uses them.
pub fn databases(directory: &Directory) -> Vec<Vec<Cell>> {
    view::databases(directory)
        .into_iter()
        .filter(|row| {
            let known = directory.known(&row.name);
            known.is_none_or(|known| !known.is_auto() || directory.is_used(&known))
        })
        .map(database)
        .collect()
}

fn database(row: view::DatabaseRow) -> Vec<Cell> {
    let balance = row.load_balance_hosts.map(|how| how.as_str().to_owned());
    vec![
        (*row.name).into(),
        row.host.into(),
        u64::from(row.port).into(),
        row.database.into(),
        row.force_user.into(),
        row.pool_size.into(),
        row.min_pool_size.into(),
        row.reserve_pool_size.into(),
        row.server_lifetime.as_secs().into(),
        mode(row.pool_mode),
        balance.into(),
        row.max_connections.into(),
        row.current_connections.into(),
        row.max_client_connections.into(),
        row.current_client_connections.into(),
        row.is_paused.into(),
        row.is_disabled.into(),
    ]
}

pub fn pools(directory: &Directory) -> Vec<Vec<Cell>> {
    let rows = view::pools(&directory.shared).into_iter();
    rows.map(|row| pool(directory, row)).collect()
}

fn pool(directory: &Directory, row: view::PoolRow) -> Vec<Cell> {
    let known = directory.known(&row.database);
    let entry = known.as_ref().map(|known| known.entry());
    let list = entry.filter(|e| e.host.as_ref().is_some_and(|host| host.contains(',')));
    let balance = list.map(|entry| entry.load_balance_hosts.as_str().to_owned());
    vec![
        (*row.database).into(),
        (*row.user).into(),
        row.cl_active.into(),
        row.cl_waiting.into(),
        row.cl_active_cancel_req.into(),
        row.cl_waiting_cancel_req.into(),
        row.sv_active.into(),
        row.sv_active_cancel.into(),
        row.sv_being_canceled.into(),
        row.sv_idle.into(),
        row.sv_used.into(),
        row.sv_tested.into(),
        row.sv_login.into(),
        (row.max_wait_us / MICROS).into(),
        (row.max_wait_us % MICROS).into(),
        mode(Some(row.mode)),
        balance.into(),
    ]
}

pub fn peers(shared: &Shared) -> Vec<Vec<Cell>> {
    let live = shared.live_arc();
    let default_size = live.config.settings.default_pool_size;
    let peers = live.config.peers.iter();
    peers
        .map(|(id, peer)| {
            vec![
                u64::from(*id).into(),
                (*peer.host).into(),
                u64::from(peer.port).into(),
                u64::from(peer.pool_size.unwrap_or(default_size)).into(),
            ]
        })
        .collect()
}

pub fn users(directory: &Directory) -> Vec<Vec<Cell>> {
    let shared = &directory.shared;
    let live = shared.live_arc();
    view::known_users(directory)
        .into_iter()
        .map(|name| user(shared, &live.config, &name))
        .collect()
}

fn user(shared: &Shared, config: &Config, name: &str) -> Vec<Cell> {
    let entry = config.users.get(name);
    // COMPAT: text, nine wide, or empty where it is inherited.
    let size = |size: Option<u32>| size.map_or(String::new(), |size| format!("{size:>9}"));
    vec![
        name.into(),
        size(entry.and_then(|entry| entry.pool_size)).into(),
        size(entry.and_then(|entry| entry.reserve_pool_size)).into(),
        mode(entry.and_then(|entry| entry.pool_mode)),
        u64::from(config.max_user_connections(name)).into(),
        (shared.caps.of_user(name) as u64).into(),
        u64::from(config.max_user_client_connections(name)).into(),
        (shared.client_caps.of_user(name) as u64).into(),
    ]
}

pub fn lists(directory: &Directory) -> Vec<Vec<Cell>> {
    let lists = view::lists(directory);
    [
        ("databases", lists.databases),
        ("users", lists.users),
        ("peers", lists.peers),
        ("pools", lists.pools),
        ("peer_pools", 0),
        ("free_clients", 0),
        ("used_clients", lists.used_clients),
        ("login_clients", lists.login_clients),
        ("free_servers", 0),
        ("used_servers", lists.used_servers),
        ("dns_names", lists.dns_names),
        ("dns_zones", 0),
        ("dns_queries", 0),
        ("dns_pending", 0),
    ]
    .into_iter()
    .map(|(name, items)| vec![name.into(), items.into()])
    .collect()
}
