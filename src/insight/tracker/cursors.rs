//! Cursors by name: which statement a FETCH fetches from.
//!
//! Owns the names declared on one server: until their transaction ends, WITH HOLD until they are
//! closed. A FETCH stays a group of its own; what it took is also told of the cursor's DECLARE
//! (insight.md 4.6).

use std::collections::HashMap;

use super::requests::remember;
use crate::sql::{Summary, Touches};

/// A cursor that was declared.
#[derive(Debug)]
struct Cursor {
    /// Of its DECLARE.
    fingerprint: u64,
    /// WITH HOLD.
    is_held: bool,
    /// Its transaction has not ended yet.
    is_new: bool,
}

/// The cursors of one server.
#[derive(Debug, Default)]
pub(super) struct Cursors(HashMap<Box<[u8]>, Cursor>);

impl Cursors {
    /// DECLARE has worked.
    pub fn declared(&mut self, name: &[u8], what: Summary) {
        let cursor = Cursor {
            fingerprint: what.fingerprint,
            is_held: what.touches.has(Touches::CURSORS),
            is_new: true,
        };
        remember(&mut self.0, name, cursor);
    }

    /// CLOSE has worked; without a name, of all.
    pub fn closed(&mut self, name: Option<&[u8]>) {
        match name {
            Some(name) => drop(self.0.remove(name)),
            None => self.0.clear(),
        }
    }

    /// Fingerprint of a cursor's DECLARE.
    pub fn get(&self, name: &[u8]) -> Option<u64> {
        self.0.get(name).map(|cursor| cursor.fingerprint)
    }

    /// HOT. The transaction is over.
    #[inline]
    pub fn end_transaction(&mut self, is_committed: bool) {
        if self.0.is_empty() {
            return;
        }
        self.0.retain(|_, cursor| {
            let is_there = cursor.is_held && (is_committed || !cursor.is_new);
            cursor.is_new = false;
            is_there
        });
    }

    /// HOT. The client is gone, and its cursors with it.
    #[inline]
    pub fn clear(&mut self) {
        if !self.0.is_empty() {
            self.0.clear();
        }
    }
}
