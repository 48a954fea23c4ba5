//! Thresholds: what is measured, judged against its limits, and when that counts.
//!
//! Owns the judgement and the memory it needs: levels of the last samples, counters of the last
//! quarter of an hour. Measures nothing itself and asks nobody. Limits: operator.md 3.2, where the
//! documented set-ups disagree the stricter one.

use std::collections::{HashMap, VecDeque};

use crate::stats::counters::Waits;

/// Samples in a row that raise an alert.
const RAISE: u8 = 2;
/// Samples in a row that clear it.
const CLEAR: u8 = 3;
/// How far back counters are kept, µs: the longest span of a threshold.
const KEPT_US: u64 = 15 * 60 * 1_000_000;
/// Samples that are kept at most, whoever takes them.
const SAMPLES: usize = 120;
/// A sample that comes sooner after the last one does not count, µs.
const APART_US: u64 = 1_000_000;

/// How bad it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Below its limits.
    #[default]
    Ok,
    /// Not measured.
    Unknown,
    /// Over the first limit.
    Warning,
    /// Over the second.
    Critical,
}

impl Level {
    /// As the console says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Ok => "OK",
            Level::Unknown => "unknown",
            Level::Warning => "WARNING",
            Level::Critical => "CRITICAL",
        }
    }
}

/// From which value on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// First limit.
    pub warning: Option<f64>,
    /// Second limit.
    pub critical: Option<f64>,
    /// Low values are the bad ones.
    pub is_floor: bool,
}

impl Limits {
    /// High values are bad.
    pub const fn over(warning: f64, critical: f64) -> Self {
        Self {
            warning: Some(warning),
            critical: Some(critical),
            is_floor: false,
        }
    }

    /// Low values are bad.
    pub const fn under(warning: f64, critical: f64) -> Self {
        Self {
            is_floor: true,
            ..Self::over(warning, critical)
        }
    }

    /// There is no worse than a warning.
    pub const fn warning(limit: f64) -> Self {
        Self {
            warning: Some(limit),
            critical: None,
            is_floor: false,
        }
    }

    /// It is critical at once.
    pub const fn critical(limit: f64) -> Self {
        Self {
            warning: None,
            critical: Some(limit),
            is_floor: false,
        }
    }

    /// How bad a value is. The limit itself is still good.
    pub fn judge(&self, value: f64) -> Level {
        let is_over = |limit: Option<f64>| match (limit, self.is_floor) {
            (None, _) => false,
            (Some(limit), false) => value > limit,
            (Some(limit), true) => value < limit,
        };
        if is_over(self.critical) {
            Level::Critical
        } else if is_over(self.warning) {
            Level::Warning
        } else {
            Level::Ok
        }
    }

    /// The limit that a level speaks of.
    pub fn of(&self, level: Level) -> Option<f64> {
        match level {
            Level::Critical => self.critical,
            _ => self.warning.or(self.critical),
        }
    }
}

/// One measured value.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Name of the threshold.
    pub alert: &'static str,
    /// Whose value: a database, a server, a pool; empty where there is only one.
    pub subject: String,
    /// The value, or why there is none.
    pub value: Result<f64, String>,
    /// Its limits.
    pub limits: Limits,
    /// A value that goes up and down by itself: one sample alone does not count.
    pub is_sampled: bool,
    /// Who is to blame, for people.
    pub culprit: String,
    /// What to type next.
    pub next: String,
}

impl Reading {
    /// How bad it is by itself.
    pub fn level(&self) -> Level {
        match &self.value {
            Ok(value) => self.limits.judge(*value),
            Err(_) => Level::Unknown,
        }
    }
}

/// Counters that only go up, read at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// Clients that were refused because something was full or gone.
    pub refused: u64,
    /// Logins that PostgreSQL refused.
    pub login_failures: u64,
    /// Statements that fell into `(evicted)`.
    pub evictions: u64,
    /// Checkpoints by server.
    pub checkpoints: HashMap<String, u64>,
    /// Calls and misses of the targets, by name.
    pub targets: HashMap<String, (u64, u64)>,
    /// How long clients waited, by database and user.
    pub waits: HashMap<(String, String), Waits>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Run {
    shown: Level,
    /// The lowest level of those in a row that were worse.
    worse: Level,
    worse_count: u8,
    /// The highest level of those in a row that were better.
    better: Level,
    better_count: u8,
}

impl Run {
    fn sample(&mut self, level: Level) {
        if level == Level::Unknown || self.shown == Level::Unknown {
            *self = Self {
                shown: level,
                ..Self::default()
            };
        } else if level > self.shown {
            self.worse = match self.worse_count {
                0 => level,
                _ => self.worse.min(level),
            };
            self.worse_count += 1;
            self.better_count = 0;
            if self.worse_count >= RAISE {
                *self = Self::showing(self.worse);
            }
        } else if level < self.shown {
            self.better = match self.better_count {
                0 => level,
                _ => self.better.max(level),
            };
            self.better_count += 1;
            self.worse_count = 0;
            if self.better_count >= CLEAR {
                *self = Self::showing(self.better);
            }
        } else {
            *self = Self::showing(level);
        }
    }

    fn showing(shown: Level) -> Self {
        Self {
            shown,
            ..Self::default()
        }
    }
}

/// The memory.
#[derive(Debug, Default)]
pub struct Watch {
    runs: HashMap<(&'static str, String), Run>,
    history: VecDeque<(u64, Counters)>,
    sampled_us: u64,
    has_reload_failed: bool,
}

impl Watch {
    /// How the last reload went.
    pub fn reloaded(&mut self, is_ok: bool) {
        self.has_reload_failed = !is_ok;
    }

