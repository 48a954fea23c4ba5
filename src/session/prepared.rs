//! Prepared statements shared between clients (surface 6.4), and what a client's unnamed one is.
//!
//! One dictionary maps text, parameter types and parse context to a server-side name; each client
//! maps its own names to entries; each server knows which entries it holds, oldest first. Nothing
//! here sends anything: `link` does what the answers say.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use dashmap::DashMap;

use super::deed::Deed;
use crate::sql::{self, Rules, Summary, Usage};
use crate::wire::frontend;

/// What our names on servers begin with.
pub const SERVER_PREFIX: &str = "PGWEIR_";

/// Texts remembered as seen once: what is not sent again soon is not worth a place on a server.
const SIGHTINGS: usize = 4096;

/// How a statement is prepared.
#[derive(Clone, Debug)]
pub enum Body {
    /// By a Parse: text, NUL and parameter types, as in the message behind the name.
    Parse(Box<[u8]>),
    /// By an SQL PREPARE, whose parameter types have names.
    Sql {
        /// What stands behind the name.
        rest: Box<[u8]>,
        /// Where in it the statement begins.
        body_at: usize,
    },
}

/// A statement that names a prepared one.
#[derive(Clone, Debug)]
pub struct SqlUse {
    /// What it does.
    pub usage: Usage,
    /// The client's name.
    pub name: Box<[u8]>,
    /// What the name stands for; to PREPARE: what it will.
    pub statement: Arc<Statement>,
    /// The name was in use: PREPARE is to be refused.
    pub is_taken: bool,
    /// Where our name stands in the text instead of the client's, and by how many bytes it is longer.
    pub moved: (usize, isize),
}

impl SqlUse {
    /// A position in the text that the server has (from 1), in that of the client.
    pub fn position(&self, position: usize) -> usize {
        let (at, by) = self.moved;
        if position > at + 1 {
            position.saturating_add_signed(-by)
        } else {
            position
        }
    }
}

/// One statement, whoever prepared it.
#[derive(Debug)]
pub struct Statement {
    /// Unique for the life of the process.
    pub id: u64,
    /// Its name on every server.
    pub server_name: Box<str>,
    /// How it is prepared.
    pub body: Body,
    /// What it does, and its fingerprint.
    pub what: Summary,
    /// What it will have done to the session that runs it.
    pub deed: Option<Arc<Deed>>,
    /// It may drop all statements of the session that runs it (DEALLOCATE ALL, DISCARD ALL).
    pub may_drop: bool,
    /// What it was parsed under (`Dictionary::intern`).
    pub context: u64,
    /// Its text is a PREPARE, EXECUTE or DEALLOCATE: what that means depends on the client's names.
    pub names_others: bool,
    /// Its columns as clients were told them (`wire::backend::columns_hash`); unset until the first
    /// server has said.
    columns: OnceLock<u64>,
    /// Means the same whenever it is parsed under its context: an unnamed Parse of it need not be
    /// sent to a server that has it.
    pub is_keepable: bool,
}

impl Statement {
    fn of(id: u64, body: &[u8], context: u64, rules: Rules) -> Arc<Self> {
        let text = body.split(|byte| *byte == 0).next().unwrap_or(body);
        let statement = sql::single(body, rules);
        Arc::new(Self {
            id,
            server_name: format!("{SERVER_PREFIX}{id}").into_boxed_str(),
            body: Body::Parse(body.into()),
            what: Summary::from(&statement),
            deed: Deed::of(body, &statement, rules),
            may_drop: frontend::begins_with_drop(text),
            names_others: sql::may_name_prepared(text)
                && !sql::prepared_names(text, rules).is_empty(),
            context,
            columns: OnceLock::new(),
            is_keepable: sql::is_lasting(text, &statement, rules),
        })
    }

