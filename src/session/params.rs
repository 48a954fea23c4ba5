//! Tracked parameters: the settings PostgreSQL reports and each client keeps (surface 6.3).
//!
//! A set of values is immutable and shared: clients with the same values hold the same `Arc`, so
//! that the question of every link, "does this server match this client", is one pointer comparison.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use crate::sql::Rules;

/// Tracked whatever the configuration says, in the order of the welcome.
pub const ALWAYS_TRACKED: [&str; 5] = [
    "DateStyle",
    "client_encoding",
    "TimeZone",
    "standard_conforming_strings",
    "application_name",
];
const CLIENT_ENCODING: usize = 1;
const STANDARD_CONFORMING_STRINGS: usize = 3;
const APPLICATION_NAME: usize = 4;

/// Encodings whose later bytes of a character can be ASCII: quotes cannot be told from letters.
const OPAQUE_ENCODINGS: [&str; 8] = [
    "SJIS",
    "SHIFT_JIS_2004",
    "BIG5",
    "GBK",
    "GB18030",
    "UHC",
    "JOHAB",
    "MULE_INTERNAL",
];

/// The values of all tracked parameters, by the position of their name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Params {
    values: Box<[Option<Arc<str>>]>,
    /// Follows from the values.
    rules: Rules,
    context: u64,
}

impl Params {
    fn of(values: Box<[Option<Arc<str>>]>) -> Self {
        let value = |index: usize| values.get(index).and_then(Option::as_deref);
        let encoding = value(CLIENT_ENCODING).unwrap_or_default();
        let rules = Rules {
            backslash_quotes: value(STANDARD_CONFORMING_STRINGS) == Some("off"),
            opaque_encoding: OPAQUE_ENCODINGS
                .iter()
                .any(|known| encoding.eq_ignore_ascii_case(known)),
            ..Rules::default()
        };
        let context = context_of(&values);
        Self {
            values,
            rules,
            context,
        }
    }

    /// HOT. How the client's SQL is to be read.
    #[inline]
    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// The value at a position.
    pub fn get(&self, index: usize) -> Option<&Arc<str>> {
        self.values.get(index)?.as_ref()
    }

    /// HOT. Whether the parameters of the set `which` (bit = position) are those of `start`; what that
    /// leaves open does not matter.
    pub fn is_as_at_start(&self, start: &Self, which: u64) -> bool {
        start.values.iter().enumerate().all(|(index, start)| {
            let is_meant = which.checked_shr(index as u32).unwrap_or(0) & 1 == 1;
            !is_meant || start.is_none() || self.get(index) == start.as_ref()
        })
    }

    /// The client's application_name.
    pub fn application_name(&self) -> Option<&Arc<str>> {
        self.get(APPLICATION_NAME)
    }

    /// The client's encoding.
    pub fn client_encoding(&self) -> Option<&Arc<str>> {
        self.get(CLIENT_ENCODING)
    }

    /// What a Parse folds into its plan besides its text: everything but the application_name.
    #[inline]
    pub fn parse_context(&self) -> u64 {
        self.context
    }
}

