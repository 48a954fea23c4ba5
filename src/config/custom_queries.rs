//! The operator's own queries: `custom_queries_file` to a list of what the sidecar asks.
//!
//! Owns the dialect of that file and the checks that need no PostgreSQL. May read that one file.
//! Never runs SQL. A broken entry is reported with file and line and left out; the others stay.
//! Mirrors: the `queries` list of the documented exporter (name, help, SQL), and the column usages
//! of postgres_exporter (gauge, counter, label, discard).
//!
//! ```text
//! [odoo_active_sessions]
//! help = Number of active Odoo sessions
//! interval = 15
//! column.count = gauge
//! sql = SELECT count(*) AS count
//!       FROM pg_stat_activity       lines indented deeper than the key belong to its value
//! ```

use super::error::{ConfigError, Place, Problem};
use super::value::{Invalid, Kind, Seconds};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_MAX_ROWS: u32 = 100;
/// More rows than this are more series than one query is worth (a scrape has 5,000 in all).
const MOST_ROWS: u32 = 1_000;
/// Longer names are no use in Prometheus, and every series carries them.
const LONGEST_NAME: usize = 64;
/// Whose names a query may not take: a second source of one name doubles every sum.
const RESERVED_PREFIXES: [&str; 4] = ["pgweir_", "pgbouncer_", "process_", "pg_"];
/// Labels that the sidecar puts on every sample itself.
const RESERVED_LABELS: [&str; 2] = ["server", "database"];

const KEYS: &str = "help, database, interval, timeout, max_rows, sql, column.NAME";
const NAME_ACCEPTS: &str =
    "letters, digits and _, 64 at most, no digit first; not pgweir_, pgbouncer_, process_, pg_";
const COLUMN_ACCEPTS: &str = "gauge, counter, label or discard, then a help text if wanted";

/// What a column of the result becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColumnKind {
    /// A series whose value may go down. What is not declared is one.
    #[default]
    Gauge,
    /// A series whose value only goes up.
    Counter,
    /// A label of the row's series.
    Label,
    /// Nothing.
    Discard,
}

/// A declared column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// As in the result.
    pub name: String,
    /// What becomes of it.
    pub kind: ColumnKind,
    /// HELP of its series; empty = the query's.
    pub help: String,
}

/// One query to be asked every `interval`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomQuery {
    /// First half of the series' names; valid as a Prometheus name.
    pub name: String,
    /// HELP of the series whose column has none.
    pub help: String,
    /// Where to ask; `None` = the database the sidecar is connected to anyway.
    pub database: Option<String>,
    /// From one asking to the next.
    pub interval: Duration,
    /// When to give up (statement_timeout); never longer than `interval`.
    pub timeout: Duration,
    /// Rows beyond this many are left out.
    pub max_rows: u32,
    /// One statement, without a semicolon at its end.
    pub sql: String,
    /// Declared columns, in the order of the file.
    pub columns: Vec<Column>,
    /// Where it stands, for messages.
    pub place: Place,
}

impl CustomQuery {
    /// What becomes of a column of the result; one that is not declared is a gauge.
    pub fn kind_of(&self, column: &str) -> ColumnKind {
        self.column(column).map(|c| c.kind).unwrap_or_default()
    }

    /// HELP of a column's series.
    pub fn help_of(&self, column: &str) -> &str {
        match self.column(column) {
            Some(declared) if !declared.help.is_empty() => &declared.help,
            _ => &self.help,
        }
    }

    /// Name of a column's series, `<name>_<column>` as the documented exporter prints it; what
    /// cannot stand in a Prometheus name becomes `_`.
    pub fn series(&self, column: &str) -> String {
        let column: String = column
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        format!("{}_{column}", self.name)
    }

    fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// What a file of queries held.
#[derive(Debug, Default)]
pub struct CustomQueries {
    /// Everything that can be asked.
    pub queries: Vec<CustomQuery>,
    /// One or more for each entry that was left out, in the order of the lines.
    pub errors: Vec<ConfigError>,
    /// Entries left out.
    pub rejected: usize,
}

impl CustomQueries {
    /// Reads a file; one that cannot be read is one error and no queries.
    pub fn load(path: &Path) -> Self {
        match std::fs::read(path) {
            Ok(bytes) => Self::parse(path, &bytes),
            Err(error) => Self {
                errors: vec![ConfigError {
                    place: Place {
                        file: Arc::from(path),
                        line: 0,
                    },
                    key: "custom_queries_file".to_owned(),
                    problem: Problem::Unreadable(error),
                }],
                rejected: 1,
                ..Self::default()
            },
        }
    }

