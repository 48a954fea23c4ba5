//! `pgbouncer_*`: names, labels and units as pgbouncer_exporter 0.12.1's code emits them, so that
//! dashboards made for it work. Its README differs from its code; the code counts.
//!
//! COMPAT: `reserve_pool` is a column that PgBouncer has renamed since, so the exporter shows it for
//! older releases only; dashboards ask for it, and here it is always there.

use std::borrow::Cow;

use super::snapshot::Snapshot;
use super::text::{Kind, Text, seconds};
use crate::config::PoolMode;
use crate::pool::view::{DatabaseRow, Lists, PoolRow};
use crate::stats::{Count, Totals};
use crate::wire::version;

/// Pools beyond this many are shown as one per database, user [`OTHER`].
pub const MAX_POOLS: usize = 100;
/// Label of what stands for several.
pub const OTHER: &str = "(other)";

/// Writes all families.
pub fn write(text: &mut Text, snapshot: &Snapshot) {
    text.single(
        "pgbouncer_up",
        Kind::Gauge,
        "Always 1: answered by the pooler itself.",
        1,
    );
    text.family(
        "pgbouncer_version_info",
        Kind::Gauge,
        "Version, as SHOW VERSION gives it.",
    )
    .sample(&[("version", version::VERSION_TEXT)], 1);
    write_lists(text, &snapshot.lists);
    write_config(text, snapshot);
    write_databases(text, &snapshot.databases);
    write_pools(text, &fold(&snapshot.pools));
    write_totals(text, snapshot);
}

fn write_lists(text: &mut Text, lists: &Lists) {
    let rows = [
        ("pgbouncer_databases", "Databases.", lists.databases),
        ("pgbouncer_users", "Users.", lists.users),
        ("pgbouncer_pools", "Pools.", lists.pools),
        ("pgbouncer_free_clients", "Client slots kept for reuse.", 0),
        (
            "pgbouncer_used_clients",
            "Clients connected.",
            lists.used_clients,
        ),
        (
            "pgbouncer_login_clients",
            "Clients logging in.",
            lists.login_clients,
        ),
        ("pgbouncer_free_servers", "Server slots kept for reuse.", 0),
        (
            "pgbouncer_used_servers",
            "Server connections.",
            lists.used_servers,
        ),
        (
            "pgbouncer_cached_dns_names",
            "Host names in the cache.",
            lists.dns_names,
        ),
        ("pgbouncer_cached_dns_zones", "DNS zones in the cache.", 0),
        (
            "pgbouncer_in_flight_dns_queries",
            "Name lookups under way.",
            0,
        ),
    ];
    for (name, help, value) in rows {
        text.single(name, Kind::Gauge, help, value);
    }
}

fn write_config(text: &mut Text, snapshot: &Snapshot) {
    text.single(
        "pgbouncer_config_max_client_connections",
        Kind::Gauge,
        "Setting max_client_conn.",
        snapshot.max_client_conn,
    );
    text.single(
        "pgbouncer_config_max_user_connections",
        Kind::Gauge,
        "Setting max_user_connections.",
        snapshot.max_user_connections,
    );
}

type Column<R> = (&'static str, &'static str, fn(&R) -> u64);

fn write_databases(text: &mut Text, databases: &[DatabaseRow]) {
    let columns: [Column<DatabaseRow>; 6] = [
        (
            "pgbouncer_databases_pool_size",
            "Largest number of server connections per pool.",
            |d| d.pool_size,
        ),
        (
            "pgbouncer_databases_reserve_pool",
            "Server connections beyond pool_size.",
            |d| d.reserve_pool_size,
        ),
        (
            "pgbouncer_databases_max_connections",
            "Largest number of server connections.",
            |d| d.max_connections,
        ),
        (
            "pgbouncer_databases_current_connections",
            "Server connections now.",
            |d| d.current_connections,
        ),
        (
            "pgbouncer_databases_paused",
            "1 while the database is paused.",
            |d| d.is_paused.into(),
        ),
        (
            "pgbouncer_databases_disabled",
            "1 while the database is disabled.",
            |d| d.is_disabled.into(),
        ),
    ];
    for (name, help, value) in columns {
        let mut family = text.family(name, Kind::Gauge, help);
        for row in databases {
            let port = row.port.to_string();
            let labels = [
                ("name", &*row.name),
                ("host", row.host.as_deref().unwrap_or("")),
                ("port", &port),
                ("database", &row.database),
                ("force_user", row.force_user.as_deref().unwrap_or("")),
                ("pool_mode", row.pool_mode.map_or("", PoolMode::as_str)),
            ];
            family.sample(&labels, value(row));
        }
    }
}