    /// Its SQL text.
    pub fn text(&self) -> &[u8] {
        let text = match &self.body {
            Body::Parse(body) => body.as_ref(),
            Body::Sql { rest, body_at } => rest.get(*body_at..).unwrap_or_default(),
        };
        text.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// Its columns, where they are known.
    pub fn columns(&self) -> Option<u64> {
        self.columns.get().copied()
    }

    /// A server has said its columns: whether they are those that were known, if any were.
    pub fn has_columns(&self, columns: u64) -> bool {
        *self.columns.get_or_init(|| columns) == columns
    }

    /// The Parse body, when a Parse prepares it.
    pub fn parse_body(&self) -> Option<&[u8]> {
        match &self.body {
            Body::Parse(body) => Some(body),
            Body::Sql { .. } => None,
        }
    }
}

impl PartialEq for Statement {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}
impl Eq for Statement {}

/// All statements that any client holds.
#[derive(Debug)]
pub struct Dictionary {
    last_id: AtomicU64,
    entries: DashMap<Box<[u8]>, Arc<Statement>>,
    /// Hashes of unnamed texts that came once.
    sightings: Box<[AtomicU64]>,
}

impl Default for Dictionary {
    fn default() -> Self {
        Self {
            last_id: AtomicU64::new(0),
            entries: DashMap::new(),
            sightings: (0..SIGHTINGS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Dictionary {
    /// The entry for a Parse body under a context (what its parse depends on beside its text:
    /// `Params::parse_context` and the age of the schema); `rules`: how its text is to be read.
    pub fn intern(&self, body: &[u8], context: u64, rules: Rules) -> Arc<Statement> {
        let key = key_of(body, context);
        if let Some(known) = self.entries.get(key.as_slice()) {
            return Arc::clone(&known);
        }
        let entry = self.entries.entry(key.into_boxed_slice());
        let made = entry.or_insert_with(|| Statement::of(self.next_id(), body, context, rules));
        Arc::clone(&made)
    }

    /// The entry for an SQL PREPARE: `rest` is what stands behind its name, and the statement begins
    /// there at `body_at`; `what`: what it does.
    pub fn intern_sql(
        &self,
        rest: &[u8],
        body_at: usize,
        context: u64,
        what: Summary,
    ) -> Arc<Statement> {
        // No Parse body is without a NUL, and no text has one.
        let entry = self.entries.entry(key_of(rest, context).into());
        let made = entry.or_insert_with(|| self.sql_statement(rest, body_at, context, what));
        Arc::clone(&made)
    }

    /// As `intern`, for a text that may never come again: `None` when it has not come before.
    pub fn intern_if_seen(
        &self,
        body: &[u8],
        context: u64,
        rules: Rules,
    ) -> Option<Arc<Statement>> {
        let mut hasher = std::hash::DefaultHasher::new();
        (body, context).hash(&mut hasher);
        let hash = hasher.finish();
        let sighting = self.sightings.get(hash as usize % SIGHTINGS)?;
        if sighting.load(Relaxed) == hash {
            return Some(self.intern(body, context, rules));
        }
        sighting.store(hash, Relaxed);
        None
    }

    /// The same statement under a server-side name that no server has: what servers hold under the
    /// old one is out of date. Who prepares its text from now on gets the new one.
    pub fn renew(&self, old: &Statement, rules: Rules) -> Arc<Statement> {
        let Body::Parse(body) = &old.body else {
            return self.renew_sql(old);
        };
        let make = || Statement::of(self.next_id(), body, old.context, rules);
        self.replaced(key_of(body, old.context), old.id, make)
    }

    fn renew_sql(&self, old: &Statement) -> Arc<Statement> {
        let Body::Sql { rest, body_at } = &old.body else {
            return self.renew(old, Rules::default());
        };
        let make = || self.sql_statement(rest, *body_at, old.context, old.what);
        self.replaced(key_of(rest, old.context), old.id, make)
    }

    fn replaced(
        &self,
        key: Vec<u8>,
        old: u64,
        make: impl Fn() -> Arc<Statement>,
    ) -> Arc<Statement> {
        let mut known = self.entries.entry(key.into()).or_insert_with(&make);
        if known.id <= old {
            *known = make();
        }
        Arc::clone(&known)
    }

    fn sql_statement(
        &self,
        rest: &[u8],
        body_at: usize,
        context: u64,
        what: Summary,
    ) -> Arc<Statement> {
        let id = self.next_id();
        Arc::new(Statement {
            id,
            server_name: format!("{SERVER_PREFIX}{id}").into_boxed_str(),
            body: Body::Sql {
                rest: rest.into(),
                body_at,
            },
            what,
            deed: None,
            may_drop: false,
            context,
            names_others: false,
            columns: OnceLock::new(),
            is_keepable: false,
        })
    }

    fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Relaxed) + 1
    }

    /// Drops entries that nobody holds any more; called now and then by the janitor, so that no
    /// path of a client has to.
    pub fn purge(&self) {
        self.entries.retain(|_, entry| Arc::strong_count(entry) > 1);
    }

    /// Statements known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn key_of(body: &[u8], context: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(body.len() + 8);
    key.extend_from_slice(&context.to_ne_bytes());
    key.extend_from_slice(body);
    key
}

/// The unnamed statement of a client.
#[derive(Clone, Debug, Default)]
pub enum Unnamed {
    /// There is none.
    #[default]
    None,
    /// Its Parse went to a server as it was.
    Sent(Arc<SentParse>),
    /// It is one that clients share, under our name.
    Kept(Arc<Statement>),
}

impl Unnamed {
    /// HOT. Whether there is none.
    #[inline]
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// An unnamed Parse as it was sent. Client and server hold the same one as long as the server's
/// unnamed statement is the client's.
#[derive(Debug, Default)]
pub struct SentParse {
    /// Text, NUL and parameter types; `None` when it was too long to be kept.
    pub body: Option<Box<[u8]>>,
    /// What it was parsed under.
    pub context: u64,
    /// It names a prepared statement.
    pub names: Option<SqlUse>,
    /// What it does; `None`: nobody has read it, or not all of it.
    pub what: Option<Summary>,
    /// What it will have done to the session.
    pub deed: Option<Arc<Deed>>,
}

/// A batch of a client from the first use of a statement on that the server may refuse. Kept with
/// the server, so that its memory is used again.
#[derive(Debug, Default)]
pub struct Copied {
    /// The client's messages.
    pub messages: Vec<u8>,
    /// The statement.
    pub statement: Option<Arc<Statement>>,
    /// The name it has for the client; `None` is the unnamed statement.
    pub name: Option<Box<[u8]>>,
    /// A ParameterDescription that the client gets when a RowDescription follows it: PostgreSQL sends
    /// it before it looks whether the plan is out of date.
    pub described: Vec<u8>,
}

/// A name that a client has prepared.
#[derive(Clone, Debug)]
struct Held {
    statement: Arc<Statement>,
    /// The client may know the columns of its result.
    is_told: bool,
    /// When it was used last, counted in uses of any name.
    used: u64,
}

/// What a client has prepared: its names.
#[derive(Debug, Default)]
pub struct ClientStatements {
    names: HashMap<Box<[u8]>, Held>,
    uses: u64,
}

impl ClientStatements {
    /// The entry behind a name.
    pub fn get(&self, name: &[u8]) -> Option<&Arc<Statement>> {
        self.names.get(name).map(|held| &held.statement)
    }
    /// Whether the client may know the columns of what the name stands for.
    pub fn is_told(&self, name: &[u8]) -> bool {
        self.names.get(name).is_some_and(|held| held.is_told)
    }
    /// The name is about to be used; whether it was before, or is unknown.
    pub fn tell(&mut self, name: &[u8]) -> bool {
        self.note_use(name);
        let held = self.names.get_mut(name);
        held.is_none_or(|held| std::mem::replace(&mut held.is_told, true))
    }
    /// An error about its entry is from now on one about this name.
    pub fn note_use(&mut self, name: &[u8]) {
        self.uses += 1;
        if let Some(held) = self.names.get_mut(name) {
            held.used = self.uses;
        }
    }
    /// The client's name of an entry: of several the one that was used last.
    pub fn name_of(&self, id: u64) -> Option<&[u8]> {
        let names = self.names.iter();
        let names = names.filter(|(_, held)| held.statement.id == id);
        let found = names.max_by_key(|(_, held)| held.used);
        found.map(|(name, _)| name.as_ref())
    }
    /// Takes a name; the caller has asked whether it is free.
    pub fn insert(&mut self, name: &[u8], statement: Arc<Statement>) {
        let held = Held {
            statement,
            is_told: false,
            used: 0,
        };
        self.names.insert(name.into(), held);
    }
    /// Takes a name where there is one.
    pub fn take(&mut self, name: Option<&[u8]>, statement: &Arc<Statement>) {
        if let Some(name) = name {
            self.insert(name, Arc::clone(statement));
        }
    }
    /// Puts another entry behind a name that is in use.
    pub fn replace(&mut self, name: &[u8], statement: Arc<Statement>) {
        if let Some(held) = self.names.get_mut(name) {
            held.statement = statement;
        }
    }
    /// Frees a name.
    pub fn remove(&mut self, name: &[u8]) -> Option<Arc<Statement>> {
        self.names.remove(name).map(|held| held.statement)
    }
    /// Every name in use.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.keys().map(AsRef::as_ref)
    }
    /// Frees every name.
    pub fn clear(&mut self) {
        self.names.clear();
    }
    /// How many names are in use.
    pub fn len(&self) -> usize {
        self.names.len()
    }
    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_text_same_entry_other_context_other_entry() {
        let dictionary = Dictionary::default();
        let a = dictionary.intern(b"select 1\0\0\0", 7, Rules::default());
        let b = dictionary.intern(b"select 1\0\0\0", 7, Rules::default());
        let c = dictionary.intern(b"select 1\0\0\0", 8, Rules::default());
        assert!(Arc::ptr_eq(&a, &b));
        assert_ne!(a.server_name, c.server_name);
        drop(a);
        dictionary.purge();
        assert_eq!(dictionary.len(), 2);
        drop(b);
        dictionary.purge();
        assert_eq!(dictionary.len(), 1);
    }

    #[test]
    fn what_is_renewed_has_another_name_for_everyone_who_comes_later() {
        let dictionary = Dictionary::default();
        let rules = Rules::default();
        let old = dictionary.intern(b"select 1\0\0\0", 7, rules);
        let new = dictionary.renew(&old, rules);
        assert_ne!(old.server_name, new.server_name);
        assert_eq!(dictionary.intern(b"select 1\0\0\0", 7, rules), new);
        // Who was late finds it renewed already.
        assert_eq!(dictionary.renew(&old, rules), new);
        assert_ne!(dictionary.renew(&new, rules), new);
    }

    #[test]
    fn a_text_is_known_from_the_second_time_on() {
        let dictionary = Dictionary::default();
        let intern = || dictionary.intern_if_seen(b"select 1\0\0\0", 7, Rules::default());
        assert_eq!(intern(), None);
        assert!(intern().is_some_and(|statement| statement.is_keepable));
    }
}
