//! What holds for one database and one user, once inheritance has been followed.
//!
//! Owns the order of inheritance and nothing else. Touches nothing.
//! Mirrors: user before database before global, each key with its own rule of what "unset" is
//! (already settled in `kinds.rs`: here `None` always means "look further up").

use super::{Config, DatabaseConfig, PoolMode, UserConfig};
use std::time::Duration;

/// A pool as the configuration sees it: a database and the user whose name the servers log in
/// with (the forced user, else the login user).
#[derive(Clone, Copy, Debug)]
pub struct PoolView<'a> {
    config: &'a Config,
    database: &'a DatabaseConfig,
    user: Option<&'a UserConfig>,
}

impl Config {
    /// The entry for a database name: its own line, else the `*` line. `None` if it does not exist.
    pub fn database(&self, name: &str) -> Option<&DatabaseConfig> {
        self.databases.get(name).or(self.auto_database.as_ref())
    }

    /// Does the name come from the `*` line?
    pub fn is_auto_database(&self, name: &str) -> bool {
        !self.databases.contains_key(name) && self.auto_database.is_some()
    }

    /// The settings of a pool. `pool_user` is the forced user, else the login user.
    pub fn pool<'a>(&'a self, database: &'a DatabaseConfig, pool_user: &str) -> PoolView<'a> {
        PoolView {
            config: self,
            database,
            user: self.users.get(pool_user),
        }
    }

    /// Cap on a database's servers over all its pools; 0 = none.
    pub fn max_db_connections(&self, database: &DatabaseConfig) -> u32 {
        database
            .max_db_connections
            .unwrap_or(self.settings.max_db_connections)
    }

    /// Cap on a database's clients; 0 = none.
    pub fn max_db_client_connections(&self, database: &DatabaseConfig) -> u32 {
        database
            .max_db_client_connections
            .unwrap_or(self.settings.max_db_client_connections)
    }

    /// Cap on a pool user's servers over all databases; 0 = none.
    pub fn max_user_connections(&self, pool_user: &str) -> u32 {
        self.users
            .get(pool_user)
            .and_then(|user| user.max_user_connections)
            .unwrap_or(self.settings.max_user_connections)
    }

    /// Cap on a login user's clients over all databases; 0 = none.
    pub fn max_user_client_connections(&self, login_user: &str) -> u32 {
        self.users
            .get(login_user)
            .and_then(|user| user.max_user_client_connections)
            .unwrap_or(self.settings.max_user_client_connections)
    }

    /// How long a queued client waits; zero = for ever. Goes by the login user.
    pub fn query_wait_timeout(&self, database: &DatabaseConfig, login_user: &str) -> Duration {
        self.users
            .get(login_user)
            .and_then(|user| user.query_wait_timeout)
            .or(database.query_wait_timeout)
            .unwrap_or(self.settings.query_wait_timeout)
    }

    /// How long a logged-in client may be silent; zero = for ever. Goes by the login user.
    pub fn client_idle_timeout(&self, login_user: &str) -> Duration {
        self.users
            .get(login_user)
            .and_then(|user| user.client_idle_timeout)
            .unwrap_or(self.settings.client_idle_timeout)
    }
}

impl PoolView<'_> {
    /// When a server goes back.
    pub fn pool_mode(&self) -> PoolMode {
        self.user
            .and_then(|user| user.pool_mode)
            .or(self.database.pool_mode)
            .unwrap_or(self.config.settings.pool_mode)
    }

    /// Servers of the pool; 0 = no limit.
    pub fn pool_size(&self) -> u32 {
        self.user
            .and_then(|user| user.pool_size)
            .or(self.database.pool_size)
            .unwrap_or(self.config.settings.default_pool_size)
    }

    /// Servers kept open.
    pub fn min_pool_size(&self) -> u32 {
        self.database
            .min_pool_size
            .unwrap_or(self.config.settings.min_pool_size)
    }

    /// Servers beyond the size in need.
    pub fn reserve_pool_size(&self) -> u32 {
        self.user
            .and_then(|user| user.reserve_pool_size)
            .or(self.database.reserve_pool_size)
            .unwrap_or(self.config.settings.reserve_pool_size)
    }

    /// Age at which an unlinked server is closed; zero = used once only.
    pub fn server_lifetime(&self) -> Duration {
        self.database
            .server_lifetime
            .unwrap_or(self.config.settings.server_lifetime)
    }

    /// Longest query; zero = no limit.
    pub fn query_timeout(&self) -> Duration {
        self.user
            .and_then(|user| user.query_timeout)
            .unwrap_or(self.config.settings.query_timeout)
    }

    /// Longest idling inside a transaction; zero = no limit.
    pub fn idle_transaction_timeout(&self) -> Duration {
        self.user
            .and_then(|user| user.idle_transaction_timeout)
            .unwrap_or(self.config.settings.idle_transaction_timeout)
    }

    /// Longest transaction; zero = no limit.
    pub fn transaction_timeout(&self) -> Duration {
        self.user
            .and_then(|user| user.transaction_timeout)
            .unwrap_or(self.config.settings.transaction_timeout)
    }
}

impl DatabaseConfig {
    /// Name of the database on the server, for a client that asked for `requested`.
    pub fn server_database<'a>(&'a self, requested: &'a str) -> &'a str {
        self.dbname.as_deref().unwrap_or(requested)
    }

    /// User the servers log in as, when `login_user` is at the door.
    pub fn pool_user<'a>(&'a self, login_user: &'a str) -> &'a str {
        self.user.as_deref().unwrap_or(login_user)
    }

    /// The hosts in order: names, addresses, directories, `@abstract`. Without `host` it is the
    /// directory in `unix_socket_dir`.
    pub fn hosts(&self, config: &Config) -> Vec<String> {
        match &self.host {
            None => vec![config.settings.unix_socket_dir.clone()],
            Some(hosts) => hosts
                .split(',')
                .map(|host| host.trim().to_owned())
                .filter(|host| !host.is_empty())
                .collect(),
        }
    }

    /// Is this host a Unix socket's directory or abstract name?
    pub fn is_unix(host: &str) -> bool {
        host.starts_with(['/', '@'])
    }

    /// The server for a report: `host:port`, or the socket's path.
    pub fn server_name(&self, host: &str) -> String {
        if Self::is_unix(host) {
            return format!("{host}/.s.PGSQL.{}", self.port);
        }
        format!("{host}:{}", self.port)
    }
}
