//! Thresholds over what we count ourselves: statements, waits, sessions, limits.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Reading, reading};
use crate::admin::screen::sessions::{Session, State, sessions};
use crate::insight::alerts::{Counters, Limits, Watch};
use crate::insight::figures::PoolFigures;
use crate::pool::{Directory, view};
use crate::stats::Event;
use crate::stats::clock::now_us;
use crate::stats::counters::{WAIT_BOUNDS_US, Waits};

const FIVE_MINUTES: Duration = Duration::from_secs(300);
const FIVE_US: u64 = 300_000_000;
const FIFTEEN_US: u64 = 900_000_000;
/// Statements below which a mean says nothing.
const ENOUGH: u64 = 100;
const UNJUDGED: Limits = Limits {
    warning: None,
    critical: None,
    is_floor: false,
};
/// Reasons of errors that mean that a client was turned away.
const REFUSED: [&str; 3] = [
    "query_wait_timeout",
    "max_client_conn",
    "server_login_retry",
];

/// A client has named a database that does not exist, or asks whether it does, as Odoo: no fault of the
/// servers'.
const MISSING_DATABASE: &str = "3D000";

/// Counters as of now.
pub fn counters(directory: &Directory) -> Counters {
    let shared = &directory.shared;
    let mut counters = Counters::default();
    for (event, _, label, count) in shared.events.snapshot() {
        match event {
            Event::ClientError if REFUSED.contains(&&*label) => counters.refused += count,
            Event::ServerLoginFailure if &*label != MISSING_DATABASE => {
                counters.login_failures += count;
            }
            _ => {}
        }
    }
    let totals = shared.insight.read().totals();
    counters.evictions = totals.evictions + totals.overflowed;
    let targets = shared.insight.targets.rows().into_iter();
    counters.targets = targets
        .map(|(name, calls, missed)| (name.to_string(), (calls, missed)))
        .collect();
    let waits = view::waits(shared).into_iter();
    counters.waits = waits
        .map(|row| ((row.database.to_string(), row.user.to_string()), row.counts))
        .collect();
    counters
}

/// All of them.
pub fn readings(
    directory: &Directory,
    counters: &Counters,
    watch: &Watch,
    now: u64,
) -> Vec<Reading> {
    let mut all = Vec::new();
    let sessions = sessions(directory);
    statements(directory, &mut all);
    oldest(&sessions, &mut all);
    pool_wait(&sessions, counters, watch, &mut all);
    limits(directory, &mut all);
    let (before, _) = watch.before(FIVE_US, now);
    refused(directory, counters, &before, &mut all);
    let (before, _) = watch.before(FIFTEEN_US, now);
    evictions(directory, counters, &before, &mut all);
    targets(counters, &before, &mut all);
    let has_failed = f64::from(u8::from(watch.has_reload_failed()));
    all.push(Reading {
        culprit: "the last RELOAD changed nothing: see the log".to_owned(),
        next: "RELOAD".to_owned(),
        ..reading("reload_failed", Limits::warning(0.0), has_failed)
    });
    all
}

/// Clients turned away and logins refused in five minutes.
fn refused(directory: &Directory, counters: &Counters, before: &Counters, all: &mut Vec<Reading>) {
    let failing = format!(
        "logins that PostgreSQL refused in 5 minutes{}",
        failing_databases(directory)
    );
    for (alert, now, before, what, next) in [
        (
            "clients_refused",
            counters.refused,
            before.refused,
            "clients turned away in 5 minutes".to_owned(),
            "SHOW POOLS",
        ),
        (
            "server_login_failing",
            counters.login_failures,
            before.login_failures,
            failing,
            "SHOW DATABASES",
        ),
    ] {
        let count = now.saturating_sub(before) as f64;
        all.push(Reading {
            culprit: what,
            next: next.to_owned(),
            ..reading(alert, Limits::critical(0.0), count)
        });
    }
}

/// `: database (sqlstate), ...` of all that were ever refused; empty without one.
fn failing_databases(directory: &Directory) -> String {
    let events = directory.shared.events.snapshot();
    let failing = events.iter().filter(|(event, _, label, count)| {
        *event == Event::ServerLoginFailure && &**label != MISSING_DATABASE && *count > 0
    });
    let mut names: Vec<_> = failing
        .map(|(_, database, label, _)| format!("{database} ({label})"))
        .collect();
    names.sort();
    match names.is_empty() {
        true => String::new(),
        false => format!(": {}", names.join(", ")),
    }
}

