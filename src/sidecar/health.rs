//! The health questions about a server, one text each for PostgreSQL 14 to 18.
//!
//! Owns the texts, the last reading of the counters, and which failure the log knows already. A
//! question that fails leaves one value unknown; the others are asked all the same. Source:
//! insight.md 5.4, which says what the usual copies of these queries get wrong.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio_postgres::SimpleQueryRow;

use super::locks::number;
use super::plan::Plan;
use super::session::{ASK_LIMIT, AskError, Session};
use crate::insight::health::{
    Checkpoints, Connections, DatabaseHealth, Fact, Health, PerDatabase, Replica,
};
use crate::pool::Shared;
use crate::stats::clock::now_us;

/// Below so many blocks between two readings a hit ratio says nothing.
const MIN_BLOCKS: u64 = 10_000;
/// After so long without them, the last ratio is history.
const LONGEST_SPAN: Duration = Duration::from_secs(600);

/// PostgreSQL 17 moved the checkpoint counters to a view of their own.
const CHECKPOINTER_VIEW: u32 = 170_000;

const CONNECTIONS: &str = "\
SELECT coalesce(state, 'unknown') AS state, count(*) AS n,
       current_setting('max_connections')::int
         - current_setting('superuser_reserved_connections')::int
         - coalesce(current_setting('reserved_connections', true)::int, 0) AS connection_limit
FROM pg_stat_activity WHERE backend_type = 'client backend' GROUP BY 1";

const DATABASES: &str = "\
SELECT s.datname, s.blks_read, s.blks_hit, s.deadlocks, age(d.datfrozenxid) AS xid_age,
       d.datallowconn::int AS is_open
FROM pg_stat_database s JOIN pg_database d ON d.oid = s.datid
WHERE NOT d.datistemplate ORDER BY s.blks_hit + s.blks_read DESC LIMIT 100";

/// Apart from the counters: it looks at files, which takes a while and may fail under DROP DATABASE.
const SIZES: &str = "\
SELECT datname, pg_database_size(oid) AS bytes FROM pg_database
WHERE NOT datistemplate AND (has_database_privilege(oid, 'CONNECT')
      OR pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'))";

/// On a standby itself: 0 when everything received is replayed, otherwise an idle primary would look
/// like a growing lag.
const REPLICAS: &str = "\
SELECT coalesce(nullif(r.application_name, ''), r.client_addr::text, 'unknown') AS replica,
       extract(epoch FROM r.replay_lag) AS lag_s,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
                            ELSE pg_current_wal_lsn() END, r.replay_lsn)::bigint AS lag_bytes
FROM pg_stat_replication r WHERE r.state = 'streaming'
UNION ALL
SELECT 'self', CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
       ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END,
       pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::bigint
WHERE pg_is_in_recovery()";

const CHECKPOINTS_17: &str =
    "SELECT num_timed AS timed, num_requested AS requested FROM pg_stat_checkpointer";
const CHECKPOINTS: &str =
    "SELECT checkpoints_timed AS timed, checkpoints_req AS requested FROM pg_stat_bgwriter";

const WAL: &str = "SELECT wal_bytes::bigint AS bytes FROM pg_stat_wal";

/// Dumps and maintenance are long by nature.
const ACTIVITY: &str = r"
SELECT d.datname,
       count(a.pid) FILTER (WHERE a.state = 'active' AND a.backend_type = 'client backend'
         AND a.query_start < clock_timestamp() - interval '5 min'
         AND a.query !~* '^\s*(copy|vacuum|analyze|cluster|reindex|refresh|create\s+(unique\s+)?index)\M')
         AS long_queries,
       count(a.pid) FILTER (WHERE a.wait_event_type = 'Lock') AS locks_waiting
FROM pg_database d LEFT JOIN pg_stat_activity a ON a.datid = d.oid
WHERE NOT d.datistemplate GROUP BY 1 LIMIT 100";

/// What others have to know of the answers.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Databases one can connect to.
    pub databases: Vec<String>,
    /// Sessions that wait for a lock, also those that did not come through us.
    pub locks_waiting: Option<u64>,
}

/// Asks them, and remembers what the next asking needs.
pub struct Questions {
    shared: Arc<Shared>,
    plan: Arc<Plan>,
    version: u32,
    /// By database.
    blocks: HashMap<String, Blocks>,
    /// What the log has been told of each question.
    told: HashMap<&'static str, String>,
}

