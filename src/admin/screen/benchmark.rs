//! SHOW BENCHMARK: one row for a report, from the figures of all pools that are wanted.
//!
//! A transaction's latency is what its client saw of the pooler: from its first request to its last
//! answer, waiting for a server included.

use super::{Cell, Column, Context, Rows, clock_time};
use crate::admin::rows::Kind;
use crate::insight::figures::PoolFigures;

/// As the documented template has them.
pub const COLUMNS: &[Column] = &[
    ("Date", Kind::T),
    ("Workload", Kind::T),
    ("TPS", Kind::F),
    ("Avg latency", Kind::T),
    ("95th percentile", Kind::T),
    ("Notes", Kind::T),
];

/// The row and a notice.
pub fn show(context: &Context<'_>, workload: Option<&str>) -> (Rows, String) {
    let view = context.insight.read();
    let mut sum = PoolFigures::default();
    let mut pools = Vec::new();
    for pool in view.pools(context.window()) {
        if context.options.wants(&pool.database, &pool.user) {
            sum.merge(&pool.figures);
            pools.push(format!("{}/{}", pool.database, pool.user));
        }
    }
    let span_s = view.span_us(context.window()) as f64 / 1e6;
    let transactions = sum.transactions.count();
    let notice = format!("{transactions} transactions {}", context.span(&view));
    if transactions == 0 {
        let why = "no transactions in this span";
        let unknown = || Cell::from("unknown");
        let row = vec![
            date(view.now_us()),
            name(workload, &pools),
            Cell::Null,
            unknown(),
            unknown(),
            why.into(),
        ];
        return (vec![row], notice);
    }
    let mean_us = (sum.transactions.sum_us + sum.parts.wait) as f64 / transactions as f64;
    let p95 = sum.transaction_histogram.quantile_us(0.95);
    let errors: u64 = sum.sqlstates.0.iter().map(|(_, count)| count).sum();
    let row = vec![
        date(view.now_us()),
        name(workload, &pools),
        Cell::real(transactions as f64 / span_s.max(1e-6)),
        latency(mean_us),
        p95.map_or(Cell::from("unknown"), latency),
        format!("{span_s:.0} s, {transactions} transactions, {errors} errors").into(),
    ];
    (vec![row], notice)
}

fn date(now_us: u64) -> Cell {
    let now = clock_time(now_us);
    now.split(' ').next().unwrap_or_default().into()
}

fn name(workload: Option<&str>, pools: &[String]) -> Cell {
    match (workload, pools) {
        (Some(name), _) => name.into(),
        (None, [one]) => one.as_str().into(),
        (None, all) => format!("{} pools", all.len()).into(),
    }
}

/// `45 ms` as the template writes it, with fractions where they matter.
fn latency(us: f64) -> Cell {
    match us / 1e3 {
        ms if ms < 10.0 => format!("{ms:.3}ms").into(),
        ms if ms < 100.0 => format!("{ms:.1}ms").into(),
        ms => format!("{ms:.0}ms").into(),
    }
}
