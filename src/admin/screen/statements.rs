//! SHOW STATEMENTS: groups by their server time.

use std::cmp::Reverse;

use super::{Cell, Column, Context, Rows};
use crate::admin::show::head;
use crate::insight::read::StatementRow;

pub const COLUMNS: &[Column] = head![
    fingerprint T, database T, user T, pct F, calls Q, errors Q, rows_call F, server_ms F,
    mean_ms F, p95_ms F, max_ms F, blocked_ms F, wait_ms F, query T,
];

/// Rows and notice.
pub fn show(context: &Context<'_>) -> (Rows, String) {
    let view = context.insight.read();
    let mut groups = view.statements(&context.filter());
    let total_us: u64 = groups.iter().map(|group| group.figures.parts.server).sum();
    let own = |group: &&StatementRow| !group.is_composite;
    let calls: u64 = groups.iter().filter(own).map(|g| g.figures.calls).sum();
    let errors: u64 = groups.iter().filter(own).map(|g| g.figures.errors).sum();
    let min = context.options.min_calls;
    groups.retain(|group| group.figures.calls + group.figures.errors >= min);
    groups.sort_by_key(|group| Reverse((group.figures.parts.server, group.figures.calls)));
    let rows = groups.iter().map(|group| row(context, group, total_us));
    let rows = rows.collect();
    let notice = format!(
        "{} statements, {calls} calls, {errors} errors, {:.1} s of server time {}",
        groups.len(),
        total_us as f64 / 1e6,
        context.span(&view),
    );
    let totals = view.totals();
    let evicted = match totals.evictions + totals.overflowed {
        0 => String::new(),
        n => format!("; {n} evicted since the start"),
    };
    (rows, notice + &evicted)
}

fn row(context: &Context<'_>, group: &StatementRow, total_us: u64) -> Vec<Cell> {
    let figures = &group.figures;
    let server = figures.parts.server as f64;
    let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    let ended = (figures.calls + figures.errors) as f64;
    vec![
        format!("{:016x}", group.key.fingerprint).into(),
        (*group.database).into(),
        (*group.user).into(),
        Cell::Real(100.0 * share(server, total_us as f64), 1),
        figures.calls.into(),
        figures.errors.into(),
        Cell::real(share(figures.rows as f64, ended)),
        Cell::ms(server),
        Cell::ms(figures.mean_us()),
        figures.quantile_us(0.95).map_or(Cell::Null, Cell::ms),
        Cell::ms(figures.slowest.server_us as f64),
        Cell::ms(figures.parts.blocked as f64),
        Cell::ms(figures.parts.wait as f64),
        context.reader.line(&group.text),
    ]
}
