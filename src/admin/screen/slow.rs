//! SHOW SLOW: the latest slow statements, the newest first.

use super::{Cell, Column, Context, Rows, clock_time};
use crate::admin::show::head;
use crate::insight::read::SlowRow;

pub const COLUMNS: &[Column] = head![
    ended T, total_ms F, wait_ms F, server_ms F, blocked_ms F, transfer_ms F, rows Q, sqlstate T,
    id Q, app T, client T, fingerprint T, query T,
];

/// Rows and notice.
pub fn show(context: &Context<'_>) -> (Rows, String) {
    let view = context.insight.read();
    let mut slow = view.slow(&context.filter());
    slow.sort_by_key(|row| std::cmp::Reverse(row.number));
    let rows = slow.iter().map(|slow| row(context, slow)).collect();
    let limit = match context.insight.slow_us() {
        u64::MAX => "slow_statement_ms = 0: none is kept".to_owned(),
        us => format!("server time over {} ms", us / 1000),
    };
    let totals = view.totals();
    let mut notice = format!(
        "{} slow statements ({limit}) {}",
        slow.len(),
        context.span(&view)
    );
    if totals.slow_dropped > 0 {
        notice += &format!("; {} more were only counted", totals.slow_dropped);
    }
    (rows, notice)
}

fn row(context: &Context<'_>, slow: &SlowRow) -> Vec<Cell> {
    let statement = &slow.statement;
    let parts = &statement.parts;
    let ms = |us: u64| Cell::ms(us as f64);
    let sample = statement.sample.as_deref();
    let text = match sample.filter(|_| context.reader.has_samples) {
        Some(sample) => String::from_utf8_lossy(sample),
        None => (*slow.text).into(),
    };
    vec![
        clock_time(statement.ended_us).into(),
        ms(parts.total()),
        ms(parts.wait),
        ms(parts.server),
        ms(parts.blocked),
        ms(parts.transfer),
        statement.rows.into(),
        String::from_utf8_lossy(&statement.sqlstate)
            .into_owned()
            .into(),
        statement.client.into(),
        statement.application.as_deref().unwrap_or_default().into(),
        statement.remote.host().into(),
        format!("{:016x}", statement.key.fingerprint).into(),
        context.reader.line(&text),
    ]
}
