//! SHOW STATS, STATS_TOTALS, STATS_AVERAGES, TOTALS. COMPAT: the mixed naming is PgBouncer's.

use super::{Cell, Column, head};
use crate::pool::{Shared, view};
use crate::stats::Totals;
use crate::stats::clock::now_us;

pub const STATS: &[Column] = head![
    database T,
    total_server_assignment_count N, total_xact_count N, total_query_count N, total_received N,
    total_sent N, total_xact_time N, total_query_time N, total_wait_time N,
    total_client_parse_count N, total_server_parse_count N, total_bind_count N,
    total_client_login_count N,
    avg_server_assignment_count N, avg_xact_count N, avg_query_count N, avg_recv N, avg_sent N,
    avg_xact_time N, avg_query_time N, avg_wait_time N, avg_client_parse_count N,
    avg_server_parse_count N, avg_bind_count N, avg_client_login_count N,
];
pub const STATS_TOTALS: &[Column] = head![
    database T, server_assignment_count N, xact_count N, query_count N, bytes_received N,
    bytes_sent N, xact_time N, query_time N, wait_time N, client_parse_count N,
    server_parse_count N, bind_count N, client_login_count N,
];
pub const STATS_AVERAGES: &[Column] = head![
    database T, server_assignment_count N, xact_count N, query_count N, bytes_received N,
    bytes_sent N, xact_time N, query_time N, wait_time N, avg_client_parse_count N,
    avg_server_parse_count N, avg_bind_count N, avg_client_login_count N,
];
pub const TOTALS: &[Column] = head![name T, value N];

/// Names in SHOW TOTALS, each once behind `total_` and once behind `avg_`.
pub const NAMES: [&str; 12] = [
    "server_assignment_count",
    "xact_count",
    "query_count",
    "client_bytes",
    "server_bytes",
    "xact_time",
    "query_time",
    "wait_time",
    "ps_client_parse_count",
    "ps_server_parse_count",
    "ps_bind_count",
    "client_login_count",
];

fn cells(totals: &Totals) -> impl Iterator<Item = Cell> {
    totals.0.into_iter().map(Cell::from)
}

pub fn stats(shared: &Shared) -> Vec<Vec<Cell>> {
    let now = now_us();
    let rows = view::totals(shared).into_iter();
    rows.map(|(database, totals)| {
        let average = shared.averages.of(&database, &totals, now);
        let mut row = vec![Cell::from(&*database)];
        row.extend(cells(&totals).chain(cells(&average)));
        row
    })
    .collect()
}

pub fn stats_totals(shared: &Shared) -> Vec<Vec<Cell>> {
    let rows = view::totals(shared).into_iter();
    rows.map(|(database, totals)| {
        let mut row = vec![Cell::from(&*database)];
        row.extend(cells(&totals));
        row
    })
    .collect()
}

pub fn stats_averages(shared: &Shared) -> Vec<Vec<Cell>> {
    let now = now_us();
    let rows = view::totals(shared).into_iter();
    rows.map(|(database, totals)| {
        let mut row = vec![Cell::from(&*database)];
        row.extend(cells(&shared.averages.of(&database, &totals, now)));
        row
    })
    .collect()
}

pub fn totals(shared: &Shared) -> Vec<Vec<Cell>> {
    let mut sum = Totals::default();
    let mut average = Totals::default();
    let now = now_us();
    for (database, totals) in view::totals(shared) {
        sum.add(&totals);
        average.add(&shared.averages.of(&database, &totals, now));
    }
    let rows = |prefix: &'static str, totals: Totals| {
        let values = NAMES.into_iter().zip(totals.0);
        values.map(move |(name, value)| vec![format!("{prefix}{name}").into(), value.into()])
    };
    rows("total_", sum).chain(rows("avg_", average)).collect()
}
