//! `pgweir_listen_*` and `pgweir_notifications_*`: LISTEN through the pooler's own connections.

use super::exporter::{MAX_POOLS, OTHER};
use super::text::{Kind, Text};
use crate::listen::view::HubFigures;
use crate::pool::view::ListenRow;

/// Reads one figure.
type Figure = fn(&HubFigures) -> u64;

/// (family, kind, help, figure).
const FAMILIES: [(&str, Kind, &str, Figure); 6] = [
    (
        "pgweir_listen_connections",
        Kind::Gauge,
        "Listening connections that are open.",
        |figures| figures.connections as u64,
    ),
    (
        "pgweir_listen_clients",
        Kind::Gauge,
        "Clients that listen.",
        |figures| figures.clients as u64,
    ),
    (
        "pgweir_listen_channels",
        Kind::Gauge,
        "Channels that clients listen to.",
        |figures| figures.channels as u64,
    ),
    (
        "pgweir_notifications_received_total",
        Kind::Counter,
        "Notifications that PostgreSQL sent.",
        |figures| figures.received,
    ),
    (
        "pgweir_notifications_delivered_total",
        Kind::Counter,
        "Notifications that clients were given.",
        |figures| figures.delivered,
    ),
    (
        "pgweir_listen_reconnects_total",
        Kind::Counter,
        "Listening connections opened in place of one that was lost or given up.",
        |figures| figures.reconnects,
    ),
];

const DROPPED: [(&str, Figure); 2] = [
    ("listen_buffer", |figures| figures.dropped_overflow),
    ("gone", |figures| figures.dropped_gone),
];

/// Writes all families.
pub fn write(text: &mut Text, rows: &[ListenRow]) {
    let rows = fold(rows);
    for (name, kind, help, figure) in FAMILIES {
        let mut family = text.family(name, kind, help);
        for row in &rows {
            let labels = [("database", &*row.database), ("user", &*row.user)];
            family.sample(&labels, figure(&row.figures));
        }
    }
    let mut family = text.family(
        "pgweir_notifications_dropped_total",
        Kind::Counter,
        "Notifications that a client did not get: listen_buffer = it did not take them, gone = it left or unlistened.",
    );
    for row in &rows {
        for (reason, figure) in DROPPED {
            let labels = [
                ("database", &*row.database),
                ("user", &*row.user),
                ("reason", reason),
            ];
            family.sample(&labels, figure(&row.figures));
        }
    }
}

/// Pools beyond [`MAX_POOLS`] become one row.
fn fold(rows: &[ListenRow]) -> Vec<ListenRow> {
    let (kept, rest) = rows.split_at(rows.len().min(MAX_POOLS));
    let mut folded = kept.to_vec();
    let mut others = rest.iter().cloned().reduce(|mut sum, row| {
        sum.figures += row.figures;
        sum
    });
    if let Some(others) = &mut others {
        others.database = OTHER.into();
        others.user = OTHER.into();
    }
    folded.extend(others);
    folded
}