    /// Reads text as if it stood in the file `name`.
    pub fn parse(name: &Path, bytes: &[u8]) -> Self {
        let mut result = Self::default();
        for entry in entries(name, bytes, &mut result.errors) {
            let before = result.errors.len();
            let query = entry.build(&result.queries, &mut result.errors);
            match query {
                Some(query) if result.errors.len() == before => result.queries.push(query),
                _ => result.rejected += 1,
            }
        }
        result.errors.sort_by(|a, b| a.place.cmp(&b.place));
        result
    }
}

/// A section as text.
struct RawEntry {
    name: String,
    place: Place,
    pairs: Vec<RawPair>,
    /// A line of it was not understood: the entry is left out.
    is_broken: bool,
}

struct RawPair {
    place: Place,
    indent: usize,
    key: String,
    value: String,
}

/// Lines to sections. Errors that belong to no section do not spoil the others.
fn entries(file: &Path, bytes: &[u8], errors: &mut Vec<ConfigError>) -> Vec<RawEntry> {
    let file: Arc<Path> = Arc::from(file);
    let mut found: Vec<RawEntry> = Vec::new();
    for (index, bytes) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let place = Place {
            file: file.clone(),
            line: index + 1,
        };
        let problem = match std::str::from_utf8(bytes) {
            Ok(line) => take_line(&mut found, &place, line.trim_end()),
            Err(_) => Err(Problem::NotUtf8),
        };
        if let Err(problem) = problem {
            let key = found.last_mut().map_or_else(String::new, |entry| {
                entry.is_broken = true;
                entry.name.clone()
            });
            errors.push(ConfigError {
                place,
                key,
                problem,
            });
        }
    }
    found
}

fn take_line(found: &mut Vec<RawEntry>, place: &Place, line: &str) -> Result<(), Problem> {
    let text = line.trim_start();
    let indent = line.len() - text.len();
    if let Some(pair) = found.last_mut().and_then(|entry| entry.pairs.last_mut())
        && (text.is_empty() || indent > pair.indent)
    {
        pair.value.push('\n');
        pair.value.push_str(line);
        return Ok(());
    }
    if text.is_empty() || text.starts_with([';', '#']) {
        return Ok(());
    }
    if let Some(rest) = text.strip_prefix('[') {
        let name = rest.strip_suffix(']').ok_or(Problem::OpenHeader)?;
        found.push(RawEntry {
            name: name.trim().to_owned(),
            place: place.clone(),
            pairs: Vec::new(),
            is_broken: false,
        });
        return Ok(());
    }
    let entry = found.last_mut().ok_or(Problem::OutsideSection)?;
    let (key, value) = text.split_once('=').ok_or(Problem::NotAPair)?;
    entry.pairs.push(RawPair {
        place: place.clone(),
        indent,
        key: key.trim().to_owned(),
        value: value.trim_start().to_owned(),
    });
    Ok(())
}

impl RawEntry {
    /// `None`, or errors, when it cannot be asked.
    fn build(&self, before: &[CustomQuery], errors: &mut Vec<ConfigError>) -> Option<CustomQuery> {
        let mut query = CustomQuery {
            name: self.name.clone(),
            help: String::new(),
            database: None,
            interval: DEFAULT_INTERVAL,
            timeout: DEFAULT_TIMEOUT,
            max_rows: DEFAULT_MAX_ROWS,
            sql: String::new(),
            columns: Vec::new(),
            place: self.place.clone(),
        };
        if let Err(problem) = self.check_name(before) {
            errors.push(self.error(&self.place, "", problem));
        }
        for (position, pair) in self.pairs.iter().enumerate() {
            let is_repeated = self.pairs[..position].iter().any(|p| p.key == pair.key);
            let outcome = match is_repeated {
                true => Err(Problem::Twice),
                false => query.set(&pair.key, pair.value.trim()),
            };
            if let Err(problem) = outcome {
                errors.push(self.error(&pair.place, &pair.key, problem));
            }
        }
        if !self.pairs.iter().any(|pair| pair.key == "sql") {
            errors.push(self.error(&self.place, "sql", Problem::Missing("one SQL statement")));
        }
        if query.timeout > query.interval {
            let problem = Problem::TimeoutOverInterval;
            errors.push(self.error(&self.place_of("timeout"), "timeout", problem));
        }
        (!self.is_broken).then_some(query)
    }

