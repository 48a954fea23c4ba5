//! What SHOW DATABASES, POOLS, LISTS and STATS_TOTALS say, as rows: one reading for the console and
//! for `/metrics`, so that the two agree.
//!
//! Owns nothing, copies slots, counters and settings. Takes each lock once and shortly, and never
//! visits a lane. A row may be a moment older than the next one. Mirrors: surface 3.4.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::{Database, Directory, Pool, Shared};
use crate::config::{CONSOLE_DATABASE, Config, LoadBalance, PoolMode};
use crate::listen::view::HubFigures;
use crate::stats::clock::now_us;
use crate::stats::counters::{Count, Waits};
use crate::stats::{ClientSlot, ClientState, ServerSlot, ServerState, Totals};

/// A row of SHOW DATABASES.
#[derive(Clone, Debug, Default)]
pub struct DatabaseRow {
    pub name: Arc<str>,
    /// `None` for the Unix socket in unix_socket_dir.
    pub host: Option<String>,
    pub port: u16,
    /// Name on the server.
    pub database: String,
    pub force_user: Option<String>,
    pub pool_size: u64,
    pub min_pool_size: u64,
    pub reserve_pool_size: u64,
    pub server_lifetime: Duration,
    /// `None` when inherited.
    pub pool_mode: Option<PoolMode>,
    /// `None` unless host is a list.
    pub load_balance_hosts: Option<LoadBalance>,
    pub max_connections: u64,
    pub current_connections: u64,
    pub max_client_connections: u64,
    pub current_client_connections: u64,
    pub is_paused: bool,
    pub is_disabled: bool,
}

/// A row of SHOW POOLS; clients without a pool (logging in) are nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolRow {
    pub database: Arc<str>,
    pub user: Arc<str>,
    pub cl_active: u64,
    pub cl_waiting: u64,
    pub cl_active_cancel_req: u64,
    pub cl_waiting_cancel_req: u64,
    pub sv_active: u64,
    pub sv_active_cancel: u64,
    pub sv_being_canceled: u64,
    pub sv_idle: u64,
    pub sv_used: u64,
    pub sv_tested: u64,
    pub sv_login: u64,
    /// Age of the oldest waiting client in µs: columns maxwait and maxwait_us.
    pub max_wait_us: u64,
    pub mode: PoolMode,
}

/// How long the clients of a pool waited for their servers.
#[derive(Clone, Debug)]
pub struct WaitRow {
    pub database: Arc<str>,
    pub user: Arc<str>,
    /// By bucket, not cumulated.
    pub counts: Waits,
    pub sum_us: u64,
}

/// LISTEN of a pool's clients.
#[derive(Clone, Debug)]
pub struct ListenRow {
    pub database: Arc<str>,
    pub user: Arc<str>,
    pub figures: HubFigures,
}

/// SHOW LISTS. Nothing is kept for reuse, so the free lists are always empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    pub databases: u64,
    pub users: u64,
    pub peers: u64,
    pub pools: u64,
    pub used_clients: u64,
    pub login_clients: u64,
    pub used_servers: u64,
    pub dns_names: u64,
}

impl PoolRow {
    fn count_client(&mut self, state: ClientState) {
        match state {
            ClientState::Login => {}
            ClientState::Waiting => self.cl_waiting += 1,
            ClientState::WaitingCancel => self.cl_waiting_cancel_req += 1,
            // Each is carried by a server connection of its own.
            ClientState::ActiveCancel => {
                self.cl_active_cancel_req += 1;
                self.sv_active_cancel += 1;
            }
            ClientState::Idle | ClientState::Active | ClientState::IdleInTransaction => {
                self.cl_active += 1;
            }
        }
    }

    fn count_server(&mut self, state: ServerState) {
        match state {
            ServerState::Login => self.sv_login += 1,
            ServerState::Idle => self.sv_idle += 1,
            ServerState::Active => self.sv_active += 1,
            ServerState::Used => self.sv_used += 1,
            ServerState::Tested => self.sv_tested += 1,
            ServerState::BeingCanceled => self.sv_being_canceled += 1,
        }
    }
}

