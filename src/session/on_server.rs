//! What a server has prepared: statements that clients share, least recently used first to go.
//!
//! Owns: which entries it holds, and whether their columns are known to be those that clients were
//! told. Sends nothing.

use std::sync::Arc;

use lru::LruCache;

use super::prepared::Statement;

/// What a server has prepared, least recently used first to go.
#[derive(Debug)]
pub struct ServerStatements {
    held: LruCache<u64, Prepared>,
}

#[derive(Debug)]
struct Prepared {
    statement: Arc<Statement>,
    /// The server has said that its columns are the known ones.
    is_proved: bool,
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
        let id = statement.id;
        let prepared = Prepared {
            statement,
            is_proved: false,
        };
        self.held.put(id, prepared);
    }
    /// HOT. Whether it has it with the columns that clients were told.
    #[inline]
    pub fn is_proved(&self, id: u64) -> bool {
        let prepared = self.held.peek(&id);
        prepared.is_some_and(|prepared| prepared.is_proved)
    }
    /// It has it with the columns that clients were told.
    pub fn prove(&mut self, id: u64) {
        if let Some(prepared) = self.held.peek_mut(&id) {
            prepared.is_proved = true;
        }
    }
    /// The server does not have it after all.
    pub fn remove(&mut self, id: u64) {
        self.held.pop(&id);
    }
    /// The one to close when there are more than `limit`.
    pub fn evict_over(&mut self, limit: usize) -> Option<Arc<Statement>> {
        if self.held.len() <= limit {
            return None;
        }
        let (_, prepared) = self.held.pop_lru()?;
        Some(prepared.statement)
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
    use crate::session::prepared::Dictionary;
    use crate::sql::Rules;

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
