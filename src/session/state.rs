//! What a client's session is made of besides its tracked parameters: its settings and, while a
//! transaction is open, what a ROLLBACK would undo.
//!
//! Owns: PostgreSQL's rules of SET, savepoints and LISTEN inside of transactions. Pure: no I/O, no
//! clock. SET LOCAL never arrives here: at the end of the transaction the session's value holds
//! again. Source: PostgreSQL "SET", "SAVEPOINT", "ROLLBACK TO SAVEPOINT", "LISTEN", "DISCARD".

use std::sync::Arc;

use super::params::Tracked;
use super::settings::{Settings, SettingsStore};
use crate::sql::Effect;

/// A change of what a client listens to, once its transaction has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenChange {
    /// LISTEN.
    Listen(Box<str>),
    /// UNLISTEN of one channel.
    Unlisten(Box<str>),
    /// UNLISTEN *, DISCARD ALL.
    UnlistenAll,
}

/// The settings of one session, and its open transaction.
#[derive(Clone, Debug)]
pub struct SessionState {
    settings: Arc<Settings>,
    /// RESET goes back to these.
    startup: Arc<Settings>,
    /// Only where something has happened that its end decides about.
    transaction: Option<Box<Transaction>>,
}

#[derive(Clone, Debug)]
struct Transaction {
    /// At its begin.
    settings: Arc<Settings>,
    /// The oldest first.
    savepoints: Vec<Savepoint>,
    /// What its commit does.
    listens: Vec<ListenChange>,
}

#[derive(Clone, Debug)]
struct Savepoint {
    name: Box<str>,
    settings: Arc<Settings>,
    /// Changes of `listens` when it was made.
    listens: usize,
}

impl SessionState {
    /// A session that has just begun with these settings.
    pub fn with_startup(startup: Arc<Settings>) -> Self {
        Self {
            settings: Arc::clone(&startup),
            startup,
            transaction: None,
        }
    }

    /// The settings now.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// The settings it began with.
    pub fn startup(&self) -> &Arc<Settings> {
        &self.startup
    }

    /// Whether something has happened that the end of the open transaction decides about.
    pub fn is_in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// A statement with this effect has completed. BEGIN, COMMIT and ROLLBACK change nothing here:
    /// whether a transaction has ended, and how, is known from the command tag, and told by
    /// `committed` and `rolled_back`. BEGIN in an implicit transaction block takes what went before
    /// it along, as in PostgreSQL.
    pub fn apply(&mut self, effect: &Effect, store: &SettingsStore, tracked: &Tracked) {
        match effect {
            Effect::Set { name, value } => {
                if is_ours(name, tracked) {
                    let after = store.with(&self.settings, name, Some(value));
                    self.change(after);
                }
            }
            Effect::SetList { name, value } => {
                if is_ours(name, tracked) {
                    let after = store.with_list(&self.settings, name, value);
                    self.change(after);
                }
            }
            Effect::Reset(name) => {
                if is_ours(name, tracked) {
                    let after = store.reset(&self.settings, name, &self.startup);
                    self.change(after);
                }
            }
            Effect::ResetAll => {
                let after = store.after_reset_all(&self.settings, &self.startup);
                self.change(after);
            }
            Effect::DiscardAll => {
                self.discard_all();
                self.transaction().listens.push(ListenChange::UnlistenAll);
            }
            Effect::Listen(channel) => self.listen(ListenChange::Listen(channel.clone())),
            Effect::Unlisten(Some(channel)) => {
                self.listen(ListenChange::Unlisten(channel.clone()));
            }
            Effect::Unlisten(None) => self.listen(ListenChange::UnlistenAll),
            Effect::Savepoint(name) => self.savepoint(name),
            Effect::Release(name) => self.release(name),
            Effect::RollbackTo(name) => self.rollback_to(name),
            Effect::Begin
            | Effect::Commit(_)
            | Effect::Rollback(_)
            | Effect::DiscardTemp
            | Effect::ResetLocal(_)
            | Effect::Asked(_)
            | Effect::Unknown(_) => {}
        }
    }

    /// The session has been given these settings by SET; undone with the open transaction.
    pub fn adopt(&mut self, settings: Arc<Settings>) {
        self.change(settings);
    }

    /// What the open transaction will have changed in what is listened to.
    pub fn listens(&self) -> &[ListenChange] {
        self.transaction.as_ref().map_or(&[], |it| &it.listens)
    }

    /// The transaction has committed (implicit ones too): what it listened to holds from now on.
    pub fn committed(&mut self) -> Vec<ListenChange> {
        let ended = self.transaction.take();
        ended.map_or_else(Vec::new, |ended| ended.listens)
    }

    /// The transaction has been rolled back, its server is gone, or its COMMIT failed.
    pub fn rolled_back(&mut self) {
        if let Some(ended) = self.transaction.take() {
            self.settings = ended.settings;
        }
    }

    /// DISCARD ALL: the session's user, role and settings are as at its start. It cannot be undone,
    /// since PostgreSQL commits behind it. What the session listens to is the caller's.
    pub fn discard_all(&mut self) {
        self.settings = Arc::clone(&self.startup);
        self.transaction = None;
    }

    fn transaction(&mut self) -> &mut Transaction {
        self.transaction.get_or_insert_with(|| {
            Box::new(Transaction {
                settings: Arc::clone(&self.settings),
                savepoints: Vec::new(),
                listens: Vec::new(),
            })
        })
    }

    fn change(&mut self, after: Arc<Settings>) {
        if !Arc::ptr_eq(&after, &self.settings) {
            self.transaction();
            self.settings = after;
        }
    }

    fn listen(&mut self, change: ListenChange) {
        self.transaction().listens.push(change);
    }

    fn savepoint(&mut self, name: &str) {
        let settings = Arc::clone(&self.settings);
        let transaction = self.transaction();
        let listens = transaction.listens.len();
        transaction.savepoints.push(Savepoint {
            name: name.into(),
            settings,
            listens,
        });
    }

    /// RELEASE destroys the savepoint and those after it, and keeps what was done since.
    fn release(&mut self, name: &str) {
        if let Some(transaction) = &mut self.transaction
            && let Some(at) = transaction.latest(name)
        {
            transaction.savepoints.truncate(at);
        }
    }

    /// ROLLBACK TO destroys the savepoints after it; the savepoint itself stays.
    fn rollback_to(&mut self, name: &str) {
        if let Some(transaction) = &mut self.transaction
            && let Some(at) = transaction.latest(name)
        {
            let savepoint = &transaction.savepoints[at];
            self.settings = Arc::clone(&savepoint.settings);
            transaction.listens.truncate(savepoint.listens);
            transaction.savepoints.truncate(at + 1);
        }
    }
}

impl Transaction {
    /// The position of a name: a later savepoint hides an earlier one.
    fn latest(&self, name: &str) -> Option<usize> {
        self.savepoints.iter().rposition(|s| *s.name == *name)
    }
}

/// Whether a setting is kept here: neither reported by PostgreSQL nor one that ends with its
/// transaction, nor the seed of random(), which is no value that could be set again.
fn is_ours(name: &str, tracked: &Tracked) -> bool {
    const NOT_OF_THE_SESSION: [&str; 4] = [
        "transaction_isolation",
        "transaction_read_only",
        "transaction_deferrable",
        "seed",
    ];
    let mut others = NOT_OF_THE_SESSION.iter();
    tracked.index_of(name.as_bytes()).is_none()
        && !others.any(|other| other.eq_ignore_ascii_case(name))
}

#[cfg(test)]
#[path = "state/tests.rs"]
mod tests;
