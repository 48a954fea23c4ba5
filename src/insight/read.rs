//! What readers get: the console's screens, `/metrics`, the slow log, the alerts.
//!
//! [`Insight::read`] collects first, so that what a client has an answer for is in what is shown.
//! Everything is copied out or borrowed for the time of a [`View`]; times are µs, readings of the
//! clock are monotonic µs (`stats::clock::to_wall` gives the wall clock). Rows come in no order.
//! Readers run on the control thread: lanes never take the lock behind a view. Do not hold a view
//! across an await.

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use super::Insight;
use super::figures::{AppId, Figures, PoolFigures, TransactionFigures};
use super::global::Global;
use super::labels;
use super::lane::{GroupKey, PoolId, SlowStatement, TransactionKey};
use super::names::PoolName;
use crate::sql::{self, Class};

/// Which rows, and of which time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// `LAST`: only what ended so long ago at most (1 minute to 1 hour; [`View::span_us`] says what
    /// is really covered). `None`: since the last reset.
    pub window: Option<Duration>,
    /// `FOR`: the database as clients name it.
    pub database: Option<String>,
    /// `USER`: the pool's user.
    pub user: Option<String>,
    /// `APP`: the masked application name. Groups of statements are kept whole: those that the
    /// application is one of the most frequent users of, with the figures of all their users.
    pub app: Option<String>,
    /// `MIN CALLS`: at least so many calls and errors, or transactions.
    pub min_calls: u64,
}

impl Filter {
    fn takes_pool(&self, (database, user): &PoolName) -> bool {
        let is = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|w| w == is);
        is(&self.database, database) && is(&self.user, user)
    }

    fn takes_app(&self, insight: &Insight, mut apps: impl Iterator<Item = AppId>) -> bool {
        let Some(wanted) = self.app.as_deref() else {
            return true;
        };
        apps.any(|app| insight.names.app(app).as_deref() == Some(wanted))
    }
}

/// A group of statements.
#[derive(Clone, Debug)]
pub struct StatementRow {
    /// Fingerprint and pool.
    pub key: GroupKey,
    /// As clients name it.
    pub database: Arc<str>,
    /// The pool's user.
    pub user: Arc<str>,
    /// Normalised, at most 4 KiB; a label in parentheses for groups that are no statement.
    pub text: Arc<str>,
    /// What it does.
    pub class: Class,
    /// What it amounts to.
    pub figures: Figures,
    /// Statements whose time could not be told apart: its time is nowhere else, and its calls are
    /// arrivals, which are not to be added to those of statements.
    pub is_composite: bool,
}

/// A statement that was slow.
#[derive(Clone, Debug)]
pub struct SlowRow {
    /// Counts up from 1; gaps do not occur, so that a reader sees what it has missed.
    pub number: u64,
    /// As clients name it.
    pub database: Arc<str>,
    /// The pool's user; the login's is in `statement.login`.
    pub user: Arc<str>,
    /// Normalised.
    pub text: Arc<str>,
    /// The statement itself.
    pub statement: Arc<SlowStatement>,
}

/// A profile of transactions.
#[derive(Clone, Debug)]
pub struct TransactionRow {
    /// Heaviest statement, pool and application.
    pub key: TransactionKey,
    /// As clients name it.
    pub database: Arc<str>,
    /// The pool's user.
    pub user: Arc<str>,
    /// Masked.
    pub app: Arc<str>,
    /// Normalised text of the heaviest statement.
    pub heaviest: Arc<str>,
    /// Normalised text of the most repeated statement; empty when none is.
    pub repeated: Arc<str>,
    /// What it amounts to.
    pub figures: TransactionFigures,
}

/// A pool.
#[derive(Clone, Debug)]
pub struct PoolRow {
    /// Its number.
    pub id: PoolId,
    /// As clients name it.
    pub database: Arc<str>,
    /// The pool's user.
    pub user: Arc<str>,
    /// What it amounts to.
    pub figures: PoolFigures,
}

/// What became of a fingerprint's texts.
#[derive(Clone, Debug)]
pub struct Texts {
    /// Constants are `$n`.
    pub normalised: Arc<str>,
    /// Constants are `'?'` and `0`, which pgbadger understands.
    pub redacted: Arc<str>,
}