fn context_of(values: &[Option<Arc<str>>]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    for (index, value) in values.iter().enumerate() {
        if index != APPLICATION_NAME {
            value.hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// The tracked names of this process and the shared sets of their values.
#[derive(Debug)]
pub struct Tracked {
    names: Box<[Box<str>]>,
    sets: Mutex<Sets>,
}

#[derive(Debug, Default)]
struct Sets {
    known: HashSet<Arc<Params>>,
    /// Purge when this many are known.
    purge_at: usize,
}

impl Tracked {
    /// `extra`: the names of `track_extra_parameters`.
    pub fn with_extra<S: AsRef<str>>(extra: &[S]) -> Self {
        let mut names: Vec<Box<str>> = ALWAYS_TRACKED.iter().map(|&name| name.into()).collect();
        for name in extra.iter().map(AsRef::as_ref) {
            if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                names.push(name.into());
            }
        }
        Self {
            names: names.into(),
            sets: Mutex::default(),
        }
    }

    /// Canonical names in the order of the welcome.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    /// Position of a name, whatever its case.
    pub fn index_of(&self, name: &[u8]) -> Option<usize> {
        self.names
            .iter()
            .position(|known| known.as_bytes().eq_ignore_ascii_case(name))
    }

    /// The shared set of the given (name, value) pairs; untracked names are ignored.
    pub fn set_of<'a>(&self, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Arc<Params> {
        let mut values = vec![None; self.names.len()];
        for (name, value) in pairs {
            if let Some(index) = self.index_of(name.as_bytes()) {
                values[index] = Some(Arc::from(value));
            }
        }
        self.share(Params::of(values.into()))
    }

    /// `base` with one value changed.
    pub fn with_value(&self, base: &Params, index: usize, value: &str) -> Arc<Params> {
        let mut values = base.values.clone();
        if values.len() < self.names.len() {
            values = vec![None; self.names.len()].into();
        }
        if let Some(slot) = values.get_mut(index) {
            *slot = Some(Arc::from(value));
        }
        self.share(Params::of(values))
    }

    /// `first`, with what it leaves open taken from `second`.
    pub fn filled(&self, first: &Params, second: &Params) -> Arc<Params> {
        let values = (0..self.names.len())
            .map(|index| first.get(index).or_else(|| second.get(index)).cloned())
            .collect();
        self.share(Params::of(values))
    }

    /// `now`, with the parameters of the set `which` (bit = position) as they were at the start.
    pub fn restored(&self, now: &Params, start: &Params, which: u64) -> Arc<Params> {
        let values = (0..self.names.len())
            .map(|index| {
                let is_meant = which.checked_shr(index as u32).unwrap_or(0) & 1 == 1;
                let from = if is_meant { start } else { now };
                from.get(index).or_else(|| now.get(index)).cloned()
            })
            .collect();
        self.share(Params::of(values))
    }

    fn share(&self, params: Params) -> Arc<Params> {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = sets.known.get(&params) {
            return Arc::clone(known);
        }
        if sets.known.len() >= sets.purge_at {
            sets.known.retain(|set| Arc::strong_count(set) > 1);
            sets.purge_at = 2 * sets.known.len().max(512);
        }
        let shared = Arc::new(params);
        sets.known.insert(Arc::clone(&shared));
        shared
    }

    /// The statements that make a server with `has` match a client that wants `wants`, as one SQL
    /// text, and `None` when they match already (case-insensitively, as PgBouncer compares).
    pub fn difference(&self, wants: &Params, has: &Params) -> Option<String> {
        use std::fmt::Write as _;
        let mut sql = String::new();
        for (index, name) in self.names.iter().enumerate() {
            let (Some(want), has) = (wants.get(index), has.get(index)) else {
                continue;
            };
            if has.is_some_and(|has| has.eq_ignore_ascii_case(want)) {
                continue;
            }
            let _ = write!(sql, "SET {name}=");
            push_value(&mut sql, name, want);
            sql.push(';');
        }
        (!sql.is_empty()).then_some(sql)
    }

    /// The statement that gives one of them a value for the rest of a transaction.
    pub fn local(&self, index: usize, value: &str) -> String {
        let name = self.names.get(index).map_or("", |name| name);
        let mut sql = format!("SET LOCAL {name}=");
        push_value(&mut sql, name, value);
        sql.push(';');
        sql
    }
}

/// Quotes a value for SET. A quoted list (search_path) is reported in SQL form already.
fn push_value(sql: &mut String, name: &str, value: &str) {
    if name.eq_ignore_ascii_case("search_path") {
        sql.push_str(if value == "\"\"" || value.is_empty() {
            "''"
        } else {
            value
        });
        return;
    }
    if value.contains('\\') {
        sql.push('E');
    }
    sql.push('\'');
    for c in value.chars() {
        if c == '\'' || c == '\\' {
            sql.push(c);
        }
        sql.push(c);
    }
    sql.push('\'');
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_the_same_set() {
        let tracked = Tracked::with_extra(&["IntervalStyle"]);
        let a = tracked.set_of([("timezone", "UTC")].into_iter());
        let b = tracked.set_of([("TimeZone", "UTC"), ("unknown", "x")].into_iter());
        assert!(Arc::ptr_eq(&a, &b));
        let c = tracked.with_value(&a, 2, "Europe/Berlin");
        assert!(!Arc::ptr_eq(&a, &c));
        assert!(Arc::ptr_eq(&a, &tracked.with_value(&c, 2, "UTC")));
    }

    #[test]
    fn only_what_differs_is_set_and_quotes_cannot_break_out() {
        let tracked = Tracked::with_extra(&["IntervalStyle", "search_path"]);
        let wants = tracked.set_of(
            [
                ("TimeZone", "o'clock"),
                ("application_name", r"a\'; DROP"),
                ("DateStyle", "iso, mdy"),
                ("search_path", "\"$user\", public"),
            ]
            .into_iter(),
        );
        let has = tracked.set_of([("DateStyle", "ISO, MDY"), ("TimeZone", "UTC")].into_iter());
        assert_eq!(
            tracked.difference(&wants, &has).unwrap(),
            r#"SET TimeZone='o''clock';SET application_name=E'a\\''; DROP';SET search_path="$user", public;"#
        );
        assert_eq!(tracked.difference(&has, &has), None);
    }

    #[test]
    fn a_client_without_a_value_takes_the_servers() {
        let tracked = Tracked::with_extra::<&str>(&[]);
        let client = tracked.set_of([("TimeZone", "UTC")].into_iter());
        let server = tracked.set_of([("TimeZone", "CET"), ("DateStyle", "ISO, DMY")].into_iter());
        let both = tracked.filled(&client, &server);
        assert_eq!(both.get(2).unwrap().as_ref(), "UTC");
        assert_eq!(both.get(0).unwrap().as_ref(), "ISO, DMY");
        assert_eq!(client.parse_context(), client.parse_context());
        assert_ne!(client.parse_context(), both.parse_context());
    }
}
