//! Where a pool's servers are, and as whom to log in.
//!
//! Mirrors: `host` (lists and `load_balance_hosts`), `port`, `dbname`, `user`, `password`, the
//! startup parameters of a database entry, and the order of secrets towards the server (surface 6.8).

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::{Live, Pool};
use crate::auth::SecretKind;
use crate::config::{DatabaseConfig, LoadBalance, Secret};
use crate::net::Endpoint;
use crate::net::dns::DnsTimes;
use crate::server::{Address, Dialing, Host, ServerSecret, Target};
use crate::session::settings::Settings;
use crate::session::state::SessionState;
use crate::sql::{self, Rules};
use crate::stats::ServerSlot;

/// Whether servers connected by the old line are of no use under the new one (surface 1.2).
pub(super) fn changes_target(old: &DatabaseConfig, new: &DatabaseConfig) -> bool {
    old.dbname != new.dbname
        || old.host != new.host
        || old.port != new.port
        || old.user != new.user
        || old.connect_query != new.connect_query
        || old.load_balance_hosts != new.load_balance_hosts
}

/// The target of the pool's next connection.
pub(super) fn target_of(pool: &Pool) -> Target {
    let entry = pool.database.entry();
    let live = pool.shared.live();
    let startup = [
        ("client_encoding", &entry.client_encoding),
        ("datestyle", &entry.datestyle),
        ("timezone", &entry.timezone),
        ("application_name", &entry.application_name),
    ];
    let startup = startup.into_iter().filter_map(|(name, value)| {
        let value = value.clone()?;
        Some((name.to_owned(), value))
    });
    Target {
        host: Host::parse(&next_host(pool, &entry, &live), entry.port),
        database: entry.server_database(&pool.database.name).to_owned(),
        user: pool.user.to_string(),
        secret: secret_of(pool, &entry, &live),
        startup: startup.collect(),
        dialing: Dialing {
            tls: live.server_tls.clone(),
            options: live.socket_options,
            dns: DnsTimes::from(&live.config.settings),
            resolver: pool.shared.resolver.clone(),
            keys: pool.shared.key_cache.clone(),
        },
    }
}

/// One element of the host list: each in turn, or the same until a connect to it fails.
fn next_host(pool: &Pool, entry: &DatabaseConfig, live: &Live) -> String {
    let mut hosts = entry.hosts(&live.config);
    if hosts.is_empty() {
        return String::new();
    }
    let turn = match entry.load_balance_hosts {
        LoadBalance::RoundRobin => pool.host_turn.fetch_add(1, Relaxed),
        LoadBalance::Disable => pool.host_turn.load(Relaxed),
    };
    let index = turn % hosts.len();
    hosts.swap_remove(index)
}

/// The entry's own password, else what auth_file has for the user, with the keys that a client's
/// SCRAM login of the same user left.
fn secret_of(pool: &Pool, entry: &DatabaseConfig, live: &Live) -> ServerSecret {
    let is_forced = entry.user.is_some();
    if is_forced && !entry.password.is_empty() {
        return ServerSecret::from_stored(&SecretKind::parse(entry.password.reveal()), None);
    }
    let stored = match live.userlist.get(&pool.user) {
        Some(Secret::Plain(text) | Secret::Md5(text) | Secret::Scram(text)) => {
            SecretKind::parse(text)
        }
        Some(Secret::Empty) | None => SecretKind::Empty,
    };
    let captured = pool.shared.scram_keys.get(&pool.user);
    ServerSecret::from_stored(&stored, captured.map(|keys| keys.clone()))
}

impl Pool {
    /// The settings that `connect_query` gives each server: every client starts with them.
    pub fn base_settings(&self) -> Arc<Settings> {
        let store = &self.shared.settings;
        let entry = self.database.entry();
        let query = entry.connect_query.as_bytes();
        if query.is_empty() {
            return store.empty();
        }
        let rules = Rules::default();
        let mut session = SessionState::with_startup(store.empty());
        sql::each_statement(query, rules, |statement| {
            for effect in sql::effects(query, statement, rules) {
                session.apply(&effect, store, &self.shared.tracked);
            }
        });
        session.committed();
        Arc::clone(session.settings())
    }

    /// Where a cancel request for one of this pool's servers goes: its very address.
    pub fn cancel_address(&self, server: &ServerSlot) -> Option<Address> {
        if let Endpoint::Tcp(address) = server.remote {
            return Some(Address::Tcp(address));
        }
        let entry = self.database.entry();
        let hosts = entry.hosts(&self.shared.live().config);
        hosts
            .iter()
            .find_map(|host| match Host::parse(host, entry.port) {
                Host::Unix { path } => Some(Address::Unix(path)),
                Host::Tcp { .. } => None,
            })
    }
}