impl Questions {
    /// Nothing asked yet.
    pub fn of(shared: Arc<Shared>, plan: Arc<Plan>) -> Self {
        Self {
            shared,
            plan,
            version: 0,
            blocks: HashMap::new(),
            told: HashMap::new(),
        }
    }

    /// `server_version_num`.
    pub fn set_version(&mut self, version: u32) {
        self.version = version;
    }

    /// All questions; publishes the answers. An error means that the connection is lost.
    pub async fn ask(&mut self, session: &Session, may_see: bool) -> Result<Findings, AskError> {
        let databases = self.rows(session, "databases", DATABASES).await?;
        let sizes = self.rows(session, "sizes", SIZES).await?;
        let checkpoints = match self.version {
            version if version >= CHECKPOINTER_VIEW => CHECKPOINTS_17,
            _ => CHECKPOINTS,
        };
        let checkpoints = self.rows(session, "checkpoints", checkpoints).await?;
        let wal = self.rows(session, "wal", WAL).await?;
        let need: Arc<str> = format!("GRANT pg_monitor TO {}", self.plan.door.user).into();
        let hidden = || Fact::Unknown(Arc::clone(&need));
        let [mut connections, mut replicas, mut activity] = [hidden(), hidden(), hidden()];
        if may_see {
            connections = self.rows(session, "connections", CONNECTIONS).await?;
            replicas = self.rows(session, "replicas", REPLICAS).await?;
            activity = self.rows(session, "activity", ACTIVITY).await?;
        }
        let before = self.shared.insight.health.server(&self.plan.server);
        let health = Health {
            server: Arc::clone(&self.plan.server),
            is_up: true,
            last_success: Some(unix_seconds()),
            asked_us: now_us(),
            connections: map(&connections, connections_of),
            databases: self.databases_of(&databases, &sizes),
            replicas: map(&replicas, replicas_of),
            checkpoints: map(&checkpoints, checkpoints_of),
            wal_bytes: map(&wal, wal_of),
            long_queries: map(&activity, |rows| per_database(rows, "long_queries")),
            locks_waiting: map(&activity, |rows| per_database(rows, "locks_waiting")),
            tables: before
                .map(|health| health.tables.clone())
                .unwrap_or_default(),
        };
        let locks_waiting = health.locks_waiting.known();
        let locks_waiting = locks_waiting.map(|counts| counts.values().sum());
        self.shared.insight.health.publish(health);
        let open = databases.known().into_iter().flatten();
        let open = open.filter(|row| number(row, "is_open") == Some(1));
        let mut names: Vec<String> = open.filter_map(name_of).collect();
        names.sort();
        Ok(Findings {
            databases: names,
            locks_waiting,
        })
    }

    /// One question; a refusal is a reason, a lost connection an error.
    async fn rows(
        &mut self,
        session: &Session,
        question: &'static str,
        sql: &str,
    ) -> Result<Fact<Vec<SimpleQueryRow>>, AskError> {
        let error = match session.rows(sql, ASK_LIMIT).await {
            Ok(rows) => {
                self.told.remove(question);
                return Ok(Fact::Known(rows));
            }
            Err(error) => error,
        };
        let server = &self.plan.server;
        self.shared
            .insight
            .health
            .count_error(server, question, error.reason());
        let text = error.to_string();
        if self.told.get(question) != Some(&text) {
            log::warn!("sidecar of {server}: {question}: {text}");
            self.told.insert(question, text.clone());
        }
        match session.is_ended() {
            true => Err(error),
            false => Ok(Fact::unknown(text)),
        }
    }

    fn databases_of(
        &mut self,
        rows: &Fact<Vec<SimpleQueryRow>>,
        sizes: &Fact<Vec<SimpleQueryRow>>,
    ) -> Fact<Vec<DatabaseHealth>> {
        let sizes: HashMap<String, u64> = sizes
            .known()
            .into_iter()
            .flatten()
            .filter_map(|row| Some((name_of(row)?, number(row, "bytes")?)))
            .collect();
        map(rows, |rows| {
            let mut before = std::mem::take(&mut self.blocks);
            let databases = rows.iter().filter_map(|row| {
                let name = name_of(row)?;
                let counts = (number(row, "blks_hit")?, number(row, "blks_read")?);
                let blocks = match before.remove(&name) {
                    Some(before) => before.after(counts),
                    None => Blocks::since(counts),
                };
                let hit_ratio = blocks.ratio;
                self.blocks.insert(name.clone(), blocks);
                Some(DatabaseHealth {
                    blocks_hit: counts.0,
                    blocks_read: counts.1,
                    deadlocks: number(row, "deadlocks")?,
                    size_bytes: sizes.get(&name).copied(),
                    hit_ratio,
                    xid_age: number(row, "xid_age")?,
                    name,
                })
            });
            databases.collect()
        })
    }
}

