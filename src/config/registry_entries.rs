//! The keys of the lines in `[databases]`, `[users]` and `[peers]`.
//!
//! Owns `DatabaseConfig`, `UserConfig`, `PeerConfig` and their tables. `None` means inherit.
//! Mirrors: PgBouncer 1.25.2; its undocumented `application_name` and the alias `reserve_pool`
//! included (`ALIASES`).

use super::kinds::{
    EntryCap, EntryMode, EntrySeconds, EntrySize, EntryWait, LoadBalance, Secret, ServerPort,
};
use super::registry::Status::{Effective as EFFECTIVE, NoEffectYet as NO_EFFECT_YET, Protects};
use super::registry::{Entry, Reload, default_of, registry};
use super::value::{Kind, OptText, Sql, Text};

/// Second names of keys: written, meant.
pub const ALIASES: &[(&str, &str)] = &[("reserve_pool", "reserve_pool_size")];

registry! {
    /// One line of `[databases]`: where its servers are and what it overrides.
    DatabaseConfig, DATABASE_KEYS {
    dbname: OptText = None, Live, EFFECTIVE,
        "Name of the database on the server; unset = the name of the line, for * the name asked for.";
    host: OptText = None, Live, EFFECTIVE,
        "Name, address, directory of a Unix socket, @abstract, or several with commas; unset = the socket in unix_socket_dir.";
    port: ServerPort = Some("5432"), Live, EFFECTIVE,
        "Port of the server, the same for all hosts.";
    user: OptText = None, Live, EFFECTIVE,
        "Forced user: one pool for the database, whoever logs in.";
    password: Secret = Some(""), Live, EFFECTIVE,
        "Password of the forced user; without one its entry in auth_file is used.";
    auth_user: OptText = None, Live, Protects(&[]),
        "As the global setting, for this database.";
    auth_query: OptText = None, Live, NO_EFFECT_YET,
        "As the global setting, for this database.";
    auth_dbname: OptText = None, Live, NO_EFFECT_YET,
        "As the global setting, for this database.";
    pool_size: EntrySize = None, Live, EFFECTIVE,
        "Servers per pool of this database; unset = default_pool_size.";
    min_pool_size: EntrySize = None, Live, EFFECTIVE,
        "As the global setting, for this database.";
    reserve_pool_size: EntrySize = None, Live, EFFECTIVE,
        "As the global setting, for this database; may be written reserve_pool.";
    max_db_connections: EntryCap = None, Live, EFFECTIVE,
        "As the global setting, for this database; it cannot lift a global limit.";
    max_db_client_connections: EntryCap = None, Live, EFFECTIVE,
        "As the global setting, for this database; it cannot lift a global limit.";
    server_lifetime: EntrySeconds = None, Live, EFFECTIVE,
        "As the global setting, for this database.";
    query_wait_timeout: EntryWait = None, Live, EFFECTIVE,
        "As the global setting, for this database.";
    pool_mode: EntryMode = None, Live, EFFECTIVE,
        "As the global setting, for this database.";
    load_balance_hosts: LoadBalance = Some("round-robin"), Live, EFFECTIVE,
        "How a list of hosts is used: one after the other, or one until a connect fails.";
    connect_query: Sql = Some(""), Live, EFFECTIVE,
        "Run once on every new server; an error is logged and ignored.";
    client_encoding: OptText = None, Live, EFFECTIVE,
        "Sent to the server at login.";
    datestyle: OptText = None, Live, EFFECTIVE,
        "Sent to the server at login.";
    timezone: OptText = None, Live, EFFECTIVE,
        "Sent to the server at login.";
    application_name: OptText = None, Live, EFFECTIVE,
        "Sent to the server at login.";
}}

registry! {
    /// One line of `[users]`. Sizes and timeouts hold for the user of the pool (the forced user
    /// where there is one), the others for the user who logs in.
    UserConfig, USER_KEYS {
    pool_mode: EntryMode = None, Live, EFFECTIVE,
        "Pool mode of this pool user; unset = the database's, then the global one.";
    pool_size: EntrySize = None, Live, EFFECTIVE,
        "Servers per pool of this pool user; unset = the database's, then default_pool_size.";
    reserve_pool_size: EntrySize = None, Live, EFFECTIVE,
        "Reserve of this pool user; unset = the database's, then the global one.";
    max_user_connections: EntryCap = None, Live, EFFECTIVE,
        "Servers of this pool user over all databases.";
    max_user_client_connections: EntryCap = None, Live, EFFECTIVE,
        "Clients that logged in as this user, over all databases.";
    query_timeout: EntrySeconds = None, Live, EFFECTIVE,
        "As the global setting, for this pool user.";
    idle_transaction_timeout: EntrySeconds = None, Live, EFFECTIVE,
        "As the global setting, for this pool user.";
    transaction_timeout: EntrySeconds = None, Live, EFFECTIVE,
        "As the global setting, for this pool user.";
    query_wait_timeout: EntryWait = None, Live, EFFECTIVE,
        "As the global setting, for this login user; unset = the database's, then the global one.";
    client_idle_timeout: EntrySeconds = None, Live, EFFECTIVE,
        "As the global setting, for this login user.";
}}

registry! {
    /// One line of `[peers]`.
    PeerConfig, PEER_KEYS {
    host: Text = Some(""), Live, NO_EFFECT_YET,
        "Where the peer listens; must be given.";
    port: ServerPort = Some("6432"), Live, NO_EFFECT_YET,
        "Port of the peer.";
    pool_size: EntrySize = None, Live, NO_EFFECT_YET,
        "Connections to the peer; unset = default_pool_size.";
}}
