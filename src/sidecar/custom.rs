//! One custom query: asked in a read-only transaction, its answer as samples.
//!
//! Owns: the fence around SQL that is not ours. It is parsed as one statement, runs behind a cursor
//! (so it can only be a SELECT, and no more rows come than are wanted), and is rolled back.
//! Mirrors: the column usages of postgres_exporter.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio_postgres::SimpleQueryRow;

use super::session::{AskError, Session};
use crate::config::{ColumnKind, CustomQuery};
use crate::insight::health::{Sample, SeriesKind};

/// PostgreSQL gets this much longer than its own time limit before it is sent a cancel request.
const GRACE: Duration = Duration::from_millis(500);

/// Asks and reads.
pub async fn ask(session: &Session, query: &CustomQuery) -> Result<Vec<Sample>, AskError> {
    session.parse(&query.sql, query.timeout + GRACE).await?;
    let sql = format!(
        "BEGIN READ ONLY; SET LOCAL statement_timeout = {}; DECLARE pgweir NO SCROLL CURSOR FOR \
         {}\n; FETCH FORWARD {} FROM pgweir; ROLLBACK",
        query.timeout.as_millis(),
        query.sql,
        query.max_rows
    );
    let rows = session.rows(&sql, query.timeout + GRACE).await;
    if rows.is_err() && !session.is_ended() {
        // The batch stopped at the error, inside its transaction.
        session.rows("ROLLBACK", GRACE).await?;
    }
    samples(query, &rows?)
}

fn samples(query: &CustomQuery, rows: &[SimpleQueryRow]) -> Result<Vec<Sample>, AskError> {
    let mut found = Vec::new();
    for row in rows {
        let cells: Vec<(&str, Option<&str>)> = row
            .columns()
            .iter()
            .enumerate()
            .map(|(at, column)| (column.name(), row.get(at)))
            .collect();
        row_samples(query, &cells, &mut found)?;
    }
    let mut keys = BTreeSet::new();
    if !found
        .iter()
        .all(|s: &Sample| keys.insert((&s.series, &s.labels)))
    {
        return Err(AskError::SameLabels);
    }
    found.sort_by(|a, b| a.series.cmp(&b.series));
    Ok(found)
}

/// NULL is no value: the series is not there.
fn row_samples(
    query: &CustomQuery,
    cells: &[(&str, Option<&str>)],
    found: &mut Vec<Sample>,
) -> Result<(), AskError> {
    let is_label = |name: &str| query.kind_of(name) == ColumnKind::Label;
    let labels: Vec<(String, String)> = cells
        .iter()
        .filter(|(name, _)| is_label(name))
        .map(|(name, value)| ((*name).to_owned(), value.unwrap_or_default().to_owned()))
        .collect();
    for (name, value) in cells {
        let kind = match query.kind_of(name) {
            ColumnKind::Gauge => SeriesKind::Gauge,
            ColumnKind::Counter => SeriesKind::Counter,
            ColumnKind::Label | ColumnKind::Discard => continue,
        };
        let Some(text) = value else { continue };
        let value: f64 = text
            .parse()
            .map_err(|_| AskError::NotANumber((*name).to_owned()))?;
        found.push(Sample {
            series: query.series(name),
            kind,
            help: query.help_of(name).to_owned(),
            labels: labels.clone(),
            value,
        });
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::CustomQueries;
    use std::path::Path;

    fn query(columns: &str) -> CustomQuery {
        let text = format!("[q]\nhelp = H\nsql = SELECT 1\n{columns}");
        let mut read = CustomQueries::parse(Path::new("q.ini"), text.as_bytes());
        assert!(read.errors.is_empty(), "{:?}", read.errors);
        read.queries.remove(0)
    }

    #[test]
    fn columns_become_what_they_were_declared_as() {
        let query =
            query("column.kind = label\ncolumn.n = counter How many\ncolumn.note = discard\n");
        let mut found = Vec::new();
        let cells = [
            ("kind", Some("cow")),
            ("n", Some("7")),
            ("note", Some("text")),
            ("liters", Some("1.5")),
            ("nothing", None),
        ];
        row_samples(&query, &cells, &mut found).unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|s| (s.series.as_str(), s.kind, s.help.as_str(), s.value))
            .collect();
        assert_eq!(
            shown,
            [
                ("q_n", SeriesKind::Counter, "How many", 7.0),
                ("q_liters", SeriesKind::Gauge, "H", 1.5)
            ]
        );
        assert_eq!(found[0].labels, [("kind".to_owned(), "cow".to_owned())]);
    }

    #[test]
    fn text_where_a_number_belongs_is_an_error() {
        let error = row_samples(&query(""), &[("x", Some("many"))], &mut Vec::new());
        let error = error.unwrap_err();
        assert_eq!(error.reason(), "not_a_number");
        assert!(error.to_string().contains("\"x\""), "{error}");
    }
}
