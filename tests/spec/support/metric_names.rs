//! Names of metrics: which are used by a text, and which pgweir has.

use super::bouncer::{Bouncer, Running};
use super::pg::Pg;
use super::soon;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

/// Families that need what [`printed`] does not make: replicas, locks, refusals, tables in need of
/// VACUUM, errors. Their names are at least written out in the source of `/metrics`.
const RARE: [&str; 14] = [
    "pgweir_application_statement_seconds_total",
    "pgweir_client_errors_total",
    "pgweir_flags_total",
    "pgweir_oldest_lock_wait_seconds",
    "pgweir_pg_replication_lag_bytes",
    "pgweir_pg_replication_lag_seconds",
    "pgweir_pg_table_dead_rows_ratio",
    "pgweir_pg_table_vacuum_overdue_seconds",
    "pgweir_server_connections_closed_total",
    "pgweir_server_login_failures_total",
    "pgweir_sessions_flagged",
    "pgweir_sidecar_errors_total",
    "pgweir_target_calls_total",
    "pgweir_target_missed_total",
];

/// Names of pgweir's, the exporter's and the process's metrics in a text, a histogram's parts as the
/// histogram.
pub fn used(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| {
            let prefixes = ["pgweir_", "pgbouncer_", "process_"];
            prefixes.iter().any(|prefix| word.starts_with(prefix))
        })
        .map(|word| {
            let parts = ["_bucket", "_sum", "_count"];
            let histogram = parts.iter().find_map(|part| word.strip_suffix(part));
            histogram
                .filter(|base| base.ends_with("_seconds"))
                .unwrap_or(word)
                .to_owned()
        })
        .collect()
}

/// Those of `used` that no running pgweir prints.
pub fn unknown(text: &str) -> Vec<String> {
    let printed = printed();
    used(text)
        .into_iter()
        .filter(|name| !printed.contains(name))
        .filter(|name| !RARE.contains(&name.as_str()) || !is_in_source(name))
        .collect()
}

/// Every family of a pgweir that has served statements, one of them with an error, and has asked
/// PostgreSQL about its health.
fn printed() -> &'static BTreeSet<String> {
    static PRINTED: OnceLock<BTreeSet<String>> = OnceLock::new();
    PRINTED.get_or_init(|| {
        let pg = Pg::start();
        pg.admin()
            .ok("create role monitor login; grant pg_monitor to monitor");
        let bouncer = Bouncer::new(&pg).own("monitor_user", "monitor").start();
        let mut client = bouncer.client();
        client.one("select 1");
        client.fails("select 1/0");
        let awaited = [
            "pgweir_pg_blocks_hit_total",
            "pgweir_statement_errors_total",
            "pgweir_top_statement_seconds_total",
        ];
        let mut families = BTreeSet::new();
        soon("statements and health are in the metrics", || {
            families = types(&bouncer);
            awaited.iter().all(|name| families.contains(*name))
        });
        families
    })
}

fn types(bouncer: &Running) -> BTreeSet<String> {
    let body = bouncer.http("/metrics");
    let lines = body.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    lines
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

/// Is the name a whole string literal in the room that prints metrics?
fn is_in_source(name: &str) -> bool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
    let literal = format!("\"{name}\"");
    std::fs::read_dir(folder)
        .expect("a folder of the source")
        .flatten()
        .filter_map(|entry| std::fs::read_to_string(entry.path()).ok())
        .any(|text| text.contains(&literal))
}
