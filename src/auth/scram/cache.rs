//! Derived keys, kept: PBKDF2 is worth thousands of logins against a stored secret.
//!
//! Owns: the process's random key, the cache, the salts of derived and mock secrets. Never: the
//! passwords themselves (an entry is found by a keyed sum). One per process, shared by all lanes;
//! its locks are held for a look-up, except the ones that make equal derivations wait for the
//! first, which only threads off the lanes take.

use super::{Key, ScramError, ScramKeys, ScramSecret, derive_keys, hmac};
use lru::LruCache;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Entries kept; one is about 200 bytes. More users with plain-text entries than this on one
/// process would derive again and again, which is slow and still right.
const CAPACITY: usize = 65_536;
/// Locks over running derivations: equal ones wait for the first, different ones rarely.
const SHARDS: usize = 16;
/// Length of PostgreSQL's salts, so that ours look the same.
const SALT_LEN: usize = 16;

/// The cache; see the module.
pub struct KeyCache {
    process_key: Key,
    entries: Mutex<LruCache<Key, Arc<ScramKeys>>>,
    deriving: [Mutex<()>; SHARDS],
}

impl KeyCache {
    /// An empty cache with a fresh process key; fails when the system has no random bytes.
    pub fn open() -> Result<Self, ScramError> {
        let mut process_key = [0; 32];
        getrandom::fill(&mut process_key).map_err(|_| ScramError::Random)?;
        Ok(Self {
            process_key,
            // Grows as needed: the capacity is a limit, not a reservation.
            entries: Mutex::new(LruCache::unbounded()),
            deriving: std::array::from_fn(|_| Mutex::new(())),
        })
    }

    /// The keys, if they were derived before.
    pub fn cached(&self, password: &[u8], salt: &[u8], iterations: u32) -> Option<Arc<ScramKeys>> {
        self.find(&self.name(password, salt, iterations))
    }

    /// The keys, derived now if need be: milliseconds, so not on a lane. Equal requests at the
    /// same time cost one derivation.
    pub fn derive(&self, password: &[u8], salt: &[u8], iterations: u32) -> Arc<ScramKeys> {
        let name = self.name(password, salt, iterations);
        if let Some(keys) = self.find(&name) {
            return keys;
        }
        let _one_at_a_time = lock(&self.deriving[usize::from(name[0]) % SHARDS]);
        if let Some(keys) = self.find(&name) {
            return keys;
        }
        let keys = Arc::new(derive_keys(password, salt, iterations));
        let mut entries = lock(&self.entries);
        if entries.len() >= CAPACITY {
            entries.pop_lru();
        }
        entries.put(name, Arc::clone(&keys));
        keys
    }

    /// The stored secret a plain-text entry stands for, if its keys are cached; else it takes
    /// [`KeyCache::secret`] off the lane.
    pub fn cached_secret(
        &self,
        user: &[u8],
        password: &[u8],
        iterations: u32,
    ) -> Option<ScramSecret> {
        let salt = self.salt(user);
        let keys = self.cached(password, &salt, iterations)?;
        Some(ScramSecret::from_keys(&keys, &salt, iterations))
    }

    /// The stored secret a plain-text entry stands for, derived now if need be.
    pub fn secret(&self, user: &[u8], password: &[u8], iterations: u32) -> ScramSecret {
        let salt = self.salt(user);
        let keys = self.derive(password, &salt, iterations);
        ScramSecret::from_keys(&keys, &salt, iterations)
    }

    /// A secret nobody can match, which looks like the one a plain-text entry would have: the same
    /// user gets the same salt as long as the process lives, known or not.
    pub fn mock(&self, user: &[u8], iterations: u32) -> ScramSecret {
        ScramSecret {
            iterations,
            salt: self.salt(user).into(),
            stored_key: hmac(&self.process_key, &[b"mock stored\0", user]),
            server_key: hmac(&self.process_key, &[b"mock server\0", user]),
        }
    }

    fn salt(&self, user: &[u8]) -> [u8; SALT_LEN] {
        let long = hmac(&self.process_key, &[b"salt\0", user]);
        std::array::from_fn(|i| long[i])
    }

    fn name(&self, password: &[u8], salt: &[u8], iterations: u32) -> Key {
        let lengths = (password.len() as u64).to_be_bytes();
        let count = iterations.to_be_bytes();
        hmac(
            &self.process_key,
            &[b"keys\0", &lengths, password, salt, &count],
        )
    }

    fn find(&self, name: &Key) -> Option<Arc<ScramKeys>> {
        lock(&self.entries).get(name).map(Arc::clone)
    }
}

/// A poisoned lock guards plain data here: what was there stays valid.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyCache")
            .field("entries", &lock(&self.entries).len())
            .finish_non_exhaustive()
    }
}
