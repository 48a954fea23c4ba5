//! Dead rows and overdue vacuums of one database.
//!
//! Owns since when each table has been due. Source: insight.md 5.4; "Routine Vacuuming" for when
//! autovacuum is due.

use std::collections::HashMap;
use std::time::Instant;

use super::locks::number;
use super::session::{ASK_LIMIT, AskError, Session};
use crate::insight::health::TableHealth;

/// Small tables are left out, and a table's own storage parameters count.
const QUESTION: &str = "\
SELECT s.schemaname, s.relname, s.n_dead_tup::float8 / (s.n_live_tup + s.n_dead_tup) AS dead_ratio,
       (s.n_dead_tup > o.least + o.share * greatest(c.reltuples, 0))::int AS is_due
FROM pg_catalog.pg_stat_user_tables s
JOIN pg_catalog.pg_class c ON c.oid = s.relid
CROSS JOIN LATERAL (
  SELECT coalesce(max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_threshold'),
                  current_setting('autovacuum_vacuum_threshold'))::float8 AS least,
         coalesce(max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_scale_factor'),
                  current_setting('autovacuum_vacuum_scale_factor'))::float8 AS share
  FROM pg_catalog.pg_options_to_table(c.reloptions)) o
WHERE s.n_dead_tup > 1000
  AND (s.n_dead_tup > 0.10 * (s.n_live_tup + s.n_dead_tup)
       OR s.n_dead_tup > o.least + o.share * greatest(c.reltuples, 0))
ORDER BY s.n_dead_tup DESC LIMIT 20";

/// Tables that are due, by schema and name, since when we have seen it.
pub type Due = HashMap<(String, String), Instant>;

/// The worst tables, at most 20.
pub async fn ask(session: &Session, due: &mut Due) -> Result<Vec<TableHealth>, AskError> {
    let rows = session.rows(QUESTION, ASK_LIMIT).await?;
    let now = Instant::now();
    let mut still_due = Due::new();
    let tables = rows.iter().map(|row| {
        let text = |name: &str| row.get(name).unwrap_or_default().to_owned();
        let (schema, table) = (text("schemaname"), text("relname"));
        let mut overdue_s = 0.0;
        if number(row, "is_due") == Some(1) {
            let key = (schema.clone(), table.clone());
            let since = due.get(&key).copied().unwrap_or(now);
            overdue_s = now.duration_since(since).as_secs_f64();
            still_due.insert(key, since);
        }
        TableHealth {
            schema,
            table,
            dead_ratio: number(row, "dead_ratio").unwrap_or_default(),
            overdue_s,
        }
    });
    let tables = tables.collect();
    *due = still_due;
    Ok(tables)
}