const POOLS: [Column<PoolRow>; 12] = [
    (
        "client_active_connections",
        "Clients that are not waiting.",
        |p| p.cl_active,
    ),
    (
        "client_active_cancel_connections",
        "Cancel requests sent on.",
        |p| p.cl_active_cancel_req,
    ),
    (
        "client_waiting_connections",
        "Clients waiting for a server.",
        |p| p.cl_waiting,
    ),
    (
        "client_waiting_cancel_connections",
        "Cancel requests not sent on yet.",
        |p| p.cl_waiting_cancel_req,
    ),
    (
        "server_active_connections",
        "Servers linked to a client.",
        |p| p.sv_active,
    ),
    (
        "server_active_cancel_connections",
        "Servers carrying a cancel request.",
        |p| p.sv_active_cancel,
    ),
    (
        "server_being_canceled_connections",
        "Servers held until cancels end.",
        |p| p.sv_being_canceled,
    ),
    (
        "server_idle_connections",
        "Servers ready for a client.",
        |p| p.sv_idle,
    ),
    (
        "server_used_connections",
        "Idle servers to be checked before use.",
        |p| p.sv_used,
    ),
    (
        "server_testing_connections",
        "Servers running a reset or check query.",
        |p| p.sv_tested,
    ),
    ("server_login_connections", "Servers logging in.", |p| {
        p.sv_login
    }),
    (
        "client_maxwait_seconds",
        "Age of the oldest waiting client.",
        |p| p.max_wait_us / 1_000_000,
    ),
];

fn write_pools(text: &mut Text, pools: &[PoolRow]) {
    for (name, help, value) in POOLS {
        let name = format!("pgbouncer_pools_{name}");
        let mut family = text.family(&name, Kind::Gauge, help);
        for row in pools {
            family.sample(
                &[("database", &row.database), ("user", &row.user)],
                value(row),
            );
        }
    }
}

/// Pools beyond [`MAX_POOLS`] become one row per database.
fn fold(pools: &[PoolRow]) -> Cow<'_, [PoolRow]> {
    if pools.len() <= MAX_POOLS {
        return Cow::Borrowed(pools);
    }
    let (kept, rest) = pools.split_at(MAX_POOLS);
    let mut rows = kept.to_vec();
    for pool in rest {
        match rows.last_mut() {
            Some(last) if last.database == pool.database && &*last.user == OTHER => {
                absorb(last, pool);
            }
            _ => rows.push(PoolRow {
                user: OTHER.into(),
                ..pool.clone()
            }),
        }
    }
    Cow::Owned(rows)
}

fn absorb(row: &mut PoolRow, other: &PoolRow) {
    row.cl_active += other.cl_active;
    row.cl_waiting += other.cl_waiting;
    row.cl_active_cancel_req += other.cl_active_cancel_req;
    row.cl_waiting_cancel_req += other.cl_waiting_cancel_req;
    row.sv_active += other.sv_active;
    row.sv_active_cancel += other.sv_active_cancel;
    row.sv_being_canceled += other.sv_being_canceled;
    row.sv_idle += other.sv_idle;
    row.sv_used += other.sv_used;
    row.sv_tested += other.sv_tested;
    row.sv_login += other.sv_login;
    row.max_wait_us = row.max_wait_us.max(other.max_wait_us);
}

enum Unit {
    Plain,
    Seconds,
}

const TOTALS: [(&str, &str, Count, Unit); 10] = [
    (
        "queries_pooled_total",
        "Queries.",
        Count::Queries,
        Unit::Plain,
    ),
    (
        "queries_duration_seconds_total",
        "Time in queries.",
        Count::QueryTime,
        Unit::Seconds,
    ),
    (
        "received_bytes_total",
        "Bytes from clients.",
        Count::Received,
        Unit::Plain,
    ),
    (
        "sent_bytes_total",
        "Bytes from servers.",
        Count::Sent,
        Unit::Plain,
    ),
    (
        "client_wait_seconds_total",
        "Time clients waited for a server.",
        Count::WaitTime,
        Unit::Seconds,
    ),
    (
        "sql_transactions_pooled_total",
        "Transactions.",
        Count::Transactions,
        Unit::Plain,
    ),
    (
        "server_in_transaction_seconds_total",
        "Time in transactions.",
        Count::TransactionTime,
        Unit::Seconds,
    ),
    (
        "client_parses_total",
        "Named Parse messages from clients.",
        Count::ClientParses,
        Unit::Plain,
    ),
    (
        "server_parses_total",
        "Named Parse messages to servers.",
        Count::ServerParses,
        Unit::Plain,
    ),
    ("binds_total", "Bind messages.", Count::Binds, Unit::Plain),
];

fn write_totals(text: &mut Text, snapshot: &Snapshot) {
    for (name, help, count, unit) in TOTALS {
        let name = format!("pgbouncer_stats_totals_{name}");
        let mut family = text.family(&name, Kind::Counter, help);
        for (database, totals) in &snapshot.totals {
            let labels = [("database", &**database)];
            match unit {
                Unit::Plain => family.sample(&labels, Totals::get(totals, count)),
                Unit::Seconds => family.sample(&labels, seconds(totals.get(count))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_pools_fold_by_database_and_lose_nothing() {
        let pool = |database: &str, user: usize| PoolRow {
            database: database.into(),
            user: format!("u{user:03}").into(),
            cl_active: 1,
            max_wait_us: user as u64,
            ..PoolRow::default()
        };
        let mut pools: Vec<_> = (0..150).map(|n| pool("a", n)).collect();
        pools.extend((0..30).map(|n| pool("b", n)));
        let rows = fold(&pools);
        assert_eq!(rows.len(), MAX_POOLS + 2);
        assert_eq!(
            (&*rows[100].user, rows[100].cl_active, rows[100].max_wait_us),
            ("(other)", 50, 149)
        );
        assert_eq!((&*rows[101].database, rows[101].cl_active), ("b", 30));
        assert_eq!(fold(&pools[..100]).len(), 100);
    }
}
