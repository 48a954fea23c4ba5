//! Thresholds over what the sidecar last heard of each PostgreSQL server.
//!
//! A figure that could not be had is a reading without a value, with the reason.

use std::sync::Arc;

use super::{Reading, reading};
use crate::insight::alerts::{Counters, Limits, Watch};
use crate::insight::health::{Fact, Health};
use crate::pool::Directory;

/// Span of the checkpoint rate, µs.
const SPAN_US: u64 = 900_000_000;
/// Shorter than this a rate says nothing, µs.
const SHORTEST_US: u64 = 60_000_000;

const CONNECTIONS: Limits = Limits::over(0.8, 0.9);
const CACHE_HIT: Limits = Limits::under(0.99, 0.95);
const LAG: Limits = Limits::over(1.0, 5.0);
const DEAD_ROWS: Limits = Limits::warning(0.10);
const OVERDUE: Limits = Limits::over(3600.0, 14400.0);
const LONG_QUERIES: Limits = Limits::warning(5.0);
const CHECKPOINTS: Limits = Limits::over(1.0, 2.0);
const SIDECAR: Limits = Limits::warning(0.0);

/// Name and limits of what is unknown while no server is asked.
const ALL: [(&str, Limits); 7] = [
    ("pg_connections", CONNECTIONS),
    ("cache_hit", CACHE_HIT),
    ("replication_lag", LAG),
    ("long_queries", LONG_QUERIES),
    ("checkpoints_per_minute", CHECKPOINTS),
    ("dead_rows", DEAD_ROWS),
    ("vacuum_overdue", OVERDUE),
];

/// Checkpoints since PostgreSQL's start, by server.
pub fn counters(directory: &Directory, counters: &mut Counters) {
    for health in directory.shared.insight.health.servers().iter() {
        if let Fact::Known(done) = &health.checkpoints {
            let server = health.server.to_string();
            counters
                .checkpoints
                .insert(server, done.timed + done.requested);
        }
    }
}

/// All of them.
pub fn readings(
    directory: &Directory,
    (counters, watch, now): (&Counters, &Watch, u64),
    readings: &mut Vec<Reading>,
) {
    let servers = directory.shared.insight.health.servers();
    if servers.is_empty() {
        let why = match directory.shared.live().config.own.monitor_user.is_empty() {
            true => "sidecar: set monitor_user",
            false => "sidecar: no server has been looked at yet",
        };
        readings.extend(ALL.iter().map(|(alert, limits)| Reading {
            value: Err(why.to_owned()),
            ..reading(alert, *limits, 0.0)
        }));
        return;
    }
    for health in servers.iter() {
        let mut server = Server {
            health,
            readings: &mut *readings,
        };
        server.sidecar();
        server.connections();
        server.databases();
        server.replicas();
        server.long_queries();
        server.checkpoints(counters, watch, now);
        server.tables();
    }
}

struct Server<'a> {
    health: &'a Arc<Health>,
    readings: &'a mut Vec<Reading>,
}

