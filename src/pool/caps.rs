//! Limits that span pools: servers per database and per user, clients in all.
//!
//! One mutex for the process, taken only when a connection is opened or closed. Permits give back
//! what they hold when they are dropped, so that no path can forget it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::Pool;
use crate::error::ClientError;

/// Which limit stands in the way of a new server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// max_db_connections.
    Database,
    /// max_user_connections.
    User,
}

/// Servers by database and by pool user, over all pools.
#[derive(Debug, Default)]
pub struct Caps {
    counts: Mutex<Counts>,
    has_blocked: AtomicBool,
}

#[derive(Debug, Default)]
struct Counts {
    databases: HashMap<Arc<str>, usize>,
    users: HashMap<Arc<str>, usize>,
    /// Pools that a cap has refused, in the order they asked.
    blocked: VecDeque<Weak<Pool>>,
}

impl Caps {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more server, unless a limit (0 is none) forbids it.
    pub(super) fn acquire(
        self: &Arc<Self>,
        (database, max_database): (&Arc<str>, usize),
        (user, max_user): (&Arc<str>, usize),
    ) -> Result<Permit, Blocked> {
        let mut counts = self.lock();
        let of_database = counts.databases.get(database).copied().unwrap_or(0);
        if max_database > 0 && of_database >= max_database {
            return Err(Blocked::Database);
        }
        let of_user = counts.users.get(user).copied().unwrap_or(0);
        if max_user > 0 && of_user >= max_user {
            return Err(Blocked::User);
        }
        *counts.databases.entry(Arc::clone(database)).or_default() += 1;
        *counts.users.entry(Arc::clone(user)).or_default() += 1;
        Ok(Permit {
            caps: Arc::clone(self),
            database: Arc::clone(database),
            user: Arc::clone(user),
        })
    }

    /// Remembers a pool that was refused; the next close kicks it.
    pub(super) fn remember_blocked(&self, pool: &Arc<Pool>) {
        let mut counts = self.lock();
        let this = Arc::downgrade(pool);
        if !counts.blocked.iter().any(|known| known.ptr_eq(&this)) {
            counts.blocked.push_back(this);
        }
        self.has_blocked.store(true, Relaxed);
    }

    /// HOT. Whether a pool waits for a cap. One relaxed load.
    #[inline]
    pub(super) fn has_blocked(&self) -> bool {
        self.has_blocked.load(Relaxed)
    }

    /// All pools that were refused; each tries again and is remembered anew if it must.
    pub(super) fn take_blocked(&self) -> Vec<Arc<Pool>> {
        let mut counts = self.lock();
        self.has_blocked.store(false, Relaxed);
        counts
            .blocked
            .drain(..)
            .filter_map(|pool| pool.upgrade())
            .collect()
    }

    /// Servers of a database, those logging in included.
    pub fn of_database(&self, name: &str) -> usize {
        self.lock().databases.get(name).copied().unwrap_or(0)
    }

    /// Servers of a pool user.
    pub fn of_user(&self, name: &str) -> usize {
        self.lock().users.get(name).copied().unwrap_or(0)
    }
}

/// The right to one server connection.
#[derive(Debug)]
pub(super) struct Permit {
    caps: Arc<Caps>,
    database: Arc<str>,
    user: Arc<str>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.caps.lock();
        lower(&mut counts.databases, &self.database);
        lower(&mut counts.users, &self.user);
        drop(counts);
        if self.caps.has_blocked() {
            for pool in self.caps.take_blocked() {
                pool.launch_if_wanted();
            }
        }
    }
}

fn lower(counts: &mut HashMap<Arc<str>, usize>, name: &Arc<str>) {
    if let Some(count) = counts.get_mut(name) {
        *count -= 1;
        if *count == 0 {
            counts.remove(name);
        }
    }
}

/// Clients of each database, or of each login user.
type CountByName = HashMap<Arc<str>, usize>;

/// Clients in all, per database and per login user.
#[derive(Debug, Default)]
pub struct ClientCaps {
    total: AtomicUsize,
    named: Mutex<(CountByName, CountByName)>,
}

impl ClientCaps {
    /// A socket was accepted. It counts until the permit is dropped, whatever it turns out to be.
    pub fn arrive(self: &Arc<Self>) -> ClientPermit {
        self.total.fetch_add(1, Relaxed);
        ClientPermit {
            caps: Arc::clone(self),
            counts: true,
            named: None,
        }
    }

    /// Client sockets, unauthenticated ones and the console included.
    pub fn total(&self) -> usize {
        self.total.load(Relaxed)
    }

    /// Clients of a database, those logging in included.
    pub fn of_database(&self, name: &str) -> usize {
        self.named().0.get(name).copied().unwrap_or(0)
    }

    /// Clients of a login user.
    pub fn of_user(&self, name: &str) -> usize {
        self.named().1.get(name).copied().unwrap_or(0)
    }

    #[allow(clippy::type_complexity)]
    fn named(&self) -> MutexGuard<'_, (CountByName, CountByName)> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One client's place in the limits.
#[derive(Debug)]
pub struct ClientPermit {
    caps: Arc<ClientCaps>,
    /// It is part of the total.
    counts: bool,
    named: Option<(Arc<str>, Arc<str>)>,
}

impl ClientPermit {
    /// Whether no more than `limit` sockets are there. If not, this place is given back in the same
    /// step: of a burst over several lanes exactly the surplus is refused.
    pub fn fits(&mut self, limit: usize) -> bool {
        let surplus = |total| (total > limit).then(|| total - 1);
        let total = &self.caps.total;
        self.counts = total.fetch_update(Relaxed, Relaxed, surplus).is_err();
        self.counts
    }

    /// Counts the client for its database and user, unless one is full (0 is no limit). Evaluated
    /// before the password, as PgBouncer does.
    ///
    /// # Errors
    /// `client connections exceeded (...)`, 08P01.
    pub fn name(
        &mut self,
        (database, max_database): (&Arc<str>, usize),
        (user, max_user): (&Arc<str>, usize),
    ) -> Result<(), ClientError> {
        let mut named = self.caps.named();
        let full = |count: Option<&usize>, max: usize| max > 0 && count.is_some_and(|n| *n >= max);
        if full(named.0.get(database), max_database) {
            return Err(ClientError::max_db_client_connections());
        }
        if full(named.1.get(user), max_user) {
            return Err(ClientError::max_user_client_connections());
        }
        *named.0.entry(Arc::clone(database)).or_default() += 1;
        *named.1.entry(Arc::clone(user)).or_default() += 1;
        self.named = Some((Arc::clone(database), Arc::clone(user)));
        Ok(())
    }
}

impl Drop for ClientPermit {
    fn drop(&mut self) {
        if self.counts {
            self.caps.total.fetch_sub(1, Relaxed);
        }
        if let Some((database, user)) = self.named.take() {
            let mut named = self.caps.named();
            lower(&mut named.0, &database);
            lower(&mut named.1, &user);
        }
    }
}