/// A value from rows, or the reason why there are none.
fn map<T>(rows: &Fact<Vec<SimpleQueryRow>>, value: impl FnOnce(&[SimpleQueryRow]) -> T) -> Fact<T> {
    match rows {
        Fact::Known(rows) => Fact::Known(value(rows)),
        Fact::Unknown(reason) => Fact::Unknown(Arc::clone(reason)),
    }
}

fn name_of(row: &SimpleQueryRow) -> Option<String> {
    row.get("datname").map(str::to_owned)
}

/// Blocks hit and read of one database, compared over as long as it takes to say something.
struct Blocks {
    since: Instant,
    counts: (u64, u64),
    ratio: Option<f64>,
}

impl Blocks {
    fn since(counts: (u64, u64)) -> Self {
        Self {
            since: Instant::now(),
            counts,
            ratio: None,
        }
    }

    fn after(self, now: (u64, u64)) -> Self {
        match ratio(self.counts, now) {
            None if self.since.elapsed() < LONGEST_SPAN => self,
            ratio => Self {
                ratio,
                ..Self::since(now)
            },
        }
    }
}

/// Share of hits between two readings; a reset in between gives none.
fn ratio(before: (u64, u64), now: (u64, u64)) -> Option<f64> {
    let hit = now.0.checked_sub(before.0)?;
    let read = now.1.checked_sub(before.1)?;
    (hit + read >= MIN_BLOCKS).then(|| hit as f64 / (hit + read) as f64)
}

fn connections_of(rows: &[SimpleQueryRow]) -> Connections {
    let mut connections = Connections::default();
    for row in rows {
        let state = row.get("state").unwrap_or("unknown").to_owned();
        let count: u64 = number(row, "n").unwrap_or_default();
        *connections.by_state.entry(state).or_default() += count;
        connections.limit = number(row, "connection_limit").unwrap_or_default();
    }
    connections
}

/// Two standbys may have one name: the worse one is shown.
fn replicas_of(rows: &[SimpleQueryRow]) -> Vec<Replica> {
    let mut found: BTreeMap<String, Replica> = BTreeMap::new();
    for row in rows {
        let name = row.get("replica").unwrap_or("unknown").to_owned();
        let replica = found.entry(name.clone()).or_insert_with(|| Replica {
            replica: name,
            ..Replica::default()
        });
        let lag_s: Option<f64> = number(row, "lag_s");
        replica.lag_s = match (replica.lag_s, lag_s) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        replica.lag_bytes = replica.lag_bytes.max(number(row, "lag_bytes"));
    }
    found.into_values().collect()
}

fn checkpoints_of(rows: &[SimpleQueryRow]) -> Checkpoints {
    let count = |name: &str| rows.first().and_then(|row| number(row, name));
    Checkpoints {
        timed: count("timed").unwrap_or_default(),
        requested: count("requested").unwrap_or_default(),
    }
}

fn wal_of(rows: &[SimpleQueryRow]) -> u64 {
    let bytes = rows.first().and_then(|row| number(row, "bytes"));
    bytes.unwrap_or_default()
}

fn per_database(rows: &[SimpleQueryRow], column: &str) -> PerDatabase {
    let counts = rows.iter();
    counts
        .filter_map(|row| Some((name_of(row)?, number(row, column)?)))
        .collect()
}

/// Now, for Prometheus.
pub fn unix_seconds() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map(|since| since.as_secs_f64()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hit_ratio_is_of_the_interval_and_needs_blocks() {
        assert_eq!(ratio((100, 100), (9_100, 1_100)), Some(0.9));
        assert_eq!(ratio((100, 100), (9_098, 1_100)), None);
        assert_eq!(ratio((100, 100), (50, 90_000)), None);
    }
}
