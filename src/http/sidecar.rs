//! `pgweir_sidecar_*`, `pgweir_pg_*`, and the operator's own series.
//!
//! What is not known has no sample: never a zero in its place. No text of a query is a label.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::text::{Kind, Text};
use crate::insight::Insight;
use crate::insight::health::{Answer, ErrorKey, Fact, Health, Sample, SeriesKind};

/// What the sidecar published, as one scrape sees it.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// By server.
    pub servers: Arc<Vec<Arc<Health>>>,
    /// By query, server, database.
    pub answers: Arc<Vec<Arc<Answer>>>,
    /// Failed questions.
    pub errors: Vec<(ErrorKey, u64)>,
}

impl Asked {
    /// One reading.
    pub fn of(insight: &Insight) -> Self {
        let health = &insight.health;
        Self {
            servers: health.servers(),
            answers: health.answers(),
            errors: health.errors(),
        }
    }
}

/// Writes all families but those of custom queries.
pub fn write(text: &mut Text, asked: &Asked) {
    write_sidecar(text, asked);
    write_servers(text, &asked.servers);
    write_databases(text, &asked.servers);
    write_replicas(text, &asked.servers);
    write_tables(text, &asked.servers);
}

fn write_sidecar(text: &mut Text, asked: &Asked) {
    let help = "1 if monitor_user is logged in.";
    let mut family = text.family("pgweir_sidecar_up", Kind::Gauge, help);
    for health in asked.servers.iter() {
        family.sample(&[("server", &health.server)], u8::from(health.is_up));
    }
    let name = "pgweir_sidecar_last_success_timestamp_seconds";
    let help = "When the server last answered questions about its health.";
    let mut family = text.family(name, Kind::Gauge, help);
    for health in asked.servers.iter() {
        if let Some(at) = health.last_success {
            family.sample(&[("server", &health.server)], at);
        }
    }
    let help = "Questions that failed.";
    let mut family = text.family("pgweir_sidecar_errors_total", Kind::Counter, help);
    for ((server, query, reason), count) in &asked.errors {
        let labels = [("server", &**server), ("query", query), ("reason", reason)];
        family.sample(&labels, count);
    }
}

fn write_servers(text: &mut Text, servers: &[Arc<Health>]) {
    let help = "Client connections of the server.";
    let mut family = text.family("pgweir_pg_connections", Kind::Gauge, help);
    for (health, connections) in known(servers, |health| &health.connections) {
        for (state, count) in &connections.by_state {
            family.sample(&[("server", &health.server), ("state", state)], count);
        }
    }
    let help = "max_connections without what is reserved.";
    let mut family = text.family("pgweir_pg_connections_limit", Kind::Gauge, help);
    for (health, connections) in known(servers, |health| &health.connections) {
        family.sample(&[("server", &health.server)], connections.limit);
    }
    let help = "Checkpoints: timed, or requested by too much WAL, a backup, a command.";
    let mut family = text.family("pgweir_pg_checkpoints_total", Kind::Counter, help);
    for (health, checkpoints) in known(servers, |health| &health.checkpoints) {
        let kinds = [
            ("timed", checkpoints.timed),
            ("requested", checkpoints.requested),
        ];
        for (kind, count) in kinds {
            family.sample(&[("server", &health.server), ("kind", kind)], count);
        }
    }
    let help = "WAL written.";
    let mut family = text.family("pgweir_pg_wal_bytes_total", Kind::Counter, help);
    for (health, bytes) in known(servers, |health| &health.wal_bytes) {
        family.sample(&[("server", &health.server)], bytes);
    }
}

