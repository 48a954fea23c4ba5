//! `pgweir_oldest_*_seconds`: how long the longest statement, transaction, idleness in a transaction
//! and queueing last now, by database.
//!
//! Reads the slots of clients, one pass a scrape. A database without clients has no samples; one
//! whose clients are all idle has zeros. COPY, VACUUM and the like are no long statements: a backup
//! runs for hours and nobody should be called for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::text::{Kind, Text, seconds};
use crate::config::CONSOLE_DATABASE;
use crate::pool::Shared;
use crate::sql::Class;
use crate::stats::clock::now_us;
use crate::stats::{ClientSlot, ClientState};

/// Only a statement older than this is asked for its class, which takes a search.
const ASK_CLASS_AFTER_US: u64 = 60_000_000;

/// The oldest of one database in microseconds; 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ages {
    pub statement: u64,
    pub transaction: u64,
    pub idle_in_transaction: u64,
    pub queued: u64,
}

/// One reading.
pub fn read(shared: &Shared) -> BTreeMap<Arc<str>, Ages> {
    let now = now_us();
    let insight = shared.insight.read();
    let mut oldest: BTreeMap<Arc<str>, Ages> = BTreeMap::new();
    for slot in shared.registry.clients() {
        let Some(identity) = slot.identity() else {
            continue;
        };
        if &*identity.database == CONSOLE_DATABASE {
            continue;
        }
        let ages = oldest.entry(Arc::clone(&identity.database)).or_default();
        ages.take(&slot, now, || insight.class(slot.activity.statement()));
    }
    oldest
}

impl Ages {
    fn take(&mut self, slot: &ClientSlot, now: u64, class: impl Fn() -> Option<Class>) {
        let activity = &slot.activity;
        let age = |at: u64| match at {
            0 => 0,
            at => now.saturating_sub(at),
        };
        let since = |at: u64| age(if at == 0 { slot.request_us() } else { at });
        match slot.state() {
            ClientState::Waiting => {
                self.queued = self.queued.max(since(slot.waiting_since_us()));
            }
            ClientState::IdleInTransaction => {
                let idle = since(activity.thinking_us());
                self.idle_in_transaction = self.idle_in_transaction.max(idle);
            }
            ClientState::Active => {
                let running = age(slot.request_us());
                let is_upkeep = running > ASK_CLASS_AFTER_US
                    && matches!(class(), Some(Class::Copy | Class::Maintenance));
                if !is_upkeep {
                    self.statement = self.statement.max(running);
                }
            }
            ClientState::Login
            | ClientState::Idle
            | ClientState::WaitingCancel
            | ClientState::ActiveCancel => return,
        }
        self.transaction = self.transaction.max(age(activity.transaction_us()));
    }
}

type Column = (&'static str, &'static str, fn(&Ages) -> u64);

const COLUMNS: [Column; 4] = [
    (
        "pgweir_oldest_statement_seconds",
        "Longest running statement now; COPY, VACUUM and the like left out.",
        |ages| ages.statement,
    ),
    (
        "pgweir_oldest_transaction_seconds",
        "Longest open transaction now.",
        |ages| ages.transaction,
    ),
    (
        "pgweir_oldest_idle_in_transaction_seconds",
        "Longest idleness inside a transaction now.",
        |ages| ages.idle_in_transaction,
    ),
    (
        "pgweir_oldest_queued_seconds",
        "Longest wait for a server now.",
        |ages| ages.queued,
    ),
];

/// Writes all families.
pub fn write(text: &mut Text, ages: &BTreeMap<Arc<str>, Ages>) {
    for (name, help, value) in COLUMNS {
        let mut family = text.family(name, Kind::Gauge, help);
        for (database, ages) in ages {
            family.sample(&[("database", database)], seconds(value(ages)));
        }
    }
}