impl Server<'_> {
    fn add(&mut self, (alert, limits): (&'static str, Limits), subject: &str, value: f64) {
        let server = &self.health.server;
        let culprit = match subject {
            "" => server.to_string(),
            subject => format!("{subject} on {server}"),
        };
        self.readings.push(Reading {
            subject: format!("{server}/{subject}"),
            culprit,
            is_sampled: true,
            ..reading(alert, limits, value)
        });
    }

    fn unknown(&mut self, (alert, limits): (&'static str, Limits), why: &str) {
        let server = &self.health.server;
        self.readings.push(Reading {
            subject: server.to_string(),
            value: Err(format!("{server}: {why}")),
            ..reading(alert, limits, 0.0)
        });
    }

    fn sidecar(&mut self) {
        // Not configured is no failure: what it would tell is unknown, with the reason.
        let is_down = !self.health.is_up && self.health.last_success.is_some();
        self.add(("sidecar_blind", SIDECAR), "", f64::from(u8::from(is_down)));
    }

    fn connections(&mut self) {
        let name = ("pg_connections", CONNECTIONS);
        match &self.health.connections {
            Fact::Unknown(why) => self.unknown(name, why),
            Fact::Known(found) => {
                let (used, limit) = (found.total(), found.limit.max(1));
                let subject = format!("{used} of {limit} connections");
                self.add(name, &subject, used as f64 / limit as f64);
                // Its text changes with every sample, and must not hide that it is the same.
                if let Some(last) = self.readings.last_mut() {
                    last.subject = self.health.server.to_string();
                }
            }
        }
    }

    fn databases(&mut self) {
        let name = ("cache_hit", CACHE_HIT);
        let found = match &self.health.databases {
            Fact::Unknown(why) => return self.unknown(name, why),
            Fact::Known(found) => found,
        };
        let with_ratio = || found.iter().filter_map(|d| Some((d, d.hit_ratio?)));
        for (database, ratio) in with_ratio() {
            self.add(name, &database.name, ratio);
        }
        if with_ratio().next().is_none() {
            // So few blocks were read that their share says nothing: nothing can be wrong.
            self.add(name, "fewer than 10,000 blocks were read", 1.0);
        }
    }

    fn replicas(&mut self) {
        let name = ("replication_lag", LAG);
        let found = match &self.health.replicas {
            Fact::Unknown(why) => return self.unknown(name, why),
            Fact::Known(found) => found,
        };
        for replica in found {
            self.add(name, &replica.replica, replica.lag_s.unwrap_or(0.0));
        }
        if found.is_empty() {
            self.add(name, "no replica", 0.0);
        }
    }

    fn long_queries(&mut self) {
        let name = ("long_queries", LONG_QUERIES);
        match &self.health.long_queries {
            Fact::Unknown(why) => self.unknown(name, why),
            Fact::Known(found) => {
                self.add(name, "", found.values().sum::<u64>() as f64);
                if let Some(last) = self.readings.last_mut() {
                    last.culprit = format!("running for over 5 minutes on {}", self.health.server);
                    last.next = "SHOW ACTIVITY ORDER BY state_s DESC".to_owned();
                }
            }
        }
    }

    fn checkpoints(&mut self, counters: &Counters, watch: &Watch, now: u64) {
        let name = ("checkpoints_per_minute", CHECKPOINTS);
        if let Fact::Unknown(why) = &self.health.checkpoints {
            return self.unknown(name, why);
        }
        let server = &*self.health.server;
        let done = counters.checkpoints.get(server).copied().unwrap_or(0);
        let (before, age) = watch.before(SPAN_US, now);
        let rate = match (before.checkpoints.get(server), age) {
            (Some(before), Some(age)) if age >= SHORTEST_US => {
                done.saturating_sub(*before) as f64 * 60e6 / age as f64
            }
            _ => 0.0,
        };
        self.add(name, "", rate);
    }

    fn tables(&mut self) {
        let names = [("dead_rows", DEAD_ROWS), ("vacuum_overdue", OVERDUE)];
        let mut has_table = false;
        for (database, found) in &self.health.tables {
            let found = match found {
                Fact::Unknown(why) => {
                    let why = format!("{database}: {why}");
                    names.iter().for_each(|name| self.unknown(*name, &why));
                    has_table = true;
                    continue;
                }
                Fact::Known(found) => found,
            };
            for table in found {
                let subject = format!("{database}.{}.{}", table.schema, table.table);
                self.add(names[0], &subject, table.dead_ratio);
                self.add(names[1], &subject, table.overdue_s);
                has_table = true;
            }
        }
        if !has_table {
            match &self.health.databases {
                Fact::Unknown(why) => {
                    names.iter().for_each(|name| self.unknown(*name, why));
                }
                Fact::Known(_) => {
                    names
                        .iter()
                        .for_each(|name| self.add(*name, "no table", 0.0));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::insight::alerts::Level;
    use crate::insight::health::{Connections, DatabaseHealth, TableHealth};

    fn readings_of(health: Health) -> Vec<Reading> {
        let directory = crate::admin::tests::directory();
        directory.shared.insight.health.publish(health);
        let mut all = Vec::new();
        let (counters, watch) = (Counters::default(), Watch::default());
        readings(&directory, (&counters, &watch, 0), &mut all);
        all
    }

    fn level(all: &[Reading], alert: &str) -> Option<Level> {
        let of_alert = all.iter().filter(|reading| reading.alert == alert);
        of_alert.map(Reading::level).max()
    }

    #[test]
    fn what_the_sidecar_lacks_is_unknown_with_its_reason() {
        let why = "GRANT pg_monitor TO monitor";
        let all = readings_of(Health::unknown("pg:5432".into(), why));
        for (alert, _) in ALL {
            assert_eq!(level(&all, alert), Some(Level::Unknown), "{alert}");
        }
        let unknown = all
            .iter()
            .filter_map(|reading| reading.value.as_ref().err());
        assert!(unknown.clone().count() >= ALL.len());
        assert!(unknown.clone().all(|reason| reason.contains(why)));
    }

    #[test]
    fn figures_over_the_documented_limits_are_judged() {
        let connections = Connections {
            by_state: [("idle".to_owned(), 91)].into(),
            limit: 97,
        };
        let database = DatabaseHealth {
            name: "dairy".to_owned(),
            hit_ratio: Some(0.97),
            ..DatabaseHealth::default()
        };
        let table = TableHealth {
            schema: "public".to_owned(),
            table: "cow".to_owned(),
            dead_ratio: 0.2,
            overdue_s: 0.0,
        };
        let health = Health {
            connections: Fact::Known(connections),
            databases: Fact::Known(vec![database]),
            replicas: Fact::Known(Vec::new()),
            long_queries: Fact::Known([("dairy".to_owned(), 6)].into()),
            tables: [("dairy".to_owned(), Fact::Known(vec![table]))].into(),
            ..Health::unknown("pg:5432".into(), "not asked")
        };
        let all = readings_of(health);
        for (alert, expected) in [
            ("pg_connections", Level::Critical),
            ("cache_hit", Level::Warning),
            ("replication_lag", Level::Ok),
            ("long_queries", Level::Warning),
            ("dead_rows", Level::Warning),
            ("vacuum_overdue", Level::Ok),
            ("checkpoints_per_minute", Level::Unknown),
        ] {
            assert_eq!(level(&all, alert), Some(expected), "{alert}");
        }
    }
}
