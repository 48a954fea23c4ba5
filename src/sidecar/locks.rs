//! The lock question: one text for PostgreSQL 14 to 18, and its answer as sessions.
//!
//! Asked in autocommit: inside a transaction pg_stat_activity is a frozen picture.
//! pg_blocking_pids() takes the lock manager's locks, so it is called for waiting backends only.
//! Source: insight.md 5.3.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio_postgres::SimpleQueryRow;

use super::session::{ASK_LIMIT, AskError, Door, Session};
use crate::insight::locks::LockedSession;

/// The question. Relations of other databases come as their number.
pub const QUESTION: &str = "\
WITH w AS MATERIALIZED (
  SELECT a.pid, pg_blocking_pids(a.pid) AS blocked_by
  FROM pg_stat_activity a WHERE a.wait_event_type = 'Lock' LIMIT 200),
p AS (SELECT pid FROM w UNION SELECT unnest(blocked_by) FROM w),
lk AS MATERIALIZED (
  SELECT l.pid, l.locktype, l.mode, l.granted, l.waitstart, l.database, l.relation, l.page, l.tuple
  FROM pg_locks l
  WHERE l.pid IN (SELECT pid FROM w) AND (NOT l.granted OR l.locktype = 'tuple'))
SELECT p.pid, coalesce(w.blocked_by, '{}') AS blocked_by,
       a.datname, a.usename, a.application_name, a.client_addr, a.client_port,
       CASE WHEN p.pid = 0 THEN 'prepared transaction' ELSE a.backend_type END AS backend_type,
       a.state, a.wait_event_type, a.wait_event, k.locktype, k.mode,
       CASE WHEN w.pid IS NOT NULL THEN extract(epoch FROM clock_timestamp()
            - coalesce(k.waitstart, a.query_start)) END AS wait_s,
       extract(epoch FROM clock_timestamp() - a.xact_start) AS xact_age_s,
       extract(epoch FROM clock_timestamp() - a.state_change) AS state_age_s,
       coalesce(k.relation, t.relation) AS reloid,
       coalesce(k.database, t.database) AS datoid,
       coalesce(k.page, t.page) AS page, coalesce(k.tuple, t.tuple) AS tuple,
       left(a.query, 300) AS query
FROM p
LEFT JOIN pg_stat_activity a ON a.pid = p.pid
LEFT JOIN w ON w.pid = p.pid
LEFT JOIN LATERAL (SELECT * FROM lk x WHERE x.pid = p.pid AND NOT x.granted LIMIT 1) k ON true
LEFT JOIN LATERAL (SELECT * FROM lk x WHERE x.pid = p.pid AND x.granted LIMIT 1) t ON true
ORDER BY p.pid";

/// Names of relations kept; they are short-lived anyway.
const MAX_NAMES: usize = 1_000;
/// How long a name is believed: tables are renamed rarely.
const NAME_LIFE: Duration = Duration::from_secs(600);

/// The answer, with the number of each session's relation where it has one.
pub fn sessions(rows: &[SimpleQueryRow]) -> Vec<(LockedSession, Option<u32>)> {
    rows.iter().map(session).collect()
}

fn session(row: &SimpleQueryRow) -> (LockedSession, Option<u32>) {
    let text = |name: &str| row.try_get(name).ok().flatten().map(str::to_owned);
    let session = LockedSession {
        pid: number(row, "pid").unwrap_or_default(),
        blocked_by: pids(row.try_get("blocked_by").ok().flatten().unwrap_or_default()),
        datname: text("datname"),
        usename: text("usename"),
        application_name: text("application_name"),
        client_addr: number(row, "client_addr"),
        client_port: number(row, "client_port"),
        backend_type: text("backend_type"),
        state: text("state"),
        wait_event_type: text("wait_event_type"),
        wait_event: text("wait_event"),
        locktype: text("locktype"),
        mode: text("mode"),
        wait_s: number(row, "wait_s").map(|seconds: f64| seconds.max(0.0)),
        relation: None,
        page: number(row, "page"),
        tuple: number(row, "tuple"),
        xact_age_s: number(row, "xact_age_s"),
        state_age_s: number(row, "state_age_s"),
        query: text("query"),
    };
    (session, number(row, "reloid"))
}

/// A column as a number, an address or whatever else reads from text.
pub fn number<T: std::str::FromStr>(row: &SimpleQueryRow, name: &str) -> Option<T> {
    row.try_get(name).ok().flatten()?.parse().ok()
}

/// `{20,10,20}`: ascending, each once. Workers of a parallel statement repeat their leader.
fn pids(array: &str) -> Vec<i32> {
    let inner = array.trim_matches(['{', '}']);
    let mut pids: Vec<i32> = inner
        .split(',')
        .filter_map(|pid| pid.parse().ok())
        .collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// Names of relations in all databases of a server, as far as they were needed.
#[derive(Debug, Default)]
pub struct Names {
    known: HashMap<(String, u32), (String, Instant)>,
}

impl Names {
    /// Gives each session its relation's name; asks a database, on a connection of its own, for
    /// those that are not known.
    pub async fn fill(
        &mut self,
        door: &Door,
        found: Vec<(LockedSession, Option<u32>)>,
    ) -> Vec<LockedSession> {
        self.known
            .retain(|_, (_, since)| since.elapsed() < NAME_LIFE);
        if self.known.len() > MAX_NAMES {
            self.known.clear();
        }
        let mut missing: HashMap<String, Vec<u32>> = HashMap::new();
        for (session, oid) in &found {
            if let (Some(database), Some(oid)) = (&session.datname, oid)
                && !self.known.contains_key(&(database.clone(), *oid))
            {
                missing.entry(database.clone()).or_default().push(*oid);
            }
        }
        for (database, oids) in missing {
            if let Err(error) = self.ask(door, &database, &oids).await {
                log::debug!("sidecar: names of relations in {database}: {error}");
            }
        }
        let named = found.into_iter().map(|(mut session, oid)| {
            session.relation = oid.map(|oid| {
                let database = session.datname.clone().unwrap_or_default();
                let known = self.known.get(&(database, oid));
                known.map_or_else(|| format!("oid {oid}"), |(name, _)| name.clone())
            });
            session
        });
        named.collect()
    }

    async fn ask(&mut self, door: &Door, database: &str, oids: &[u32]) -> Result<(), AskError> {
        let list: Vec<String> = oids.iter().map(u32::to_string).collect();
        let sql = format!(
            "SELECT c.oid, CASE WHEN n.nspname = 'public' THEN c.relname \
             ELSE n.nspname || '.' || c.relname END AS name \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.oid IN ({})",
            list.join(",")
        );
        let session = Session::open(door, database).await?;
        let rows = session.rows(&sql, ASK_LIMIT).await;
        session.close().await;
        for row in rows? {
            if let (Some(oid), Some(name)) = (number(&row, "oid"), row.get("name")) {
                let key = (database.to_owned(), oid);
                self.known.insert(key, (name.to_owned(), Instant::now()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::pids;

    #[test]
    fn arrays_of_pids() {
        assert_eq!(pids("{}"), []);
        assert_eq!(pids("{30,7,30,0}"), [0, 7, 30]);
    }
}
