//! SHOW STATEMENT: one fingerprint, whole, as names and values.
//!
//! Its groups (one per database and user) are added up; FOR and USER choose among them.

use std::collections::BTreeSet;

use super::{Column, Context, Rows, clock_time};
use crate::admin::show::head;
use crate::error::ClientError;
use crate::insight::figures::Figures;
use crate::insight::histogram::Histogram;
use crate::insight::names::Names;
use crate::insight::read::StatementRow;

pub const COLUMNS: &[Column] = head![name T, value T];

/// Rows and notice.
///
/// # Errors
/// No such statement.
pub fn show(context: &Context<'_>, fingerprint: u64) -> Result<(Rows, String), ClientError> {
    let view = context.insight.read();
    let options = context.options;
    let mut groups = match options.last {
        None => view.statement(fingerprint),
        Some(_) => view.statements(&context.filter()),
    };
    groups.retain(|group| {
        group.key.fingerprint == fingerprint && options.wants(&group.database, &group.user)
    });
    let Some(first) = groups.first() else {
        return Err(ClientError::console_unknown_fingerprint(fingerprint));
    };
    let mut figures = Figures::default();
    for group in &groups {
        figures.merge(&group.figures);
    }
    let mut sheet = Sheet(Rows::new());
    sheet.text("fingerprint", format!("{fingerprint:016x}"));
    sheet.text("database", names(&groups, |group| &group.database));
    sheet.text("user", names(&groups, |group| &group.user));
    sheet.text("class", format!("{:?}", first.class).to_lowercase());
    sheet.counts(&figures);
    sheet.times(&figures);
    sheet.fetched(&figures);
    sheet.seen(&figures);
    sheet.lists(&figures, &context.insight.names);
    sheet
        .0
        .push(vec!["query".into(), context.reader.whole(&first.text)]);
    let notice = format!("{} groups {}", groups.len(), context.span(&view));
    Ok((sheet.0, notice))
}

fn names(groups: &[StatementRow], of: impl Fn(&StatementRow) -> &str) -> String {
    let names: BTreeSet<&str> = groups.iter().map(of).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

struct Sheet(Rows);

impl Sheet {
    fn text(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push(vec![name.into().into(), value.into().into()]);
    }

    fn count(&mut self, name: &str, value: u64) {
        self.text(name, value.to_string());
    }

    /// The milliseconds of µs.
    fn ms(&mut self, name: &str, us: f64) {
        self.text(name, format!("{:.3}", us / 1e3));
    }

    fn counts(&mut self, figures: &Figures) {
        for (name, value) in [
            ("calls", figures.calls),
            ("errors", figures.errors),
            ("cancelled", figures.cancelled),
            ("abandoned", figures.abandoned),
            ("slow", figures.slow),
            ("over_100ms", figures.over[0]),
            ("over_500ms", figures.over[1]),
            ("over_2s", figures.over[2]),
            ("time_shared", figures.time_shared),
            ("rows", figures.rows),
            ("request_bytes", figures.request_bytes),
            ("result_bytes", figures.result_bytes),
        ] {
            self.count(name, value);
        }
    }

    fn times(&mut self, figures: &Figures) {
        let parts = &figures.parts;
        for (name, us) in [
            ("server_ms", parts.server),
            ("first_byte_ms", parts.first),
            ("commit_ms", parts.commit),
            ("blocked_ms", parts.blocked),
            ("prepare_ms", figures.prepare_us),
            ("wait_ms", parts.wait),
            ("transfer_ms", parts.transfer),
            ("think_ms", parts.think),
        ] {
            self.ms(name, us as f64);
        }
        self.ms("mean_ms", figures.mean_us());
        self.ms("stddev_ms", deviation(figures));
        if figures.min_us != u64::MAX {
            self.ms("min_ms", figures.min_us as f64);
        }
        for (name, q) in [("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99)] {
            if let Some(us) = figures.quantile_us(q) {
                self.ms(name, us);
            }
        }
        self.ms("max_ms", figures.slowest.server_us as f64);
    }

    /// What was fetched from its cursors; those FETCHes have a group of their own.
    fn fetched(&mut self, figures: &Figures) {
        let fetched = figures.fetched;
        if fetched.calls > 0 {
            self.count("fetches", fetched.calls);
            self.count("fetched_rows", fetched.rows);
            self.ms("fetch_ms", fetched.server_us as f64);
        }
    }

    fn seen(&mut self, figures: &Figures) {
        self.text("first_seen", clock_time(figures.first_seen_us));
        self.text("last_seen", clock_time(figures.last_seen_us));
        if figures.slowest.at_us != 0 {
            self.text("slowest_at", clock_time(figures.slowest.at_us));
            self.count("slowest_client", figures.slowest.client);
        }
    }

    fn lists(&mut self, figures: &Figures, names: &Names) {
        for (bucket, count) in figures.histogram.nonzero() {
            let bucket = usize::from(bucket);
            let low = Histogram::lower_us(bucket) as f64 / 1e3;
            let high = Histogram::upper_us(bucket) as f64 / 1e3;
            self.text(
                format!("histogram {low:.3}..{high:.3} ms"),
                count.to_string(),
            );
        }
        for (sqlstate, count) in &figures.sqlstates.0 {
            let sqlstate = String::from_utf8_lossy(sqlstate);
            self.text(format!("sqlstate {sqlstate}"), count.to_string());
        }
        for (app, count) in &figures.apps.0 {
            let app = names.app(*app).unwrap_or_default();
            self.text(format!("application {app}"), count.to_string());
        }
    }
}

/// Standard deviation of the server time, µs.
fn deviation(figures: &Figures) -> f64 {
    let count = (figures.calls + figures.errors) as f64;
    if count == 0.0 {
        return 0.0;
    }
    let mean = figures.mean_us();
    (figures.squares / count - mean * mean).max(0.0).sqrt()
}
