//! What exactly a statement does to its session: which setting, which channel, which savepoint.
//!
//! Owns: the reading of a statement whose `touches` is not empty. Allocates; never called for one
//! that leaves nothing behind.

use super::{Rules, Statement};

/// One change of the session. Names are as PostgreSQL folds them: lower case unless quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// SET, SET SESSION, `set_config(name, value, false)`. `value`: SQL that may stand behind
    /// `SET name TO`. SET ROLE is the setting `role`, SET SESSION AUTHORIZATION is
    /// `session_authorization`, SET TIME ZONE is `timezone`, SET NAMES is `client_encoding`,
    /// SET SCHEMA is `search_path`.
    Set {
        /// The setting.
        name: Box<str>,
        /// What it is set to.
        value: Box<str>,
    },
    /// RESET of one setting, SET ... TO DEFAULT.
    Reset(Box<str>),
    /// RESET ALL.
    ResetAll,
    /// DISCARD ALL.
    DiscardAll,
    /// DISCARD TEMP.
    DiscardTemp,
    /// LISTEN.
    Listen(Box<str>),
    /// UNLISTEN; `None` is `*`.
    Unlisten(Option<Box<str>>),
    /// BEGIN, START TRANSACTION.
    Begin,
    /// COMMIT, END, PREPARE TRANSACTION; `true`: AND CHAIN.
    Commit(bool),
    /// ROLLBACK, ABORT; `true`: AND CHAIN.
    Rollback(bool),
    /// SAVEPOINT.
    Savepoint(Box<str>),
    /// RELEASE.
    Release(Box<str>),
    /// ROLLBACK TO.
    RollbackTo(Box<str>),
    /// It may change settings in a way that its text does not say; what, for the counter.
    Unknown(&'static str),
}

/// What a statement of `text` does, in the order in which it does it.
pub fn effects(_text: &[u8], _statement: &Statement, _rules: Rules) -> Vec<Effect> {
    Vec::new()
}
