//! How each PostgreSQL server is, as the sidecar last heard: the figures behind `pgweir_pg_*` and
//! SHOW ALERTS.
//!
//! Owns the published values and the counts of failed questions. Never asks PostgreSQL. A value that
//! could not be had says why: never a zero in its place. Source: operator.md 3.1, the views
//! pg_stat_*.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

/// A value, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact<T> {
    /// As last heard.
    Known(T),
    /// Why it is not known, and what to do about it.
    Unknown(Arc<str>),
}

impl<T> Fact<T> {
    /// No value for this reason.
    pub fn unknown(reason: impl fmt::Display) -> Self {
        Fact::Unknown(reason.to_string().into())
    }

    /// The value.
    pub fn known(&self) -> Option<&T> {
        match self {
            Fact::Known(value) => Some(value),
            Fact::Unknown(_) => None,
        }
    }

    /// Why there is none.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Fact::Known(_) => None,
            Fact::Unknown(reason) => Some(reason),
        }
    }
}

/// Client connections of the whole server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// By state as pg_stat_activity has it, client backends only.
    pub by_state: BTreeMap<String, u64>,
    /// `max_connections` without what is reserved for superusers.
    pub limit: u64,
}

impl Connections {
    /// Client backends of all states.
    pub fn total(&self) -> u64 {
        self.by_state.values().sum()
    }
}

/// Counters of one database since PostgreSQL's own last reset.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DatabaseHealth {
    /// Name on the server.
    pub name: String,
    /// Blocks found in shared buffers.
    pub blocks_hit: u64,
    /// Blocks asked of the system.
    pub blocks_read: u64,
    /// Deadlocks.
    pub deadlocks: u64,
    /// On disk; `None` without the right to connect to it.
    pub size_bytes: Option<u64>,
    /// Share of the last 10,000 blocks or more that were found, 0 to 1; `None` when there were fewer
    /// within ten minutes, which says nothing.
    pub hit_ratio: Option<f64>,
    /// Age of the oldest transaction id it keeps.
    pub xid_age: u64,
}

/// A standby as the primary sees it, or the server itself when it is one (`replica` = `self`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replica {
    /// Its application_name.
    pub replica: String,
    /// How far it is behind in time; 0 when everything received is replayed.
    pub lag_s: Option<f64>,
    /// How far it is behind in bytes of WAL.
    pub lag_bytes: Option<u64>,
}

/// Checkpoints since PostgreSQL's own last reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpoints {
    /// Because checkpoint_timeout ran out.
    pub timed: u64,
    /// Because something asked: too little max_wal_size, or a backup.
    pub requested: u64,
}

/// Something counted in each database.
pub type PerDatabase = BTreeMap<String, u64>;

/// A table with many dead rows, or one that autovacuum has left alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableHealth {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// Dead rows of all, 0 to 1.
    pub dead_ratio: f64,
    /// How long it has been due for a vacuum as far as we saw, seconds; 0 = not due.
    pub overdue_s: f64,
}

/// One server.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// As the configuration names it.
    pub server: Arc<str>,
    /// Whether the sidecar is logged in.
    pub is_up: bool,
    /// Unix time of the last answer, seconds; `None` before the first.
    pub last_success: Option<f64>,
    /// Monotonic µs of these figures.
    pub asked_us: u64,
    /// Client connections against the limit.
    pub connections: Fact<Connections>,
    /// Databases that are no templates.
    pub databases: Fact<Vec<DatabaseHealth>>,
    /// Standbys.
    pub replicas: Fact<Vec<Replica>>,
    /// Checkpoints.
    pub checkpoints: Fact<Checkpoints>,
    /// WAL written, bytes.
    pub wal_bytes: Fact<u64>,
    /// Statements that have run for more than five minutes.
    pub long_queries: Fact<PerDatabase>,
    /// Sessions that wait for a lock.
    pub locks_waiting: Fact<PerDatabase>,
    /// The worst tables of each database, at most 20.
    pub tables: BTreeMap<String, Fact<Vec<TableHealth>>>,
}

impl Health {
    /// Nothing is known, for one reason.
    pub fn unknown(server: Arc<str>, reason: &str) -> Self {
        Self {
            server,
            is_up: false,
            last_success: None,
            asked_us: 0,
            connections: Fact::unknown(reason),
            databases: Fact::unknown(reason),
            replicas: Fact::unknown(reason),
            checkpoints: Fact::unknown(reason),
            wal_bytes: Fact::unknown(reason),
            long_queries: Fact::unknown(reason),
            locks_waiting: Fact::unknown(reason),
            tables: BTreeMap::new(),
        }
    }
}

/// What becomes of a custom query's column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesKind {
    /// May go down.
    Gauge,
    /// Only goes up.
    Counter,
}

/// One value of a custom query.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// `<name>_<column>`.
    pub series: String,
    /// Its type.
    pub kind: SeriesKind,
    /// Its help text.
    pub help: String,
    /// Declared labels, in order.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
}

/// The last answer of one custom query in one database of one server.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// As the configuration names it.
    pub server: Arc<str>,
    /// On the server.
    pub database: String,
    /// Name of the query.
    pub query: String,
    /// Its values, by series.
    pub samples: Vec<Sample>,
}

