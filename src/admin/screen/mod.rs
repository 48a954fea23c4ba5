//! Our own screens: statements, slow ones, activity, locks, transactions, alerts, the benchmark row.
//!
//! Owns their columns and rows. Reads slots, the statement table and what the sidecar last saw; asks
//! nobody, so that a screen comes even when PostgreSQL does not answer. What is not known is shown
//! as `unknown` with its reason, never as an empty table or a zero. Screens: operator.md 3.
//!
//! ```text
//! arrange.rs       order, limit                   texts.rs     who may read what, cut to a line
//! sessions.rs      who is not idle, and at what   knots.rs     who waits for whose lock
//! activity.rs      SHOW ACTIVITY                  blocked.rs   SHOW BLOCKED
//! statements.rs    SHOW STATEMENTS                statement.rs SHOW STATEMENT
//! slow.rs          SHOW SLOW                      benchmark.rs SHOW BENCHMARK
//! transactions.rs  SHOW TRANSACTIONS              alerts.rs    SHOW ALERTS
//! listeners.rs     SHOW LISTENERS
//! ```

mod activity;
mod alerts;
mod arrange;
mod benchmark;
mod blocked;
mod knots;
mod listeners;
mod sessions;
mod slow;
mod statement;
mod statements;
#[cfg(test)]
mod tests;
mod texts;
mod transactions;

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::asks::{Options, Screen};
use super::rows::{Cell, Column, Table};
use crate::error::ClientError;
use crate::insight::{Filter, Insight, View};
use crate::pool::Directory;
use crate::sql;
use crate::stats::clock::to_wall;

pub use alerts::tick_alerts;
pub use sessions::{Session, State, sessions};
pub use texts::Reader;

/// A screen, ready to be sent.
pub struct Shown {
    /// Columns and rows.
    pub table: Table,
    /// Totals, window and age.
    pub notice: String,
}

type Rows = Vec<Vec<Cell>>;

/// What every screen is made from.
pub struct Context<'a> {
    /// Pools and clients.
    pub directory: &'a Directory,
    /// Statements.
    pub insight: &'a Insight,
    /// What was asked for.
    pub options: &'a Options,
    /// Who asks.
    pub reader: Reader,
}

impl Context<'_> {
    /// LAST as a duration.
    fn window(&self) -> Option<Duration> {
        let last = self.options.last;
        last.map(|last| Duration::from_secs(last.seconds()))
    }

    /// FOR, USER, APP and LAST. MIN CALLS is left to the screen, whose sums are over all rows.
    fn filter(&self) -> Filter {
        let app = self.options.app.as_deref();
        Filter {
            window: self.window(),
            database: self.options.database.clone(),
            user: self.options.user.clone(),
            app: app.map(sql::mask_application),
            min_calls: 0,
        }
    }

    /// `in the last 5m`, with the time that is really covered where that differs; or since when.
    fn span(&self, view: &View<'_>) -> String {
        let covered = view.span_us(self.window()) / 1_000_000;
        match self.options.last {
            None => format!("since {}", clock_time(view.stats_since_us())),
            Some(last) if covered.abs_diff(last.seconds()) <= 1 => {
                format!("in the last {}", last.as_str())
            }
            Some(last) => format!("in the last {} ({covered} s covered)", last.as_str()),
        }
    }
}

/// The columns of a screen.
pub fn columns(screen: &Screen) -> &'static [Column] {
    match screen {
        Screen::Statements => statements::COLUMNS,
        Screen::Statement(_) => statement::COLUMNS,
        Screen::Slow => slow::COLUMNS,
        Screen::Activity => activity::COLUMNS,
        Screen::Blocked => blocked::COLUMNS,
        Screen::Transactions => transactions::COLUMNS,
        Screen::Benchmark(_) => benchmark::COLUMNS,
        Screen::Alerts => alerts::COLUMNS,
        Screen::Listeners => listeners::COLUMNS,
    }
}

/// A screen as of now.
///
/// # Errors
/// ORDER BY of an unknown column, an unknown fingerprint, or statements that are not counted.
pub fn show(screen: &Screen, context: &Context<'_>) -> Result<Shown, ClientError> {
    let columns = columns(screen);
    let order = arrange::Arrangement::of(context.options, columns)?;
    let (mut rows, notice) = match screen {
        Screen::Statements => counted(context, statements::show(context))?,
        Screen::Statement(named) => statement::show(context, *named)?,
        Screen::Slow => counted(context, slow::show(context))?,
        Screen::Transactions => counted(context, transactions::show(context))?,
        Screen::Benchmark(name) => benchmark::show(context, name.as_deref()),
        Screen::Activity => activity::show(context),
        Screen::Blocked => blocked::show(context),
        Screen::Alerts => alerts::show(context),
        Screen::Listeners => listeners::show(context),
    };
    let order = match screen {
        Screen::Statement(_) => order.unless_told(usize::MAX, context.options),
        _ => order,
    };
    let hidden = order.apply(&mut rows);
    Ok(Shown {
        table: Table { columns, rows },
        notice: with_hidden(notice, hidden),
    })
}

/// An empty table must not mean that nothing is counted.
fn counted(context: &Context<'_>, shown: (Rows, String)) -> Result<(Rows, String), ClientError> {
    if shown.0.is_empty() && !context.insight.is_enabled() {
        return Err(ClientError::console_insight_off());
    }
    Ok(shown)
}

fn with_hidden(notice: String, hidden: usize) -> String {
    match hidden {
        0 => notice,
        n => format!("{notice}; {n} more rows with LIMIT ALL"),
    }
}

/// A monotonic reading as local time, `2026-10-01 03:14:08.201`.
fn clock_time(us: u64) -> String {
    let at = Timestamp::try_from(to_wall(us)).unwrap_or_default();
    let local = at.to_zoned(TimeZone::system());
    local.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
}
