//! Small numbers for names: pools (database, user) and masked application names.
//!
//! A number is never reused while the process lives, so that what lanes recorded stays true. Both
//! tables are bounded: names come from strangers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::figures::AppId;
use super::lane::PoolId;
use crate::sql;

/// Application names told apart in the whole process.
const MAX_APPS: usize = 1000;
/// Pools told apart; beyond it they share the last number.
const MAX_POOLS: usize = 10_000;

/// A name for each number.
#[derive(Debug)]
struct Table<K> {
    ids: HashMap<K, u32>,
    names: Vec<K>,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self {
            ids: HashMap::new(),
            names: Vec::new(),
        }
    }
}

impl<K: Clone + Eq + std::hash::Hash> Table<K> {
    fn id(&mut self, name: K, limit: usize, other: impl FnOnce() -> K) -> u32 {
        if let Some(&id) = self.ids.get(&name) {
            return id;
        }
        let name = match self.names.len() + 1 {
            n if n < limit => name,
            n if n == limit => other(),
            n => return n as u32 - 2,
        };
        let id = self.names.len() as u32;
        self.names.push(name.clone());
        self.ids.insert(name, id);
        id
    }
}

/// Database and user of a pool.
pub type PoolName = (Arc<str>, Arc<str>);

/// The tables.
#[derive(Debug, Default)]
pub struct Names {
    pools: Mutex<Table<PoolName>>,
    apps: Mutex<Table<Arc<str>>>,
}

fn lock<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Names {
    /// The number of a pool.
    pub fn pool_id(&self, database: &Arc<str>, user: &Arc<str>) -> PoolId {
        let other = || (Arc::from("(other)"), Arc::from("(other)"));
        lock(&self.pools).id((Arc::clone(database), Arc::clone(user)), MAX_POOLS, other)
    }

    /// Database and user of a number.
    pub fn pool(&self, id: PoolId) -> Option<PoolName> {
        lock(&self.pools).names.get(id as usize).cloned()
    }

    /// Numbers and names of all pools.
    pub fn pools(&self) -> Vec<PoolName> {
        lock(&self.pools).names.clone()
    }

    /// The number of an application_name, masked: `odoo-1234` is `odoo-*`.
    pub fn app_id(&self, application_name: &str) -> AppId {
        let masked: Arc<str> = sql::mask_application(application_name).into();
        lock(&self.apps).id(masked, MAX_APPS, || Arc::from("(other)"))
    }

    /// The masked application name of a number.
    pub fn app(&self, id: AppId) -> Option<Arc<str>> {
        lock(&self.apps).names.get(id as usize).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_and_strangers_share_the_last() {
        let names = Names::default();
        let first = names.app_id("psql");
        for at in 0..2 * MAX_APPS {
            let letters: String = format!("{at}").bytes().map(|b| (b + 49) as char).collect();
            names.app_id(&letters);
        }
        assert_eq!(names.app_id("psql"), first);
        let last = names.app_id("somebody new");
        assert_eq!(names.app(last).as_deref(), Some("(other)"));
    }
}
