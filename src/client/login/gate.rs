//! What a login asks of the process around it.
//!
//! Owns: the questions, not the answers; `app` answers over the pools, tests answer by themselves.
//! One gate per connection: it holds the client's place in the limits and gives it back on drop.

use std::future::Future;
use std::sync::Arc;

use crate::auth::scram::{CapturedKeys, KeyCache};
use crate::config::{Config, Secret};
use crate::error::ClientError;
use crate::net::tls::ClientTls;

/// What a reload replaces as a whole, as far as a login reads it.
pub trait Live: Send + Sync {
    /// The settings in force.
    fn config(&self) -> &Config;
    /// A user's entry in `auth_file`.
    fn secret(&self, user: &str) -> Option<&Secret>;
    /// TLS towards clients; `None` when it is off.
    fn client_tls(&self) -> Option<&ClientTls>;
}

/// What the pool's first server reported when it logged in.
pub trait Reported: Send + Sync {
    /// Parameters that are not tracked, in the server's order.
    fn untracked(&self) -> impl Iterator<Item = (&str, &str)>;
    /// Value of the tracked parameter at this position.
    fn tracked(&self, index: usize) -> Option<&str>;
}

/// The client, once its startup packet has been read.
#[derive(Debug, Clone)]
pub struct Who {
    /// Database as the client named it.
    pub database: Arc<str>,
    /// Login user; under `auth_type = any` the forced user.
    pub user: Arc<str>,
    /// Protocol and suite, or `None` on a plain connection.
    pub tls: Option<Box<str>>,
}

/// What a console login may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleRight {
    /// admin_users, or the pooler's own account on the Unix socket.
    Admin,
    /// stats_users: reads only.
    Stats,
}

/// What the database name of a startup packet stands for.
#[derive(Clone, Debug)]
pub enum Target<D> {
    /// The virtual database `pgbouncer`.
    Console(ConsoleRight),
    /// A database of the configuration, or one made from `*`.
    Database(D),
    /// Nothing; the client learns it after its password only.
    Unknown,
}

/// The questions. Methods that return `Err` refuse the client with that error.
pub trait Gate: Send + Sync {
    /// Snapshot of what a reload replaces.
    type Live: Live;
    /// A database entry.
    type Database: Clone + Send + Sync;
    /// Welcome of a pool.
    type Reported: Reported;

    /// The snapshot in force now.
    fn live(&self) -> Arc<Self::Live>;
    /// Keys derived from passwords, shared by the process.
    fn key_cache(&self) -> Arc<KeyCache>;
    /// Canonical names of tracked parameters in the order of the welcome.
    fn tracked_names(&self) -> impl Iterator<Item = &str> + Send;
    /// `C-0x...: db/user@host:port `, in front of log lines; before [`Gate::identify`] `(nodb)/(nouser)`.
    fn log_prefix(&self) -> String;

    /// Is there room under `max_client_conn`, and is the process not shutting down? The console
    /// is exempt from the first.
    fn admit(&mut self, is_console: bool) -> Result<(), ClientError>;
    /// Finds a database, making it from `*` if it must.
    fn find_database(&self, name: &str) -> Option<Self::Database>;
    /// `user=` of the database.
    fn forced_user(&self, database: &Self::Database) -> Option<Arc<str>>;
    /// Does a session in this database keep settings that PostgreSQL does not report
    /// (`session_state`)?
    fn keeps_settings(&self, database: &Self::Database, user: &Arc<str>) -> bool;
    /// Counts the client under `max_db_client_connections` and `max_user_client_connections`.
    /// Console administrators are not asked for.
    fn claim(&mut self, who: &Who, target: &Target<Self::Database>) -> Result<(), ClientError>;
    /// The startup packet has been read: the name for logs and SHOW.
    fn identify(&mut self, who: &Who);
    /// Is the database not disabled? Asked after the password.
    fn check_enabled(&self, database: &Self::Database) -> Result<(), ClientError>;
    /// The client has proved itself with SCRAM: its keys let us log in to a server that holds the
    /// same secret. Told before [`Gate::welcome`], which may need them.
    fn keep_keys(&self, user: &Arc<str>, keys: CapturedKeys);
    /// The welcome of the client's pool; waits for its first server, and fails with what
    /// PostgreSQL said. Cancel safe.
    fn welcome(
        &self,
        database: &Self::Database,
        user: &Arc<str>,
    ) -> impl Future<Output = Result<Arc<Self::Reported>, ClientError>> + Send;
    /// Makes the key known for cancel requests; false if it is taken.
    fn register_cancel_key(&mut self, key: u64) -> bool;
}
