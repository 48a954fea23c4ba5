//! `pgweir_*`: what the exporter has no name for (operator.md 3.1, the part of pooling).

use super::exporter::{MAX_POOLS, OTHER};
use super::snapshot::Snapshot;
use super::text::{Kind, Text};
use crate::pool::view::WaitRow;
use crate::stats::counters::WAIT_BOUNDS_US;
use crate::stats::events::Event;
use crate::wire::version;

/// Writes all families.
pub fn write(text: &mut Text, snapshot: &Snapshot) {
    let build = [
        ("version", version::PGWEIR),
        ("pgbouncer_version", version::PGBOUNCER),
    ];
    text.family(
        "pgweir_build_info",
        Kind::Gauge,
        "Releases: own, and the one that is followed.",
    )
    .sample(&build, 1);
    write_lanes(text, snapshot);
    text.single(
        "pgweir_config_last_reload_successful",
        Kind::Gauge,
        "1 if the last reading of the configuration worked.",
        u8::from(snapshot.reload.is_successful),
    );
    text.single(
        "pgweir_config_last_reload_success_timestamp_seconds",
        Kind::Gauge,
        "When the configuration was last read without error.",
        snapshot.reload.success_seconds,
    );
    write_waits(text, &fold(&snapshot.waits));
    write_events(text, snapshot);
}

fn write_lanes(text: &mut Text, snapshot: &Snapshot) {
    let mut family = text.family(
        "pgweir_lane_cpu_seconds_total",
        Kind::Counter,
        "CPU time of the lane's thread, user and system.",
    );
    for (index, lane) in snapshot.lanes.iter().enumerate() {
        family.sample(&[("lane", &index.to_string())], lane.cpu.as_secs_f64());
    }
    let mut family = text.family("pgweir_lane_clients", Kind::Gauge, "Clients on the lane.");
    for (index, lane) in snapshot.lanes.iter().enumerate() {
        family.sample(&[("lane", &index.to_string())], lane.clients);
    }
}

fn write_waits(text: &mut Text, rows: &[WaitRow]) {
    let help = "How long clients waited for a server; 0 for those that did not queue.";
    let mut family = text.family("pgweir_pool_wait_seconds", Kind::Histogram, help);
    for row in rows {
        let labels = [("database", &*row.database), ("user", &*row.user)];
        family.histogram(labels, &WAIT_BOUNDS_US, &row.counts, row.sum_us);
    }
}

/// Pools beyond [`MAX_POOLS`] become one row per database.
fn fold(rows: &[WaitRow]) -> Vec<WaitRow> {
    let (kept, rest) = rows.split_at(rows.len().min(MAX_POOLS));
    let mut folded = kept.to_vec();
    for row in rest {
        match folded.last_mut() {
            Some(last) if last.database == row.database && &*last.user == OTHER => {
                last.sum_us += row.sum_us;
                for (sum, count) in last.counts.iter_mut().zip(row.counts) {
                    *sum += count;
                }
            }
            _ => folded.push(WaitRow {
                user: OTHER.into(),
                ..row.clone()
            }),
        }
    }
    folded
}

/// (event, family, help, name of the second label; empty for none).
const EVENTS: [(Event, &str, &str, &str); 10] = [
    (
        Event::ClientLogin,
        "pgweir_client_logins_total",
        "Logins of clients by result: ok, or why not.",
        "result",
    ),
    (
        Event::ClientError,
        "pgweir_client_errors_total",
        "Errors the pooler itself sent to clients.",
        "reason",
    ),
    (
        Event::ClientClosed,
        "pgweir_client_connections_closed_total",
        "Client connections that ended.",
        "reason",
    ),
    (
        Event::ServerOpened,
        "pgweir_server_connections_opened_total",
        "Server connections that logged in.",
        "",
    ),
    (
        Event::ServerClosed,
        "pgweir_server_connections_closed_total",
        "Server connections that ended.",
        "reason",
    ),
    (
        Event::ServerLoginFailure,
        "pgweir_server_login_failures_total",
        "Logins PostgreSQL refused.",
        "sqlstate",
    ),
    (
        Event::Reserve,
        "pgweir_reserve_connections_total",
        "Server connections taken from the reserve.",
        "user",
    ),
    (
        Event::Pin,
        "pgweir_pins_total",
        "Clients that began to keep their server between transactions.",
        "reason",
    ),
    (
        Event::Nested,
        "pgweir_nested_transactions_total",
        "Clients that waited for a server which another client of their process kept idle in its transaction, by what was done: reserve or error.",
        "result",
    ),
    (
        Event::SuspectServer,
        "pgweir_suspect_servers_total",
        "Servers given their settings anew, since code may have changed some unseen.",
        "reason",
    ),
];

fn write_events(text: &mut Text, snapshot: &Snapshot) {
    for (event, name, help, second) in EVENTS {
        let mut family = text.family(name, Kind::Counter, help);
        for (_, database, label, count) in snapshot.events.iter().filter(|row| row.0 == event) {
            let labels = [("database", database.as_str()), (second, label)];
            let used = if second.is_empty() {
                &labels[..1]
            } else {
                &labels[..]
            };
            family.sample(used, count);
        }
    }
}
