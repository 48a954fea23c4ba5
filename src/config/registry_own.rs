//! The settings of `[pgweir]`: what PgBouncer has no word for.
//!
//! Owns `OwnSettings` and its table. They live in a second file that includes the untouched
//! `pgbouncer.ini`, because PgBouncer refuses the section.

use super::kinds::{
    LinePrefix, ListenAddr, NestedTransactions, Secret, SessionMode, SlowLogFormat,
};
use super::registry::Status::Effective as EFFECTIVE;
use super::registry::{Entry, Reload, default_of, registry};
use super::value::{Count, Flag, Kind, Millis, Path, Seconds, Text, Words};

registry! {
    /// Our own settings: one field per key of `[pgweir]`.
    OwnSettings, OWN_SETTINGS {
    lanes: Count = Some("0"), Boot, EFFECTIVE,
        "Threads that carry clients; 0 = the CPUs this process may use, its cgroup's quota included. 1 = one core, as PgBouncer.";
    http_addr: ListenAddr = Some("127.0.0.1:9127"), Boot, EFFECTIVE,
        "Where /metrics, /healthz and /readyz are served. If the address is taken: a warning and a retry, pooling goes on.";
    precise_sqlstates: Flag = Some("0"), Live, EFFECTIVE,
        "Sends PostgreSQL's own error codes (53300, 28P01, 57014 and so on) where PgBouncer says 08P01.";
    insight: Flag = Some("1"), Live, EFFECTIVE,
        "Counts and times every statement.";
    insight_users: Words = Some(""), Live, EFFECTIVE,
        "Names that may read the text of statements on the console, beside admin_users.";
    slow_statement_ms: Millis = Some("500"), Live, EFFECTIVE,
        "A statement whose server time is longer counts as slow; 0 = off.";
    slow_ignore_users: Words = Some(""), Live, EFFECTIVE,
        "Login names whose statements are never slow: reports, dumps, maintenance.";
    slow_transaction_ms: Millis = Some("0"), Live, EFFECTIVE,
        "A transaction that holds its server longer counts as slow; 0 = off.";
    lock_wait_warn_ms: Millis = Some("1000"), Live, EFFECTIVE,
        "A wait for a lock that lasts longer is reported as a warning; 0 = off.";
    lock_wait_crit_ms: Millis = Some("5000"), Live, EFFECTIVE,
        "A wait for a lock that lasts longer is reported as critical; 0 = off.";
    statement_table_size: Count = Some("10000"), Boot, EFFECTIVE,
        "Groups of statements kept apart; the least used give way and are counted in one row per class.";
    metrics_series_limit: Count = Some("5000"), Live, EFFECTIVE,
        "Series of /metrics; more are left out and counted.";
    sample_literals: Flag = Some("0"), Live, EFFECTIVE,
        "Keeps the constants in samples of statements, which may be personal data.";
    monitor_user: Text = Some(""), Live, EFFECTIVE,
        "Role that asks PostgreSQL about locks and health; needs pg_monitor. Empty = nothing is asked.";
    monitor_password: Secret = Some(""), Live, EFFECTIVE,
        "Its password; without one the clear-text entry in auth_file is used.";
    slow_log_file: Path = Some(""), Live, EFFECTIVE,
        "A log of its own for slow statements, which pgbadger reads. Empty = off. Opened for append, and again at each reload.";
    slow_log_format: SlowLogFormat = Some("stderr"), Live, EFFECTIVE,
        "stderr = PostgreSQL's lines with slow_log_prefix; json = PostgreSQL's jsonlog.";
    slow_log_prefix: LinePrefix = Some("%m [%p] %q%u@%d,app=%a,client=%h"), Live, EFFECTIVE,
        "PostgreSQL's log_line_prefix for the slow log, to be given to pgbadger with -p; a blank is put behind it.";
    slow_log_rate: Count = Some("50"), Live, EFFECTIVE,
        "Statements a second in the slow log; more are counted and one line says how many. 0 = no limit.";
    custom_queries_file: Path = Some(""), Live, EFFECTIVE,
        "Queries of your own whose results become metrics, asked by monitor_user; config/custom_queries.ini shows the form. A reload reads it again.";
    targets_file: Path = Some(""), Live, EFFECTIVE,
        "Limits for single statements by fingerprint, counted as pgweir_target_missed_total; config/targets.ini shows the form. A reload reads it again.";
    session_state: SessionMode = Some("strict"), Live, EFFECTIVE,
        "In transaction mode: strict = each client keeps its own settings, and a server on which a function may have set something is reset; tracked = it keeps what its statements say; pgbouncer = only what PostgreSQL reports, and each BEGIN is sent at once.";
    hold_begin_ms: Millis = Some("100"), Live, EFFECTIVE,
        "In transaction mode: how long a BEGIN is held back to be sent with the first statement behind it; 0 = sent at once.";
    keep_unnamed: Flag = Some("0"), Live, EFFECTIVE,
        "In transaction mode: keeps unnamed statements of the extended protocol prepared on the servers, within max_prepared_statements.";
    pin_timeout: Seconds = Some("0"), Live, EFFECTIVE,
        "How long a client that is pinned to its server may be idle outside of a transaction; 0 = for ever.";
    max_pins: Count = Some("0"), Live, EFFECTIVE,
        "Servers of one pool that may be pinned at once; 0 = half of the pool's size, at least one.";
    nested_transactions: NestedTransactions = Some("error"), Live, EFFECTIVE,
        "When all servers of a pool are idle in transaction and a client waits whose own process holds one of them (same address and an application_name ending in -number, as odoo-4711; on a Unix socket same process and application_name): error = a connection from the reserve at once, or, if there is none, an error after nested_transactions_ms; reserve = the reserve or waiting; wait = query_wait_timeout, as PgBouncer.";
    nested_transactions_ms: Millis = Some("5000"), Live, EFFECTIVE,
        "How long nobody in the pool must have asked anything before such a client gets the error; forked workers may share an application_name, so it is no proof. One second at most where all servers are held over Unix sockets by the process that waits.";
    listen_buffer: Count = Some("1048576"), Live, EFFECTIVE,
        "In transaction mode: bytes of notifications that may wait for one client; one that lets more pile up is closed. Holds for clients that begin to listen from then on.";
    max_listen_channels: Count = Some("1000"), Live, EFFECTIVE,
        "In transaction mode: channels that one client may LISTEN to.";
}}