/// Share of statements that found no row of their own, over a quarter of an hour.
fn evictions(
    directory: &Directory,
    counters: &Counters,
    before: &Counters,
    all: &mut Vec<Reading>,
) {
    let evicted = counters.evictions.saturating_sub(before.evictions) as f64;
    let ended = statements_in(directory, Duration::from_secs(900)).max(1.0);
    all.push(Reading {
        is_sampled: true,
        culprit: "share of statements without a row of their own: statement_table_size".to_owned(),
        next: "SHOW STATEMENTS".to_owned(),
        ..reading("evictions", Limits::warning(0.01), evicted / ended)
    });
}

/// Share of a target's calls that took longer than it allows, over a quarter of an hour.
fn targets(counters: &Counters, before: &Counters, all: &mut Vec<Reading>) {
    let limits = Limits::warning(0.05);
    for (name, (calls, missed)) in &counters.targets {
        let (calls_before, missed_before) = before.targets.get(name).copied().unwrap_or_default();
        let calls = calls.saturating_sub(calls_before);
        let missed = missed.saturating_sub(missed_before);
        all.push(Reading {
            subject: name.clone(),
            is_sampled: true,
            culprit: format!("{name}: {missed} of {calls} calls took longer than its target"),
            next: "SHOW STATEMENTS LAST 15m ORDER BY max_ms DESC".to_owned(),
            ..reading("target_missed", limits, missed as f64 / calls.max(1) as f64)
        });
    }
    if counters.targets.is_empty() {
        all.push(Reading {
            culprit: "targets_file names none".to_owned(),
            ..reading("target_missed", limits, 0.0)
        });
    }
}

fn statements_in(directory: &Directory, window: Duration) -> f64 {
    let pools = directory.shared.insight.read().pools(Some(window));
    let counts = pools.iter().flat_map(|pool| pool.figures.classes);
    counts.sum::<u64>() as f64
}

/// Mean and p95 per database over five minutes, and deadlocks.
fn statements(directory: &Directory, all: &mut Vec<Reading>) {
    let pools = directory.shared.insight.read().pools(Some(FIVE_MINUTES));
    let mut databases: BTreeMap<String, PoolFigures> = BTreeMap::new();
    for pool in &pools {
        let sum = databases.entry(pool.database.to_string()).or_default();
        sum.merge(&pool.figures);
    }
    let mut deadlocks = 0;
    let worst = |database: &str, figures: &PoolFigures| {
        let count = figures.statements.count();
        let is_enough = count > ENOUGH;
        let mean = figures.statements.sum_us as f64 / count.max(1) as f64 / 1e6;
        let p95 = figures.statement_histogram.quantile_us(0.95);
        // A few statements are no mean: shown, not judged.
        let judged = |limits| if is_enough { limits } else { UNJUDGED };
        let of = |alert, limits, value: f64, column: &str| Reading {
            subject: database.to_owned(),
            is_sampled: true,
            culprit: format!("{database}, {count} statements in 5 minutes"),
            next: format!("SHOW STATEMENTS LAST 5m FOR '{database}' ORDER BY {column} DESC"),
            ..reading(alert, judged(limits), value)
        };
        let p95 = p95.unwrap_or_default() / 1e6;
        [
            of("statement_mean", Limits::over(0.1, 0.5), mean, "mean_ms"),
            of("statement_p95", Limits::over(0.5, 2.0), p95, "p95_ms"),
        ]
    };
    if databases.is_empty() {
        all.extend(worst("no database", &PoolFigures::default()));
    }
    for (database, figures) in &databases {
        all.extend(worst(database, figures));
        let codes = figures.sqlstates.0.iter();
        deadlocks += codes
            .filter(|(code, _)| code == b"40P01")
            .map(|(_, count)| count)
            .sum::<u64>();
    }
    all.push(Reading {
        culprit: "deadlocks in 5 minutes".to_owned(),
        next: "SHOW STATEMENTS LAST 5m ORDER BY errors DESC".to_owned(),
        ..reading("deadlocks", Limits::warning(0.0), deadlocks as f64)
    });
}