/// Rows of SHOW DATABASES by name, the console's own included.
pub fn databases(directory: &Directory) -> Vec<DatabaseRow> {
    let live = directory.shared.live_arc();
    let mut rows: Vec<_> = directory
        .databases()
        .iter()
        .map(|database| database_row(&directory.shared, &live.config, database))
        .collect();
    rows.push(console_row(&directory.shared, &live.config));
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

fn database_row(shared: &Shared, config: &Config, database: &Database) -> DatabaseRow {
    let entry = database.entry();
    let settings = &config.settings;
    let is_list = entry.host.as_ref().is_some_and(|host| host.contains(','));
    DatabaseRow {
        name: Arc::clone(&database.name),
        host: entry.host.clone(),
        port: entry.port,
        database: database.server_name(),
        force_user: entry.user.clone(),
        pool_size: entry.pool_size.unwrap_or(settings.default_pool_size).into(),
        min_pool_size: entry.min_pool_size.unwrap_or(settings.min_pool_size).into(),
        reserve_pool_size: entry
            .reserve_pool_size
            .unwrap_or(settings.reserve_pool_size)
            .into(),
        server_lifetime: entry.server_lifetime.unwrap_or(settings.server_lifetime),
        pool_mode: entry.pool_mode,
        load_balance_hosts: is_list.then_some(entry.load_balance_hosts),
        max_connections: config.max_db_connections(&entry).into(),
        current_connections: shared.caps.of_database(&database.name) as u64,
        max_client_connections: config.max_db_client_connections(&entry).into(),
        current_client_connections: shared.client_caps.of_database(&database.name) as u64,
        is_paused: database.paused.load(Relaxed),
        is_disabled: database.disabled.load(Relaxed),
    }
}

/// COMPAT: the console shows itself as a database with a pool of two.
fn console_row(shared: &Shared, config: &Config) -> DatabaseRow {
    DatabaseRow {
        name: CONSOLE_DATABASE.into(),
        port: config.settings.listen_port,
        database: CONSOLE_DATABASE.to_owned(),
        force_user: Some(CONSOLE_DATABASE.to_owned()),
        pool_size: 2,
        server_lifetime: config.settings.server_lifetime,
        pool_mode: Some(PoolMode::Statement),
        current_client_connections: shared.client_caps.of_database(CONSOLE_DATABASE) as u64,
        ..DatabaseRow::default()
    }
}

/// Rows of SHOW POOLS by database and user. COMPAT: the console's pool is always there.
pub fn pools(shared: &Shared) -> Vec<PoolRow> {
    let pools = shared.pools();
    let mut rows: BTreeMap<_, _> = pools
        .iter()
        .map(|pool| (key(pool), pool_row(pool)))
        .collect();
    let console: Arc<str> = CONSOLE_DATABASE.into();
    rows.insert(
        (Arc::clone(&console), Arc::clone(&console)),
        PoolRow {
            database: Arc::clone(&console),
            user: Arc::clone(&console),
            mode: PoolMode::Statement,
            ..PoolRow::default()
        },
    );
    let mut forced: HashMap<_, _> = pools
        .iter()
        .map(|pool| {
            (
                Arc::clone(&pool.database.name),
                pool.database.entry().user.clone(),
            )
        })
        .collect();
    forced.insert(console, Some(CONSOLE_DATABASE.to_owned()));
    shared
        .registry
        .each_client(|client| count_client(&mut rows, &forced, client));
    for server in shared.registry.servers() {
        count_server(&mut rows, &server);
    }
    rows.into_values().collect()
}

type Rows = BTreeMap<(Arc<str>, Arc<str>), PoolRow>;

fn key(pool: &Pool) -> (Arc<str>, Arc<str>) {
    (Arc::clone(&pool.database.name), Arc::clone(&pool.user))
}

fn pool_row(pool: &Pool) -> PoolRow {
    let figures = pool.figures();
    let (database, user) = key(pool);
    let max_wait_us = match figures.oldest_wait_us {
        0 => 0,
        since => now_us().saturating_sub(since),
    };
    PoolRow {
        database,
        user,
        sv_login: figures.login.into(),
        max_wait_us,
        mode: pool.mode(),
        ..PoolRow::default()
    }
}

fn count_client(rows: &mut Rows, forced: &HashMap<Arc<str>, Option<String>>, client: &ClientSlot) {
    let Some(identity) = client.identity() else {
        return;
    };
    let user = match forced.get(&identity.database) {
        Some(Some(user)) => Arc::from(user.as_str()),
        _ => Arc::clone(&identity.user),
    };
    if let Some(row) = rows.get_mut(&(Arc::clone(&identity.database), user)) {
        row.count_client(client.state());
        if client.state() == ClientState::Waiting && client.waiting_since_us() > 0 {
            let waited = now_us().saturating_sub(client.waiting_since_us());
            row.max_wait_us = row.max_wait_us.max(waited);
        }
    }
}

/// A slot in the state of login belongs to the login that the pool's figures have counted.
fn count_server(rows: &mut Rows, server: &ServerSlot) {
    let key = (Arc::clone(&server.database), Arc::clone(&server.user));
    if let Some(row) = rows.get_mut(&key) {
        match server.state() {
            ServerState::Login if row.sv_login > 0 => {}
            state => row.count_server(state),
        }
    }
}

/// SHOW STATS_TOTALS: sums per database that has a pool, by name; the console's has one.
pub fn totals(shared: &Shared) -> Vec<(Arc<str>, Totals)> {
    let mut sums: BTreeMap<Arc<str>, Totals> = BTreeMap::new();
    sums.insert(CONSOLE_DATABASE.into(), shared.console_counters.totals());
    for pool in shared.pools() {
        let sum = sums.entry(Arc::clone(&pool.database.name)).or_default();
        sum.add(&pool.counters.totals());
    }
    sums.into_iter().collect()
}

/// Waiting times by database and user.
pub fn waits(shared: &Shared) -> Vec<WaitRow> {
    let row = |pool: &Arc<Pool>| WaitRow {
        database: Arc::clone(&pool.database.name),
        user: Arc::clone(&pool.user),
        counts: pool.counters.waits(),
        sum_us: pool.counters.totals().get(Count::WaitTime),
    };
    shared.pools().iter().map(row).collect()
}

/// Pools whose clients have listened.
pub fn listening(shared: &Shared) -> Vec<ListenRow> {
    let row = |pool: &Arc<Pool>| {
        let figures = pool.hubs().into_iter().map(|hub| hub.figures());
        let figures = figures.reduce(|mut sum, more| {
            sum += more;
            sum
        })?;
        Some(ListenRow {
            database: Arc::clone(&pool.database.name),
            user: Arc::clone(&pool.user),
            figures,
        })
    };
    shared.pools().iter().filter_map(row).collect()
}

/// SHOW LISTS. COMPAT: the console's database and pool count.
pub fn lists(directory: &Directory) -> Lists {
    let shared = &directory.shared;
    let live = shared.live_arc();
    let (mut login_clients, mut used_clients) = (0, 0);
    shared.registry.each_client(|client| {
        used_clients += 1;
        login_clients += u64::from(client.state() == ClientState::Login);
    });
    Lists {
        databases: directory.databases().len() as u64 + 1,
        users: known_users(directory).len() as u64,
        peers: live.config.peers.len() as u64,
        pools: shared.pools().len() as u64 + 1,
        used_clients,
        login_clients,
        used_servers: shared
            .pools()
            .iter()
            .map(|pool| pool.figures().servers as u64)
            .sum(),
        dns_names: shared.resolver.rows().len() as u64,
    }
}

/// Every user that SHOW USERS lists: auth_file, `[users]`, forced users, auth_user, the console's.
pub fn known_users(directory: &Directory) -> BTreeSet<String> {
    let live = directory.shared.live_arc();
    let mut users: BTreeSet<String> = live.userlist.entries.keys().cloned().collect();
    users.extend(live.config.users.keys().cloned());
    users.extend(live.config.settings.auth_user.clone());
    users.extend(
        directory
            .databases()
            .iter()
            .filter_map(|database| database.entry().user.clone()),
    );
    users.extend(
        directory
            .shared
            .pools()
            .iter()
            .map(|pool| pool.user.to_string()),
    );
    users.insert(CONSOLE_DATABASE.to_owned());
    users
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_and_server_states_land_in_their_columns() {
        let mut row = PoolRow::default();
        for state in [
            ClientState::Login,
            ClientState::Idle,
            ClientState::Active,
            ClientState::IdleInTransaction,
            ClientState::Waiting,
            ClientState::ActiveCancel,
            ClientState::WaitingCancel,
        ] {
            row.count_client(state);
        }
        for state in [
            ServerState::Login,
            ServerState::Idle,
            ServerState::Active,
            ServerState::Used,
            ServerState::Tested,
            ServerState::BeingCanceled,
        ] {
            row.count_server(state);
        }
        let expected = PoolRow {
            cl_active: 3,
            cl_waiting: 1,
            cl_active_cancel_req: 1,
            cl_waiting_cancel_req: 1,
            sv_active: 1,
            // The connection that carries the request of the client in cl_active_cancel_req.
            sv_active_cancel: 1,
            sv_being_canceled: 1,
            sv_idle: 1,
            sv_used: 1,
            sv_tested: 1,
            sv_login: 1,
            ..PoolRow::default()
        };
        assert_eq!(row, expected);
    }
}
