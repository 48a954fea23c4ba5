//! SHOW TRANSACTIONS: profiles of transactions by the time they held servers.

use std::cmp::Reverse;

use super::{Cell, Column, Context, Rows};
use crate::admin::show::head;
use crate::insight::read::TransactionRow;
use crate::sql;

pub const COLUMNS: &[Column] = head![
    app T, heaviest T, xacts Q, commits Q, rollbacks Q, stmts F, mean_hold_ms F, p95_hold_ms F,
    server_pct F, think_pct F, max_repeat I, repeated T, database T, user T, fingerprint T,
];

/// Rows and notice.
pub fn show(context: &Context<'_>) -> (Rows, String) {
    let view = context.insight.read();
    let mut profiles = view.transactions(&context.filter());
    let count: u64 = profiles.iter().map(|row| row.figures.transactions).sum();
    let silent: u64 = profiles
        .iter()
        .map(|row| row.figures.silent_rollbacks)
        .sum();
    let min = context.options.min_calls;
    profiles.retain(|row| row.figures.transactions >= min);
    profiles.sort_by_key(|row| Reverse((row.figures.hold_us, row.figures.transactions)));
    let rows = profiles
        .iter()
        .map(|profile| row(context, profile))
        .collect();
    let mut notice = format!(
        "{} profiles, {count} transactions of several statements or begun by BEGIN {}",
        profiles.len(),
        context.span(&view),
    );
    if silent > 0 {
        notice += &format!("; {silent} COMMITs were answered with ROLLBACK");
    }
    (rows, notice)
}

fn row(context: &Context<'_>, profile: &TransactionRow) -> Vec<Cell> {
    let figures = &profile.figures;
    let count = figures.transactions.max(1) as f64;
    let hold = (figures.hold_us as f64).max(1.0);
    let percent = |us: u64| Cell::Real((100.0 * us as f64 / hold).min(100.0), 1);
    let repeated = match (figures.repeat.count, figures.repeat.is_varied) {
        (0 | 1, _) => Cell::Null,
        (n, true) => context.reader.line(&format!("{n}x {}", profile.repeated)),
        (n, false) => context
            .reader
            .line(&format!("{n}x the same {}", profile.repeated)),
    };
    vec![
        (*profile.app).into(),
        context.reader.line(&short(&profile.heaviest)),
        figures.transactions.into(),
        figures.commits.into(),
        figures.rollbacks.into(),
        Cell::real(figures.statements as f64 / count),
        Cell::ms(figures.hold_us as f64 / count),
        figures
            .histogram
            .quantile_us(0.95)
            .map_or(Cell::Null, Cell::ms),
        percent(figures.server_us),
        percent(figures.think_us),
        u64::from(figures.repeat.count).into(),
        repeated,
        (*profile.database).into(),
        (*profile.user).into(),
        format!("{:016x}", profile.key.heaviest).into(),
    ]
}

/// What a statement does to which table: `UPDATE "stock_quant"`.
fn short(text: &str) -> String {
    if text.starts_with('(') {
        return text.to_owned();
    }
    match sql::verb_and_relation(text) {
        (verb, Some(relation)) => format!("{} {relation}", verb.to_uppercase()),
        (verb, None) => verb.to_uppercase(),
    }
}