/// The oldest statement and the longest pause inside a transaction.
fn oldest(sessions: &[Session], all: &mut Vec<Reading>) {
    for (alert, limits, states, verb) in [
        (
            "query_over_an_hour",
            Limits::warning(3600.0),
            [State::Executing, State::LockWait],
            "CANCEL",
        ),
        (
            "idle_in_transaction",
            Limits::over(300.0, 3600.0),
            [State::IdleInTransaction; 2],
            "KILL_CLIENT",
        ),
    ] {
        let in_state = sessions.iter().filter(|s| states.contains(&s.state));
        let oldest = in_state.max_by_key(|session| session.state_us);
        let (age, culprit, next) = match oldest {
            None => (0, String::new(), String::new()),
            Some(session) => (
                session.state_us,
                format!(
                    "{} {}@{}, {}/{}",
                    session.slot.id,
                    session.app,
                    session.client(),
                    session.database,
                    session.user
                ),
                format!("{verb} {}", session.slot.id),
            ),
        };
        all.push(Reading {
            culprit,
            next,
            ..reading(alert, limits, age as f64 / 1e6)
        });
    }
}

/// p95 per pool over five minutes; who waits still counts with the time it has waited.
fn pool_wait(sessions: &[Session], counters: &Counters, watch: &Watch, all: &mut Vec<Reading>) {
    let (before, _) = watch.before(FIVE_US, now_us());
    let mut is_empty = true;
    for (pool, waits) in &counters.waits {
        let mut waits = *waits;
        if let Some(before) = before.waits.get(pool) {
            for (now, before) in waits.iter_mut().zip(before) {
                *now = now.saturating_sub(*before);
            }
        }
        let queued = sessions.iter().filter(|session| {
            session.state == State::Queued && session.pool() == (&*pool.0, &*pool.1)
        });
        let ages: Vec<u64> = queued.map(|session| session.state_us).collect();
        let longest = ages.iter().max().copied().unwrap_or(0);
        for age in &ages {
            waits[WAIT_BOUNDS_US.partition_point(|bound| bound < age)] += 1;
        }
        is_empty = false;
        all.push(Reading {
            subject: format!("{}/{}", pool.0, pool.1),
            is_sampled: true,
            culprit: format!("{}/{}: {} waiting", pool.0, pool.1, ages.len()),
            next: format!("SHOW ACTIVITY FOR '{}' ORDER BY behind DESC", pool.0),
            ..reading(
                "pool_wait_p95",
                Limits::over(0.1, 1.0),
                p95(&waits, longest) / 1e6,
            )
        });
    }
    if is_empty {
        all.push(reading("pool_wait_p95", Limits::over(0.1, 1.0), 0.0));
    }
}

/// Interpolated inside its bucket, µs; never more than `longest` in the last one.
fn p95(waits: &Waits, longest: u64) -> f64 {
    let total: u64 = waits.iter().sum();
    let rank = 0.95 * total as f64;
    let mut below = 0.0;
    let mut low = 0.0;
    for (at, &count) in waits.iter().enumerate() {
        let high = WAIT_BOUNDS_US.get(at).copied().unwrap_or(longest) as f64;
        let count = count as f64;
        if count > 0.0 && below + count >= rank {
            return low + (high.max(low) - low) * (rank - below) / count;
        }
        below += count;
        low = high;
    }
    0.0
}

/// Connections against our own limits.
fn limits(directory: &Directory, all: &mut Vec<Reading>) {
    let near = Limits::over(0.8, 0.95);
    let shared = &directory.shared;
    let mut has_limit = false;
    for database in view::databases(directory) {
        if database.max_connections == 0 {
            continue;
        }
        has_limit = true;
        let used = database.current_connections as f64;
        all.push(Reading {
            subject: database.name.to_string(),
            is_sampled: true,
            culprit: format!(
                "{}: {used} of {} servers",
                database.name, database.max_connections
            ),
            next: "SHOW DATABASES".to_owned(),
            ..reading(
                "servers_near_limit",
                near,
                used / database.max_connections as f64,
            )
        });
    }
    if !has_limit {
        all.push(Reading {
            culprit: "no database has max_db_connections".to_owned(),
            ..reading("servers_near_limit", near, 0.0)
        });
    }
    let clients = shared.registry.client_count();
    let max = shared.live().config.settings.max_client_conn;
    all.push(Reading {
        is_sampled: true,
        culprit: format!("{clients} of {max} clients"),
        next: "SHOW CLIENTS".to_owned(),
        ..reading(
            "clients_near_limit",
            near,
            clients as f64 / f64::from(max.max(1)),
        )
    });
}
