//! What a statement may leave behind in its session.
//!
//! Owns: one set of bits, gathered while the statement is read. A set that is empty (nearly every
//! statement) means that nobody has to look at the text again; what exactly is set, named or
//! listened to is then read by `effects.rs`.

use std::ops::{BitOr, BitOrAssign};

/// A set of kinds of session state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Touches(u16);

impl Touches {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// SET but for SET LOCAL (if not TO DEFAULT) and its like, RESET, DISCARD ALL, `set_config()`.
    pub const SETTINGS: Self = Self(1);
    /// LISTEN, UNLISTEN, DISCARD ALL.
    pub const LISTENING: Self = Self(1 << 1);
    /// BEGIN, COMMIT, ROLLBACK, SAVEPOINT and their like.
    pub const TRANSACTION: Self = Self(1 << 2);
    /// PREPARE, EXECUTE (EXPLAIN EXECUTE and CREATE TABLE AS EXECUTE too), DEALLOCATE.
    pub const PREPARED: Self = Self(1 << 3);
    /// Takes or gives back advisory locks of the session.
    pub const LOCKS: Self = Self(1 << 4);
    /// Makes a temporary object that outlives its transaction; DISCARD TEMP and ALL.
    pub const TEMPORARY: Self = Self(1 << 5);
    /// DECLARE ... WITH HOLD, DISCARD ALL. Not CLOSE, which is only of interest to a server that
    /// holds one: its class is Control.
    pub const CURSORS: Self = Self(1 << 6);
    /// LOAD.
    pub const LIBRARY: Self = Self(1 << 7);
    /// Advances a sequence: `nextval()`, `setval()`.
    pub const SEQUENCE: Self = Self(1 << 8);
    /// Reads what an earlier `nextval()` left: `currval()`, `lastval()`.
    pub const SEQUENCE_READ: Self = Self(1 << 9);
    /// DO and CALL: code that may do anything.
    pub const CODE: Self = Self(1 << 10);
    /// Calls a function that is not one of pg_catalog's, or one of those that run SQL.
    pub const FUNCTION: Self = Self(1 << 11);
    /// NOTIFY, `pg_notify()`.
    pub const NOTIFIES: Self = Self(1 << 12);
    /// All of them, as of a text that was not understood; but for LOAD, which holds a server for
    /// good.
    pub const ALL: Self = Self(((1 << 13) - 1) & !Self::LIBRARY.0);

    /// All of them.
    pub const EVERY: Self = Self((1 << 13) - 1);

    /// HOT. Whether the statement leaves nothing behind.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether any of `kinds` is in here.
    #[inline]
    pub const fn has(self, kinds: Self) -> bool {
        self.0 & kinds.0 != 0
    }

    /// What is in both.
    #[inline]
    #[must_use]
    pub const fn and(self, kinds: Self) -> Self {
        Self(self.0 & kinds.0)
    }

    /// What is in here and not in `kinds`.
    #[inline]
    #[must_use]
    pub const fn without(self, kinds: Self) -> Self {
        Self(self.0 & !kinds.0)
    }

    /// Both.
    #[inline]
    #[must_use]
    pub const fn or(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }
}

impl BitOr for Touches {
    type Output = Self;
    fn bitor(self, more: Self) -> Self {
        self.or(more)
    }
}

impl BitOrAssign for Touches {
    fn bitor_assign(&mut self, more: Self) {
        *self = self.or(more);
    }
}
