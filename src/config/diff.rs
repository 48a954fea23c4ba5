//! What a reload changes: for the log, and for the pools that must reconnect.
//!
//! Owns the comparison of two snapshots. Touches nothing.
//! Mirrors: PgBouncer tags a database's pools dirty when its dbname, host, port, user,
//! connect_query, auth_dbname, auth_query or load_balance_hosts changes, and nothing else; an
//! effective change of TLS to servers tags all pools.

use super::registry::Entry;
use super::{
    Config, DATABASE_KEYS, DatabaseConfig, OWN_SETTINGS, PEER_KEYS, SETTINGS, Settings, USER_KEYS,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Keys of a [databases] line whose change makes its servers reconnect.
const CONNECT_KEYS: &[&str] = &[
    "dbname",
    "host",
    "port",
    "user",
    "connect_query",
    "auth_dbname",
    "auth_query",
    "load_balance_hosts",
];

/// Settings whose change makes every server reconnect.
const SERVER_TLS_KEYS: &[&str] = &[
    "server_tls_sslmode",
    "server_tls_protocols",
    "server_tls_ciphers",
    "server_tls13_ciphers",
    "server_tls_ca_file",
    "server_tls_cert_file",
    "server_tls_key_file",
];

/// One value that is another now. Secrets are masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `pool_mode`, `pgweir.lanes`, `databases.NAME.pool_size`, `users.NAME.…`, or
    /// `databases.NAME` when the line itself came or went.
    pub key: String,
    /// Before.
    pub from: String,
    /// After.
    pub to: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} changed from {} to {}", self.key, self.from, self.to)
    }
}

/// Every value that differs, in the order of the registry; for the reload log.
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(SETTINGS, "", &old.settings, &new.settings, &mut changes);
    compare(OWN_SETTINGS, "pgweir.", &old.own, &new.own, &mut changes);
    lines(
        DATABASE_KEYS,
        "databases",
        &all_databases(old),
        &all_databases(new),
        &mut changes,
    );
    lines(USER_KEYS, "users", &old.users, &new.users, &mut changes);
    lines(PEER_KEYS, "peers", &old.peers, &new.peers, &mut changes);
    changes
}

fn all_databases(config: &Config) -> BTreeMap<String, DatabaseConfig> {
    let mut databases = config.databases.clone();
    if let Some(database) = &config.auto_database {
        databases.insert("*".to_owned(), database.clone());
    }
    databases
}

fn compare<T: Default>(
    table: &'static [Entry<T>],
    prefix: &str,
    old: &T,
    new: &T,
    changes: &mut Vec<Change>,
) {
    for entry in table.iter().filter(|entry| !(entry.same)(old, new)) {
        changes.push(Change {
            key: format!("{prefix}{}", entry.key),
            from: entry.show_masked(old),
            to: entry.show_masked(new),
        });
    }
}

fn lines<N: Ord + fmt::Display, T: Default>(
    table: &'static [Entry<T>],
    section: &str,
    old: &BTreeMap<N, T>,
    new: &BTreeMap<N, T>,
    changes: &mut Vec<Change>,
) {
    let names: BTreeSet<&N> = old.keys().chain(new.keys()).collect();
    for name in names {
        let whole = |from: &str, to: &str| Change {
            key: format!("{section}.{name}"),
            from: from.to_owned(),
            to: to.to_owned(),
        };
        match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) => {
                compare(table, &format!("{section}.{name}."), old, new, changes);
            }
            (None, _) => changes.push(whole("(absent)", "(present)")),
            (_, None) => changes.push(whole("(present)", "(absent)")),
        }
    }
}

/// What a reload means for the pools of one database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing about its connections changed.
    Stays,
    /// Elsewhere now: idle servers close, busy ones at release, half-open logins are aborted,
    /// cached welcome data is dropped; clients stay.
    Dirty,
    /// Gone: its pools are killed, its clients get `database removed`.
    Removed,
}

/// What a reload means for a database that has pools, whichever line it came from.
pub fn fate(old: &Config, new: &Config, database: &str) -> Fate {
    match (old.database(database), new.database(database)) {
        (_, None) => Fate::Removed,
        (None, Some(_)) => Fate::Stays,
        (Some(before), Some(after)) => {
            if reconnects(before, after, &old.settings, &new.settings) {
                Fate::Dirty
            } else {
                Fate::Stays
            }
        }
    }
}

/// Does any setting of TLS to servers differ? Then every pool is dirty. Whether the contents of
/// the same files changed is for the caller to find out.
pub fn is_server_tls_changed(old: &Config, new: &Config) -> bool {
    differs(SETTINGS, SERVER_TLS_KEYS, &old.settings, &new.settings)
}

fn reconnects(
    before: &DatabaseConfig,
    after: &DatabaseConfig,
    old: &Settings,
    new: &Settings,
) -> bool {
    let socket_moved = after.host.is_none() && old.unix_socket_dir != new.unix_socket_dir;
    socket_moved || differs(DATABASE_KEYS, CONNECT_KEYS, before, after)
}

fn differs<T>(table: &'static [Entry<T>], keys: &[&str], old: &T, new: &T) -> bool {
    table
        .iter()
        .any(|entry| keys.contains(&entry.key) && !(entry.same)(old, new))
}
