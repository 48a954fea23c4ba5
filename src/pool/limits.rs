//! Settings as they hold for one pool: user, then database, then global (surface 1.4, 1.5).

use std::time::Duration;

use crate::config::{Config, DatabaseConfig, NestedTransactions, PoolMode, SessionMode};
use crate::stats::clock::as_us;
use crate::stats::slots::NEVER;

/// Limits on what a linked client may take, in µs; `NEVER` where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// query_timeout.
    pub query: u64,
    /// idle_transaction_timeout.
    pub idle_transaction: u64,
    /// transaction_timeout.
    pub transaction: u64,
}

impl Timeouts {
    /// HOT. No limit at all, which is the usual case.
    #[inline]
    pub fn is_unlimited(&self) -> bool {
        self.query == NEVER && self.idle_transaction == NEVER && self.transaction == NEVER
    }
}

/// All settings of one pool, resolved.
#[derive(Clone, Debug)]
pub struct Limits {
    /// pool_mode.
    pub mode: PoolMode,
    /// default_pool_size; 0 is no limit.
    pub size: usize,
    /// min_pool_size.
    pub min_size: usize,
    /// reserve_pool_size.
    pub reserve: usize,
    /// reserve_pool_timeout in µs; 0 shuts the reserve.
    pub reserve_timeout_us: u64,
    /// max_db_connections; 0 is no limit.
    pub max_database: usize,
    /// max_user_connections; 0 is no limit.
    pub max_user: usize,
    /// server_lifetime in µs; 0 closes after one use.
    pub lifetime_us: u64,
    /// server_idle_timeout in µs; 0 is never.
    pub idle_timeout_us: u64,
    /// server_connect_timeout.
    pub connect_timeout: Duration,
    /// server_login_retry in µs.
    pub login_retry_us: u64,
    /// server_check_delay in µs.
    pub check_delay_us: u64,
    /// server_check_query; `None` is never.
    pub check_query: Option<String>,
    /// server_reset_query if it applies in this mode.
    pub reset_query: Option<String>,
    /// server_round_robin.
    pub round_robin: bool,
    /// max_prepared_statements; 0 passes names through.
    pub max_prepared: usize,
    /// session_state; in session mode a session is the server's, as with PgBouncer.
    pub session_state: SessionMode,
    /// hold_begin_ms in µs; 0 sends each BEGIN at once, as session_state = pgbouncer does.
    pub hold_begin_us: u64,
    /// keep_unnamed.
    pub keeps_unnamed: bool,
    /// pin_timeout in µs; `NEVER` where there is none.
    pub pin_timeout_us: u64,
    /// nested_transactions.
    pub nested_transactions: NestedTransactions,
    /// nested_transactions_ms in µs.
    pub nested_after_us: u64,
    /// max_pins, resolved; `usize::MAX` is no limit.
    pub max_pins: usize,
    /// Whether the pool is kept filled without clients (forced user).
    pub has_forced_user: bool,
    /// Timeouts of running queries.
    pub timeouts: Timeouts,
}

/// µs, where zero means never.
fn or_never(time: Duration) -> u64 {
    if time.is_zero() { NEVER } else { as_us(time) }
}

impl Limits {
    /// What holds for `database` and the pool user `user`.
    pub fn resolve(config: &Config, database: &DatabaseConfig, user: &str) -> Self {
        let global = &config.settings;
        let pool = config.pool(database, user);
        let mode = pool.pool_mode();
        let resets = mode == PoolMode::Session || global.server_reset_query_always;
        let is_named = mode != PoolMode::Session;
        let own = &config.own;
        let size = pool.pool_size() as usize;
        Self {
            mode,
            size,
            min_size: pool.min_pool_size() as usize,
            reserve: pool.reserve_pool_size() as usize,
            reserve_timeout_us: as_us(global.reserve_pool_timeout),
            max_database: config.max_db_connections(database) as usize,
            max_user: config.max_user_connections(user) as usize,
            lifetime_us: as_us(pool.server_lifetime()),
            idle_timeout_us: as_us(global.server_idle_timeout),
            connect_timeout: global.server_connect_timeout,
            login_retry_us: as_us(global.server_login_retry),
            check_delay_us: as_us(global.server_check_delay),
            check_query: check_query(&global.server_check_query),
            reset_query: (resets && !global.server_reset_query.is_empty())
                .then(|| global.server_reset_query.clone()),
            round_robin: global.server_round_robin,
            max_prepared: if is_named {
                global.max_prepared_statements as usize
            } else {
                0
            },
            session_state: if is_named {
                own.session_state
            } else {
                SessionMode::Pgbouncer
            },
            hold_begin_us: if mode == PoolMode::Transaction
                && own.session_state != SessionMode::Pgbouncer
            {
                as_us(own.hold_begin_ms)
            } else {
                0
            },
            keeps_unnamed: is_named && own.keep_unnamed,
            pin_timeout_us: or_never(own.pin_timeout),
            nested_transactions: own.nested_transactions,
            nested_after_us: as_us(own.nested_transactions_ms),
            max_pins: most_pins(own.max_pins as usize, size),
            has_forced_user: database.user.is_some(),
            timeouts: Timeouts {
                query: or_never(pool.query_timeout()),
                idle_transaction: or_never(pool.idle_transaction_timeout()),
                transaction: or_never(pool.transaction_timeout()),
            },
        }
    }
}

/// max_pins for a pool of `size` servers (0: no limit).
fn most_pins(setting: usize, size: usize) -> usize {
    match (setting, size) {
        (0, 0) => usize::MAX,
        (0, size) => (size / 2).max(1),
        (most, _) => most,
    }
}

/// COMPAT: the literal `<empty>` is an empty query, an empty setting switches the check off.
fn check_query(setting: &str) -> Option<String> {
    match setting {
        "" => None,
        "<empty>" => Some(String::new()),
        sql => Some(sql.to_owned()),
    }
}
