//! SHOW ALERTS: every documented threshold that can be seen from here, the worst first.
//!
//! ```text
//! own.rs    what we count ourselves       locks.rs  what the sidecar saw of locks
//! postgres.rs  what it heard of each server
//! ```
//! Judgement and memory are `insight::alerts`. The processor is not ours to see.

mod locks;
mod own;
mod postgres;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{Cell, Column, Context, Rows};
use crate::admin::show::head;
use crate::insight::alerts::{Level, Reading};
use crate::pool::Directory;
use crate::stats::clock::now_us;

pub const COLUMNS: &[Column] = head![
    alert T, state T, value F, limit F, culprit T, next T,
];

/// Rows and notice.
pub fn show(context: &Context<'_>) -> (Rows, String) {
    let mut judged = sample(context.directory);
    let options = context.options;
    let is_wanted = |reading: &Reading| {
        let is = |wanted: &Option<String>| {
            let wanted = wanted.as_deref();
            wanted.is_none_or(|wanted| reading.culprit.contains(wanted))
        };
        is(&options.database) && is(&options.user) && is(&options.app)
    };
    judged.retain(|(_, reading)| is_wanted(reading));
    judged.sort_by_key(|(level, _)| Reverse(*level));
    let count = |wanted| judged.iter().filter(|(level, _)| *level == wanted).count();
    let notice = format!(
        "{} critical, {} warning, {} unknown, {} OK as of now; the processor is not seen from here",
        count(Level::Critical),
        count(Level::Warning),
        count(Level::Unknown),
        count(Level::Ok),
    );
    (judged.iter().map(row).collect(), notice)
}

/// Measures and remembers. To be called every few seconds, so that a threshold is judged by more
/// than the moment somebody looks.
pub fn tick_alerts(directory: &Directory) {
    sample(directory);
}

fn sample(directory: &Directory) -> Vec<(Level, Reading)> {
    let now = now_us();
    let mut counters = own::counters(directory);
    postgres::counters(directory, &mut counters);
    let mut watch = directory.shared.insight.alerts();
    // Locks first: of two that are equally bad they are the cause, and a full pool the effect.
    let mut readings = locks::readings(directory);
    readings.extend(own::readings(directory, &counters, &watch, now));
    postgres::readings(directory, (&counters, &watch, now), &mut readings);
    watch.sample(&readings, counters, now);
    let judged = readings
        .into_iter()
        .map(|reading| (watch.level(&reading), reading));
    worst_of_each(judged)
}

/// Of each alert everybody who is not well; where all are, the one nearest to its limit.
fn worst_of_each(judged: impl Iterator<Item = (Level, Reading)>) -> Vec<(Level, Reading)> {
    let mut by_alert: BTreeMap<&'static str, Vec<(Level, Reading)>> = BTreeMap::new();
    let mut order = Vec::new();
    for (level, reading) in judged {
        if !by_alert.contains_key(reading.alert) {
            order.push(reading.alert);
        }
        by_alert
            .entry(reading.alert)
            .or_default()
            .push((level, reading));
    }
    let mut all = Vec::new();
    for alert in order {
        let mut group = by_alert.remove(alert).unwrap_or_default();
        group.sort_by(|a, b| badness(b).total_cmp(&badness(a)));
        let bad = group
            .iter()
            .filter(|(level, _)| *level != Level::Ok)
            .count();
        group.truncate(bad.max(1));
        all.extend(group);
    }
    all
}

fn badness((level, reading): &(Level, Reading)) -> f64 {
    let value = match &reading.value {
        Ok(value) if reading.limits.is_floor => -value,
        Ok(value) => *value,
        Err(_) => 0.0,
    };
    // Levels first; no measured value comes near this.
    f64::from(*level as u8) * 1e12 + value
}

fn row((level, reading): &(Level, Reading)) -> Vec<Cell> {
    let (value, culprit) = match &reading.value {
        Ok(value) => (Cell::real(*value), reading.culprit.clone()),
        Err(why) => (Cell::Null, why.clone()),
    };
    let next = match level {
        Level::Ok => String::new(),
        _ => reading.next.clone(),
    };
    vec![
        reading.alert.into(),
        level.as_str().into(),
        value,
        reading.limits.of(*level).map_or(Cell::Null, Cell::real),
        culprit.into(),
        next.into(),
    ]
}

/// One value that is measured.
fn reading(alert: &'static str, limits: crate::insight::alerts::Limits, value: f64) -> Reading {
    Reading {
        alert,
        subject: String::new(),
        value: Ok(value),
        limits,
        is_sampled: false,
        culprit: String::new(),
        next: String::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::insight::alerts::Limits;

    #[test]
    fn who_is_not_well_comes_alone_and_who_is_well_with_the_worst_value() {
        let of = |alert, subject: &str, value| Reading {
            subject: subject.to_owned(),
            ..reading(alert, Limits::over(1.0, 5.0), value)
        };
        let all = [
            of("a", "x", 0.5),
            of("a", "y", 0.9),
            of("b", "x", 0.5),
            of("b", "y", 2.0),
            of("b", "z", 9.0),
        ];
        let judged = all.into_iter().map(|reading| (reading.level(), reading));
        let rows = worst_of_each(judged);
        let shown: Vec<_> = rows
            .iter()
            .map(|(_, reading)| (reading.alert, &*reading.subject))
            .collect();
        assert_eq!(shown, [("a", "y"), ("b", "z"), ("b", "y")]);
    }

    #[test]
    fn a_new_pooler_is_well_and_says_what_it_cannot_know() {
        let directory = crate::admin::tests::directory();
        let judged = sample(&directory);
        assert!(judged.iter().all(|(level, _)| *level <= Level::Unknown));
        let lock_wait = judged.iter().find(|(_, r)| r.alert == "lock_wait").unwrap();
        assert_eq!(lock_wait.0, Level::Unknown);
        let cells = row(lock_wait);
        assert_eq!(cells[2], Cell::Null);
        assert!(matches!(&cells[4], Cell::Text(why) if why.contains("monitor_user")));
    }
}