/// (server, query, reason) of failed questions.
pub type ErrorKey = (Arc<str>, String, &'static str);

/// Everything published; written by the sidecar, read by anybody.
#[derive(Debug, Default)]
pub struct Board {
    servers: ArcSwap<Vec<Arc<Health>>>,
    answers: ArcSwap<Vec<Arc<Answer>>>,
    errors: Mutex<BTreeMap<ErrorKey, u64>>,
}

impl Board {
    /// One per server, by name. Empty until the sidecar has looked at the configuration.
    pub fn servers(&self) -> Arc<Vec<Arc<Health>>> {
        self.servers.load_full()
    }

    /// The server's figures.
    pub fn server(&self, server: &str) -> Option<Arc<Health>> {
        let all = self.servers.load();
        all.iter().find(|health| &*health.server == server).cloned()
    }

    /// Takes the place of the server's last figures.
    pub fn publish(&self, health: Health) {
        let health = Arc::new(health);
        self.servers.rcu(|before| {
            let others = before.iter().filter(|other| other.server != health.server);
            let mut after: Vec<_> = others.cloned().chain([Arc::clone(&health)]).collect();
            after.sort_by(|a, b| a.server.cmp(&b.server));
            after
        });
    }

    /// Answers of custom queries, by query, server and database.
    pub fn answers(&self) -> Arc<Vec<Arc<Answer>>> {
        self.answers.load_full()
    }

    /// Takes the place of the same query's last answer there.
    pub fn publish_answer(&self, answer: Answer) {
        let key = |a: &Answer| (a.query.clone(), Arc::clone(&a.server), a.database.clone());
        let answer = Arc::new(answer);
        self.answers.rcu(|before| {
            let others = before.iter().filter(|other| key(other) != key(&answer));
            let mut after: Vec<_> = others.cloned().chain([Arc::clone(&answer)]).collect();
            after.sort_by_key(|answer| key(answer));
            after
        });
    }

    /// A custom query failed: what it said before is not true any more.
    pub fn drop_answer(&self, server: &str, database: &str, query: &str) {
        let is_it = |a: &Answer| &*a.server == server && a.database == database && a.query == query;
        self.answers.rcu(|before| {
            let others = before.iter().filter(|answer| !is_it(answer));
            others.cloned().collect::<Vec<_>>()
        });
    }

    /// The server cannot be asked: nothing its custom queries said is true any more.
    pub fn drop_answers(&self, server: &str) {
        self.answers.rcu(|before| {
            let others = before.iter().filter(|answer| &*answer.server != server);
            others.cloned().collect::<Vec<_>>()
        });
    }

    /// Forgets servers and queries that the configuration has lost.
    pub fn retain(&self, server: impl Fn(&str) -> bool, query: impl Fn(&str) -> bool) {
        self.servers.rcu(|before| {
            let kept = before.iter().filter(|health| server(&health.server));
            kept.cloned().collect::<Vec<_>>()
        });
        self.answers.rcu(|before| {
            let kept = before
                .iter()
                .filter(|a| server(&a.server) && query(&a.query));
            kept.cloned().collect::<Vec<_>>()
        });
    }

    /// A question failed; `reason` is of a closed list.
    pub fn count_error(&self, server: &Arc<str>, query: &str, reason: &'static str) {
        let key = (Arc::clone(server), query.to_owned(), reason);
        *self.lock_errors().entry(key).or_default() += 1;
    }

    /// How often questions failed since the start.
    pub fn errors(&self) -> Vec<(ErrorKey, u64)> {
        let errors = self.lock_errors();
        errors.iter().map(|(key, n)| (key.clone(), *n)).collect()
    }

    fn lock_errors(&self) -> MutexGuard<'_, BTreeMap<ErrorKey, u64>> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_of_each_server_counts() {
        let board = Board::default();
        board.publish(Health::unknown("b:1".into(), "no connection"));
        board.publish(Health::unknown("a:1".into(), "no connection"));
        board.publish(Health {
            wal_bytes: Fact::Known(7),
            ..Health::unknown("b:1".into(), "GRANT pg_monitor TO m")
        });
        assert_eq!(board.servers().len(), 2);
        let b = board.server("b:1").unwrap_or_else(|| panic!("b is there"));
        assert_eq!(b.wal_bytes.known(), Some(&7));
        assert_eq!(b.connections.reason(), Some("GRANT pg_monitor TO m"));
        board.retain(|server| server == "a:1", |_| true);
        assert!(board.server("b:1").is_none());
    }

    #[test]
    fn a_query_that_fails_takes_its_values_back() {
        let board = Board::default();
        let answer = |database: &str, value| Answer {
            server: "a:1".into(),
            database: database.to_owned(),
            query: "q".to_owned(),
            samples: vec![Sample {
                series: "q_n".to_owned(),
                kind: SeriesKind::Gauge,
                help: String::new(),
                labels: Vec::new(),
                value,
            }],
        };
        board.publish_answer(answer("x", 1.0));
        board.publish_answer(answer("y", 1.0));
        board.publish_answer(answer("x", 2.0));
        assert_eq!(board.answers()[0].samples[0].value, 2.0);
        board.drop_answer("a:1", "x", "q");
        assert_eq!(board.answers().len(), 1);
        board.count_error(&"a:1".into(), "q", "timeout");
        board.count_error(&"a:1".into(), "q", "timeout");
        assert_eq!(board.errors()[0].1, 2);
    }
}