    /// Whether the last reload failed.
    pub fn has_reload_failed(&self) -> bool {
        self.has_reload_failed
    }

    /// Takes a sample, unless the last one is a moment ago. Subjects that are gone are forgotten.
    pub fn sample(&mut self, readings: &[Reading], counters: Counters, now: u64) {
        if self.sampled_us != 0 && now.saturating_sub(self.sampled_us) < APART_US {
            return;
        }
        self.sampled_us = now;
        let mut runs = HashMap::with_capacity(readings.len());
        for reading in readings.iter().filter(|reading| reading.is_sampled) {
            let key = (reading.alert, reading.subject.clone());
            let mut run = self.runs.get(&key).copied().unwrap_or_default();
            run.sample(reading.level());
            runs.insert(key, run);
        }
        self.runs = runs;
        self.history.push_back((now, counters));
        while self.history.len() > SAMPLES || self.is_first_old(now) {
            self.history.pop_front();
        }
    }

    fn is_first_old(&self, now: u64) -> bool {
        let first = self.history.front();
        first.is_some_and(|(at, _)| now.saturating_sub(*at) > KEPT_US)
    }

    /// How bad a value is, its history considered.
    pub fn level(&self, reading: &Reading) -> Level {
        let level = reading.level();
        if !reading.is_sampled || level == Level::Unknown {
            return level;
        }
        let key = (reading.alert, reading.subject.clone());
        self.runs.get(&key).map_or(Level::Ok, |run| run.shown)
    }

    /// The counters of so long ago, or the oldest there are, and how long ago that really is, µs.
    /// Nothing before the first sample: then everything counts since the start.
    pub fn before(&self, span_us: u64, now: u64) -> (Counters, Option<u64>) {
        let is_within = |(at, _): &&(u64, Counters)| now.saturating_sub(*at) <= span_us;
        match self.history.iter().find(is_within) {
            Some((at, counters)) => (counters.clone(), Some(now.saturating_sub(*at))),
            None => (Counters::default(), None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(value: f64) -> Reading {
        Reading {
            alert: "x",
            subject: String::new(),
            value: Ok(value),
            limits: Limits::over(1.0, 5.0),
            is_sampled: true,
            culprit: String::new(),
            next: String::new(),
        }
    }

    #[test]
    fn limits_are_judged_from_both_sides() {
        let over = Limits::over(1.0, 5.0);
        assert_eq!(
            [1.0, 1.1, 5.0, 5.1].map(|value| over.judge(value)),
            [Level::Ok, Level::Warning, Level::Warning, Level::Critical]
        );
        let under = Limits::under(0.99, 0.95);
        assert_eq!(
            [0.99, 0.98, 0.94].map(|value| under.judge(value)),
            [Level::Ok, Level::Warning, Level::Critical]
        );
        assert_eq!(Limits::warning(0.0).judge(1e9), Level::Warning);
        assert_eq!(Limits::critical(0.0).judge(0.0), Level::Ok);
        assert_eq!(Limits::critical(0.0).judge(1.0), Level::Critical);
    }

    #[test]
    fn two_samples_raise_and_three_clear() {
        let mut watch = Watch::default();
        let mut now = 0;
        let mut after = |value: f64| {
            now += APART_US;
            let reading = reading(value);
            watch.sample(std::slice::from_ref(&reading), Counters::default(), now);
            watch.level(&reading)
        };
        assert_eq!(after(9.0), Level::Ok);
        assert_eq!(after(2.0), Level::Warning, "the lower of the two");
        assert_eq!(after(9.0), Level::Warning);
        assert_eq!(after(9.0), Level::Critical);
        assert_eq!(after(0.0), Level::Critical);
        assert_eq!(after(9.0), Level::Critical, "starts the count again");
        assert_eq!(after(0.0), Level::Critical);
        assert_eq!(after(2.0), Level::Critical);
        assert_eq!(after(0.0), Level::Warning, "the worst of the three");
    }

    #[test]
    fn a_sample_too_soon_does_not_count() {
        let mut watch = Watch::default();
        let high = [reading(9.0)];
        watch.sample(&high, Counters::default(), 10 * APART_US);
        watch.sample(&high, Counters::default(), 10 * APART_US + 1);
        assert_eq!(watch.level(&high[0]), Level::Ok);
    }

    #[test]
    fn what_is_not_measured_is_unknown_at_once_and_events_need_no_second_sample() {
        let watch = Watch::default();
        let unknown = Reading {
            value: Err("GRANT pg_monitor TO m".to_owned()),
            ..reading(0.0)
        };
        assert_eq!(watch.level(&unknown), Level::Unknown);
        let event = Reading {
            is_sampled: false,
            ..reading(9.0)
        };
        assert_eq!(watch.level(&event), Level::Critical);
    }

    #[test]
    fn counters_of_a_while_ago_are_found_and_old_ones_forgotten() {
        let mut watch = Watch::default();
        let minute = 60_000_000;
        assert_eq!(watch.before(minute, minute), (Counters::default(), None));
        for at in 1..100 {
            let counters = Counters {
                refused: at,
                ..Counters::default()
            };
            watch.sample(&[], counters, at * minute);
        }
        let (before, age) = watch.before(5 * minute, 99 * minute);
        assert_eq!((before.refused, age), (94, Some(5 * minute)));
        assert!(watch.history.len() <= 16);
    }
}