/// The servers for which a value is known.
fn known<'a, T: 'a>(
    servers: &'a [Arc<Health>],
    fact: impl Fn(&'a Health) -> &'a Fact<T>,
) -> impl Iterator<Item = (&'a Health, &'a T)> {
    let of = move |health: &'a Arc<Health>| Some((&**health, fact(health).known()?));
    servers.iter().filter_map(of)
}

fn write_databases(text: &mut Text, servers: &[Arc<Health>]) {
    type Pick = fn(&crate::insight::health::DatabaseHealth) -> Option<u64>;
    let families: [(&str, Kind, &str, Pick); 4] = [
        (
            "pgweir_pg_blocks_hit_total",
            Kind::Counter,
            "Blocks found in shared buffers.",
            |database| Some(database.blocks_hit),
        ),
        (
            "pgweir_pg_blocks_read_total",
            Kind::Counter,
            "Blocks asked of the operating system.",
            |database| Some(database.blocks_read),
        ),
        (
            "pgweir_pg_deadlocks_total",
            Kind::Counter,
            "Deadlocks that PostgreSQL broke.",
            |database| Some(database.deadlocks),
        ),
        (
            "pgweir_pg_database_size_bytes",
            Kind::Gauge,
            "Size on disk.",
            |database| database.size_bytes,
        ),
    ];
    for (name, kind, help, pick) in families {
        let mut family = text.family(name, kind, help);
        for (health, databases) in known(servers, |health| &health.databases) {
            for database in databases {
                let labels = [("server", &*health.server), ("database", &database.name)];
                if let Some(value) = pick(database) {
                    family.sample(&labels, value);
                }
            }
        }
    }
    let help = "Statements running for more than five minutes; no dumps, no maintenance.";
    let mut family = text.family("pgweir_pg_long_queries", Kind::Gauge, help);
    for (health, counts) in known(servers, |health| &health.long_queries) {
        for (database, count) in counts {
            family.sample(&[("server", &health.server), ("database", database)], count);
        }
    }
    let help = "Sessions that wait for a lock.";
    let mut family = text.family("pgweir_pg_locks_waiting", Kind::Gauge, help);
    for (health, counts) in known(servers, |health| &health.locks_waiting) {
        for (database, count) in counts {
            family.sample(&[("server", &health.server), ("database", database)], count);
        }
    }
}

fn write_replicas(text: &mut Text, servers: &[Arc<Health>]) {
    let help = "How far a standby is behind; 0 when it has replayed everything.";
    let mut family = text.family("pgweir_pg_replication_lag_seconds", Kind::Gauge, help);
    for (health, replicas) in known(servers, |health| &health.replicas) {
        for replica in replicas {
            // NULL on the primary: nothing has been written lately, so nothing is behind.
            let labels = [("server", &*health.server), ("replica", &replica.replica)];
            family.sample(&labels, replica.lag_s.unwrap_or_default());
        }
    }
    let help = "WAL that a standby has not replayed.";
    let mut family = text.family("pgweir_pg_replication_lag_bytes", Kind::Gauge, help);
    for (health, replicas) in known(servers, |health| &health.replicas) {
        for replica in replicas {
            let labels = [("server", &*health.server), ("replica", &replica.replica)];
            if let Some(bytes) = replica.lag_bytes {
                family.sample(&labels, bytes);
            }
        }
    }
}

fn write_tables(text: &mut Text, servers: &[Arc<Health>]) {
    let families = [
        (
            "pgweir_pg_table_dead_rows_ratio",
            "Dead rows of all rows, for the worst tables.",
        ),
        (
            "pgweir_pg_table_vacuum_overdue_seconds",
            "How long a table has been seen due for a vacuum; 0 = it is not.",
        ),
    ];
    for (at, (name, help)) in families.into_iter().enumerate() {
        let mut family = text.family(name, Kind::Gauge, help);
        for health in servers {
            for (database, tables) in &health.tables {
                for table in tables.known().into_iter().flatten() {
                    let labels = [
                        ("server", &*health.server),
                        ("database", database),
                        ("schema", &table.schema),
                        ("table", &table.table),
                    ];
                    family.sample(&labels, [table.dead_ratio, table.overdue_s][at]);
                }
            }
        }
    }
}

/// Writes what custom queries said. A family has to stand in one piece, whichever queries, servers and databases it comes from.
pub fn write_custom(text: &mut Text, asked: &Asked) {
    let mut families: BTreeMap<&str, Vec<(&Answer, &Sample)>> = BTreeMap::new();
    for answer in asked.answers.iter() {
        for sample in &answer.samples {
            let family = families.entry(&sample.series).or_default();
            family.push((answer, sample));
        }
    }
    for (name, samples) in families {
        let Some((_, first)) = samples.first() else {
            continue;
        };
        let kind = match first.kind {
            SeriesKind::Gauge => Kind::Gauge,
            SeriesKind::Counter => Kind::Counter,
        };
        let help = first.help.clone();
        let mut family = text.family(name, kind, &help);
        for (answer, sample) in samples {
            let own = [("server", &*answer.server), ("database", &*answer.database)];
            let declared = sample.labels.iter().map(|(k, v)| (k.as_str(), v.as_str()));
            let labels: Vec<(&str, &str)> = own.into_iter().chain(declared).collect();
            family.sample(&labels, sample.value);
        }
    }
}