impl Texts {
    /// Begins the text of several statements.
    pub const COMPOSED: &str = "(pipeline)";

    /// Whether it is put together of several statements.
    pub fn is_composed(&self) -> bool {
        self.normalised.starts_with(Self::COMPOSED)
    }
}

/// The table itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Groups kept apart now.
    pub groups: u64,
    /// `statement_table_size`.
    pub groups_limit: u64,
    /// Groups that were evicted since the start.
    pub evictions: u64,
    /// Statements since the start that went to `(evicted)` before they had a group.
    pub overflowed: u64,
    /// Texts for which there was no room, since the start.
    pub texts_dropped: u64,
    /// Slow statements since the start.
    pub slow: u64,
    /// Of these, the ones there was no room for.
    pub slow_dropped: u64,
    /// Lines written to the slow log.
    pub slow_log_lines: u64,
    /// Lines left out of it.
    pub slow_log_suppressed: u64,
}

/// Everything as it is now; nobody else reads or collects while it lives, so take one at a time.
pub struct View<'a> {
    pub(super) insight: &'a Insight,
    pub(super) global: MutexGuard<'a, Global>,
    pub(super) now_us: u64,
}

impl View<'_> {
    /// Groups of statements.
    pub fn statements(&self, filter: &Filter) -> Vec<StatementRow> {
        let mut rows = Vec::new();
        self.each_group(filter.window, |key, figures| {
            let calls = figures.calls + figures.errors;
            let apps = figures.apps.0.iter().map(|(app, _)| *app);
            if calls < filter.min_calls || !filter.takes_app(self.insight, apps) {
                return;
            }
            let name = self.pool_name(key.pool);
            if filter.takes_pool(&name) {
                rows.push(self.row(key, name, figures));
            }
        });
        rows
    }

    /// The groups of one fingerprint, one per pool, since the last reset.
    pub fn statement(&self, fingerprint: u64) -> Vec<StatementRow> {
        let mut rows = Vec::new();
        self.each_group(None, |key, figures| {
            if key.fingerprint == fingerprint {
                rows.push(self.row(key, self.pool_name(key.pool), figures));
            }
        });
        rows
    }

    fn each_group(&self, window: Option<Duration>, mut visit: impl FnMut(GroupKey, &Figures)) {
        match window {
            Some(window) => {
                let groups = self.global.windows.groups(window, self.now_us);
                groups
                    .iter()
                    .for_each(|(key, figures)| visit(*key, figures));
            }
            None => self.global.table.iter().for_each(|(k, f)| visit(k, f)),
        }
    }

    fn row(&self, key: GroupKey, (database, user): PoolName, figures: &Figures) -> StatementRow {
        StatementRow {
            key,
            database,
            user,
            text: self.text_or_label(key.fingerprint),
            class: figures.class,
            is_composite: figures.class == Class::Composite,
            figures: figures.clone(),
        }
    }

    /// The last slow statements, at most 1000; `min_calls` does not apply.
    pub fn slow(&self, filter: &Filter) -> Vec<SlowRow> {
        let since = filter.window.map_or(0, |window| {
            let span = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
            self.now_us.saturating_sub(span)
        });
        self.slow_rows(0)
            .filter(|row| row.statement.ended_us >= since)
            .filter(|row| filter.takes_pool(&(Arc::clone(&row.database), Arc::clone(&row.user))))
            .filter(|row| {
                let app = row.statement.application.as_deref().unwrap_or("");
                filter.takes_app(self.insight, [self.insight.names.app_id(app)].into_iter())
            })
            .collect()
    }

    /// Slow statements behind number `after`, oldest first: what a log has not written yet.
    pub fn slow_since(&self, after: u64) -> Vec<SlowRow> {
        self.slow_rows(after).collect()
    }

    fn slow_rows(&self, after: u64) -> impl Iterator<Item = SlowRow> + '_ {
        self.global.slow.since(after).map(|(number, statement)| {
            let (database, user) = self.pool_name(statement.key.pool);
            SlowRow {
                number,
                database,
                user,
                text: self.text_or_label(statement.key.fingerprint),
                statement: Arc::clone(statement),
            }
        })
    }

    /// Profiles of transactions.
    pub fn transactions(&self, filter: &Filter) -> Vec<TransactionRow> {
        let mut rows = Vec::new();
        let of_window = filter
            .window
            .map(|window| self.global.windows.transactions(window, self.now_us));
        let profiles = of_window.as_ref();
        for (&key, figures) in profiles.unwrap_or(&self.global.transactions.profiles) {
            let name = self.pool_name(key.pool);
            if figures.transactions < filter.min_calls
                || !filter.takes_pool(&name)
                || !filter.takes_app(self.insight, [key.app].into_iter())
            {
                continue;
            }
            rows.push(self.transaction_row(key, name, figures));
        }
        rows
    }

    fn transaction_row(
        &self,
        key: TransactionKey,
        (database, user): PoolName,
        figures: &TransactionFigures,
    ) -> TransactionRow {
        let repeated = match figures.repeat.count {
            0 => Arc::default(),
            _ => self.text_or_label(figures.repeat.fingerprint),
        };
        TransactionRow {
            key,
            database,
            user,
            app: self.insight.names.app(key.app).unwrap_or_default(),
            heaviest: self.text_or_label(key.heaviest),
            repeated,
            figures: figures.clone(),
        }
    }

    /// Pools in which anything happened, in a window or since the last reset.
    pub fn pools(&self, window: Option<Duration>) -> Vec<PoolRow> {
        let row = |id, figures| {
            let (database, user) = self.pool_name(id);
            PoolRow {
                id,
                database,
                user,
                figures,
            }
        };
        match window {
            Some(window) => {
                let pools = self.global.windows.pools(window, self.now_us);
                pools.into_iter().map(|(id, pool)| row(id, pool)).collect()
            }
            None => {
                let pools = self.global.pools.iter();
                pools
                    .map(|(id, totals)| row(id, totals.since_reset.clone()))
                    .collect()
            }
        }
    }

    /// The texts of a fingerprint, as far as they are kept.
    pub fn texts(&self, fingerprint: u64) -> Option<&Texts> {
        self.global.texts.get(fingerprint)
    }

    /// The normalised text of a fingerprint, or the label of a group that is no statement.
    pub fn text(&self, fingerprint: u64) -> Option<Arc<str>> {
        match self.global.texts.get(fingerprint) {
            Some(texts) => Some(Arc::clone(&texts.normalised)),
            None => labels::text(fingerprint).map(Arc::from),
        }
    }

    /// What a fingerprint does, as far as its text is known or it has ended once.
    pub fn class(&self, fingerprint: u64) -> Option<Class> {
        // Its text says it sooner than a walk through all groups.
        if let Some(texts) = self.global.texts.get(fingerprint) {
            if texts.is_composed() {
                return Some(Class::Composite);
            }
            let text = texts.normalised.as_bytes();
            return Some(sql::single(text, sql::Rules::default()).class);
        }
        let mut groups = self.global.table.iter();
        let group = groups.find(|(key, _)| key.fingerprint == fingerprint);
        group.map(|(_, figures)| figures.class)
    }

    fn text_or_label(&self, fingerprint: u64) -> Arc<str> {
        self.text(fingerprint)
            .unwrap_or_else(|| Arc::from("(text not kept)"))
    }

    /// When RESET STATEMENTS last ran, or the start; monotonic µs.
    pub fn stats_since_us(&self) -> u64 {
        self.global.since_us
    }

    /// The time that a window really covers, µs; `None`: since the last reset.
    pub fn span_us(&self, window: Option<Duration>) -> u64 {
        let since = match window {
            Some(window) => self.global.windows.since_us(window, self.now_us),
            None => self.global.since_us,
        };
        self.now_us.saturating_sub(since)
    }

    /// When this view was taken, monotonic µs.
    pub fn now_us(&self) -> u64 {
        self.now_us
    }

    /// The table itself.
    pub fn totals(&self) -> Totals {
        let (slow_log_lines, slow_log_suppressed) = self.insight.slow_log_counts();
        Totals {
            slow_log_lines,
            slow_log_suppressed,
            ..self.global.totals()
        }
    }

    pub(super) fn pool_name(&self, id: PoolId) -> PoolName {
        let other = || (Arc::from("(other)"), Arc::from("(other)"));
        self.insight.names.pool(id).unwrap_or_else(other)
    }
}
