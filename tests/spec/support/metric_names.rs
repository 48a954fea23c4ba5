//! Names of metrics: which are used by a text, and which pgweir has.

use super::bouncer::Running;
use std::collections::BTreeSet;
use std::path::Path;

/// Used by rules or the dashboard, and not printed by this release yet.
pub const PENDING: &[&str] = &[
    "pgweir_pg_blocks_hit_total",
    "pgweir_pg_blocks_read_total",
    "pgweir_pg_checkpoints_total",
    "pgweir_pg_connections",
    "pgweir_pg_connections_limit",
    "pgweir_pg_database_size_bytes",
    "pgweir_pg_deadlocks_total",
    "pgweir_pg_locks_waiting",
    "pgweir_pg_long_queries",
    "pgweir_pg_replication_lag_bytes",
    "pgweir_pg_replication_lag_seconds",
    "pgweir_pg_table_dead_rows_ratio",
    "pgweir_pg_table_vacuum_overdue_seconds",
    "pgweir_pg_wal_bytes_total",
    "pgweir_pins",
    "pgweir_sidecar_errors_total",
    "pgweir_sidecar_last_success_timestamp_seconds",
    "pgweir_sidecar_up",
    "pgweir_slow_log_lines_total",
    "pgweir_slow_log_suppressed_total",
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

/// Names that `/metrics` prints now, and those written out in the source: a family appears with its
/// first sample, and not every test can make every sample.
pub fn known(bouncer: &Running) -> BTreeSet<String> {
    let body = bouncer.http("/metrics");
    let printed = body
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let mut names: BTreeSet<String> = printed.map(str::to_owned).collect();
    assert!(names.len() > 20, "{body}");
    for room in ["http", "sidecar", "stats"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room);
        literals(&root, &mut names);
    }
    names
}

/// Whole string literals that are names.
fn literals(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the source") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            literals(&path, names);
        } else if path.file_name().is_some_and(|name| name != "tests.rs") {
            let text = std::fs::read_to_string(&path).expect("a source file");
            let words = text.split('"').skip(1).step_by(2);
            let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            let found =
                words.filter(|word| word.starts_with("pgweir_") && word.chars().all(is_name));
            names.extend(found.map(str::to_owned));
        }
    }
}