    fn check_name(&self, before: &[CustomQuery]) -> Result<(), Problem> {
        if before.iter().any(|query| query.name == self.name) {
            return Err(Problem::Twice);
        }
        let taken = RESERVED_PREFIXES
            .iter()
            .any(|prefix| self.name.starts_with(prefix));
        check_word(&self.name, taken, NAME_ACCEPTS)
    }

    fn place_of(&self, key: &str) -> Place {
        let pair = self.pairs.iter().find(|pair| pair.key == key);
        pair.map_or(&self.place, |pair| &pair.place).clone()
    }

    fn error(&self, place: &Place, key: &str, problem: Problem) -> ConfigError {
        let dot = if key.is_empty() { "" } else { "." };
        ConfigError {
            place: place.clone(),
            key: format!("{}{dot}{key}", self.name),
            problem,
        }
    }
}

impl CustomQuery {
    fn set(&mut self, key: &str, value: &str) -> Result<(), Problem> {
        match key {
            "help" => self.help = one_line(value),
            "database" => self.database = (!value.is_empty()).then(|| value.to_owned()),
            "interval" => self.interval = seconds(value, 1.0, 86_400.0, "1 to 86400 seconds")?,
            "timeout" => self.timeout = seconds(value, 0.1, 300.0, "0.1 to 300 seconds")?,
            "max_rows" => self.max_rows = rows(value)?,
            "sql" => self.sql = statement(value)?,
            _ => match key.strip_prefix("column.") {
                Some(name) => self.columns.push(column(name, value)?),
                None => return Err(Problem::UnknownKeyOf(KEYS)),
            },
        }
        Ok(())
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn bad(value: &str, reason: Invalid, accepts: &'static str) -> Problem {
    Problem::BadValue {
        value: value.to_owned(),
        reason,
        accepts,
    }
}

fn seconds(text: &str, least: f64, most: f64, accepts: &'static str) -> Result<Duration, Problem> {
    let time = Seconds::parse(text, &mut Vec::new()).map_err(|why| bad(text, why, accepts))?;
    if !(least..=most).contains(&time.as_secs_f64()) {
        return Err(bad(text, Invalid::OutOfRange, accepts));
    }
    Ok(time)
}

fn rows(text: &str) -> Result<u32, Problem> {
    let accepts = "1 to 1000";
    match text.parse::<u32>() {
        Ok(number) if (1..=MOST_ROWS).contains(&number) => Ok(number),
        Ok(_) => Err(bad(text, Invalid::OutOfRange, accepts)),
        Err(_) => Err(bad(text, Invalid::NotANumber, accepts)),
    }
}

/// A semicolon in the middle is left to PostgreSQL, which refuses a second statement.
fn statement(text: &str) -> Result<String, Problem> {
    let text = text.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    match text.is_empty() {
        true => Err(Problem::Missing("one SQL statement")),
        false => Ok(text.to_owned()),
    }
}

fn column(name: &str, value: &str) -> Result<Column, Problem> {
    let (word, help) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
    let kind = match word.trim_end_matches(',').to_ascii_lowercase().as_str() {
        "gauge" => ColumnKind::Gauge,
        "counter" => ColumnKind::Counter,
        "label" => ColumnKind::Label,
        "discard" => ColumnKind::Discard,
        _ => return Err(bad(value, Invalid::UnknownWord, COLUMN_ACCEPTS)),
    };
    let is_reserved = kind == ColumnKind::Label && RESERVED_LABELS.contains(&name);
    check_word(
        name,
        is_reserved,
        "a column's name of letters, digits and _; not server or database as a label",
    )?;
    Ok(Column {
        name: name.to_owned(),
        kind,
        help: one_line(help),
    })
}

/// A name that Prometheus takes.
fn check_word(name: &str, is_reserved: bool, accepts: &'static str) -> Result<(), Problem> {
    let is_valid = !name.is_empty()
        && name.len() <= LONGEST_NAME
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    match (is_valid, is_reserved) {
        (false, _) => Err(bad(name, Invalid::NotAName, accepts)),
        (true, true) => Err(bad(name, Invalid::Reserved, accepts)),
        (true, false) => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
