//! Named prepared statements shared between clients (surface 6.4).
//!
//! One dictionary maps text, parameter types and parse context to a server-side name; each client
//! maps its own names to entries; each server knows which entries it holds, oldest first. Nothing
//! here sends anything: `link` does what the answers say.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use dashmap::DashMap;
use lru::LruCache;

use crate::sql::{self, Rules, Summary};
use crate::wire::frontend;

/// One statement, whoever prepared it.
#[derive(Debug)]
pub struct Statement {
    /// Unique for the life of the process.
    pub id: u64,
    /// Its name on every server.
    pub server_name: Box<str>,
    /// Text, NUL and parameter types, as in the Parse message behind the name.
    pub body: Box<[u8]>,
    /// What it does, and its fingerprint.
    pub what: Summary,
    /// It may drop all statements of the session that runs it (DEALLOCATE ALL, DISCARD ALL).
    pub may_drop: bool,
}

impl Statement {
    /// Its SQL text.
    pub fn text(&self) -> &[u8] {
        self.body
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default()
    }
}

impl PartialEq for Statement {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}
impl Eq for Statement {}

/// All statements that any client holds.
#[derive(Debug, Default)]
pub struct Dictionary {
    last_id: AtomicU64,
    entries: DashMap<Box<[u8]>, Arc<Statement>>,
}

impl Dictionary {
    /// The entry for a Parse body under a parse context (`Params::parse_context`); `rules`: how its
    /// text is to be read.
    pub fn intern(&self, body: &[u8], context: u64, rules: Rules) -> Arc<Statement> {
        let mut key = Vec::with_capacity(body.len() + 8);
        key.extend_from_slice(&context.to_ne_bytes());
        key.extend_from_slice(body);
        if let Some(known) = self.entries.get(key.as_slice()) {
            return Arc::clone(&known);
        }
        let entry = self.entries.entry(key.into_boxed_slice());
        let made = entry.or_insert_with(|| {
            let id = self.last_id.fetch_add(1, Relaxed) + 1;
            Arc::new(Statement {
                id,
                server_name: format!("PGWEIR_{id}").into_boxed_str(),
                body: body.into(),
                what: Summary::from(&sql::single(body, rules)),
                may_drop: frontend::begins_with_drop(
                    body.split(|b| *b == 0).next().unwrap_or(body),
                ),
            })
        });
        Arc::clone(&made)
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

/// What a client has prepared: its names.
#[derive(Debug, Default)]
pub struct ClientStatements {
    names: HashMap<Box<[u8]>, Arc<Statement>>,
}

impl ClientStatements {
    /// The entry behind a name.
    pub fn get(&self, name: &[u8]) -> Option<&Arc<Statement>> {
        self.names.get(name)
    }
    /// Takes a name; the caller has asked whether it is free.
    pub fn insert(&mut self, name: &[u8], statement: Arc<Statement>) {
        self.names.insert(name.into(), statement);
    }
    /// Takes a name where there is one.
    pub fn take(&mut self, name: Option<&[u8]>, statement: &Arc<Statement>) {
        if let Some(name) = name {
            self.insert(name, Arc::clone(statement));
        }
    }
    /// Frees a name.
    pub fn remove(&mut self, name: &[u8]) -> Option<Arc<Statement>> {
        self.names.remove(name)
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

/// What a server has prepared, least recently used first to go.
#[derive(Debug)]
pub struct ServerStatements {
    held: LruCache<u64, Arc<Statement>>,
}

impl Default for ServerStatements {
    fn default() -> Self {
        Self {
            held: LruCache::unbounded(),
        }
    }
}

impl ServerStatements {
    /// Whether the server has it; marks it as used.
    pub fn touch(&mut self, id: u64) -> bool {
        self.held.get(&id).is_some()
    }
    /// The server is about to have it.
    pub fn insert(&mut self, statement: Arc<Statement>) {
        self.held.put(statement.id, statement);
    }
    /// The server does not have it after all.
    pub fn remove(&mut self, id: u64) {
        self.held.pop(&id);
    }
    /// The one to close when there are more than `limit`.
    pub fn evict_over(&mut self, limit: usize) -> Option<Arc<Statement>> {
        if self.held.len() > limit {
            self.held.pop_lru().map(|(_, statement)| statement)
        } else {
            None
        }
    }
    /// DEALLOCATE ALL or DISCARD ALL ran.
    pub fn clear(&mut self) {
        self.held.clear();
    }
    /// How many it has.
    pub fn len(&self) -> usize {
        self.held.len()
    }
    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
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
    fn the_least_recently_used_goes_first() {
        let dictionary = Dictionary::default();
        let mut server = ServerStatements::default();
        let a = dictionary.intern(b"a\0\0\0", 0, Rules::default());
        let b = dictionary.intern(b"b\0\0\0", 0, Rules::default());
        server.insert(Arc::clone(&a));
        server.insert(Arc::clone(&b));
        assert!(server.touch(a.id));
        assert_eq!(server.evict_over(1).map(|s| s.id), Some(b.id));
        assert_eq!(server.evict_over(1), None);
    }
}
