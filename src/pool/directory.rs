//! Databases, users and pools by name, and the snapshot of the configuration they follow.

use std::collections::BTreeMap;
use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::{ArcSwap, Guard};
use dashmap::DashMap;

use super::caps::{Caps, ClientCaps};
use super::target::changes_target;
use super::{Limits, Pool};
use crate::auth::scram::{CapturedKeys, KeyCache};
use crate::config::{Config, DatabaseConfig, Userlist};
use crate::error::ClientError;
use crate::insight::{self, Insight};
use crate::lane::Lane;
use crate::net::SocketOptions;
use crate::net::dns::Resolver;
use crate::net::tls::{ClientTls, ServerTls};
use crate::session::functions::Functions;
use crate::session::params::Tracked;
use crate::session::prepared::Dictionary;
use crate::session::settings::SettingsStore;
use crate::stats::clock::now_us;
use crate::stats::{Averages, Events, LaneCounters, Registry};

/// What a reload replaces as a whole.
#[derive(Debug)]
pub struct Live {
    /// The configuration file.
    pub config: Config,
    /// The auth_file.
    pub userlist: Userlist,
    /// TLS towards clients; `None` when disabled.
    pub client_tls: Option<Arc<ClientTls>>,
    /// TLS towards servers.
    pub server_tls: Arc<ServerTls>,
    /// Options of new sockets.
    pub socket_options: SocketOptions,
}

/// Pools by database and pool user.
type PoolsByName = BTreeMap<(Arc<str>, Arc<str>), Arc<Pool>>;

/// What all pools and clients share.
#[derive(Debug)]
pub struct Shared {
    /// The lanes, by index.
    pub lanes: Vec<Arc<Lane>>,
    /// Slots of all connections.
    pub registry: Registry,
    /// Rare events.
    pub events: Events,
    /// Statements and transactions.
    pub insight: Arc<Insight>,
    /// Tracked parameters.
    pub tracked: Arc<Tracked>,
    /// Shared prepared statements.
    pub dictionary: Dictionary,
    /// Shared sets of untracked settings.
    pub settings: SettingsStore,
    /// Caps on servers.
    pub caps: Arc<Caps>,
    /// Caps on clients.
    pub client_caps: Arc<ClientCaps>,
    /// Keys captured from SCRAM logins, by user: for servers that want SCRAM from a user whose
    /// password we do not have.
    pub scram_keys: DashMap<Arc<str>, CapturedKeys>,
    /// SCRAM keys derived from plain passwords.
    pub key_cache: Arc<KeyCache>,
    /// Name lookups.
    pub resolver: Arc<Resolver>,
    /// What the console counts for its own database; its only writer is the control thread.
    pub console_counters: LaneCounters,
    /// Snapshots behind the `avg_*` columns.
    pub averages: Averages,
    live: ArcSwap<Live>,
    reloads: AtomicU64,
    pools: RwLock<PoolsByName>,
}

/// What `Shared` is made of besides what starts empty.
#[derive(Debug)]
pub struct NewShared {
    pub lanes: Vec<Arc<Lane>>,
    pub live: Live,
    pub key_cache: Arc<KeyCache>,
    pub resolver: Arc<Resolver>,
}

impl Shared {
    /// Everything empty but what is given.
    pub fn assemble(new: NewShared) -> Arc<Self> {
        let extra = &new.live.config.settings.track_extra_parameters;
        let tracked = Arc::new(Tracked::with_extra(extra));
        let own = &new.live.config.own;
        let insight = Insight::with_writers(new.lanes.len() + 1, own.statement_table_size as usize);
        insight.apply(&insight::Settings::from(own));
        Arc::new(Self {
            lanes: new.lanes,
            registry: Registry::default(),
            events: Events::default(),
            insight: Arc::new(insight),
            tracked,
            dictionary: Dictionary::default(),
            settings: SettingsStore::default(),
            caps: Arc::default(),
            client_caps: Arc::default(),
            scram_keys: DashMap::new(),
            key_cache: new.key_cache,
            resolver: new.resolver,
            console_counters: LaneCounters::default(),
            averages: Averages::default(),
            live: ArcSwap::from_pointee(new.live),
            reloads: AtomicU64::new(0),
            pools: RwLock::default(),
        })
    }

    /// The configuration in force.
    pub fn live(&self) -> Guard<Arc<Live>> {
        self.live.load()
    }

    /// The configuration in force, to keep.
    pub fn live_arc(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// HOT. How often the configuration has been replaced: who keeps values of it compares this.
    #[inline]
    pub fn reloads(&self) -> u64 {
        self.reloads.load(Acquire)
    }

    /// The pool of a database and a pool user.
    pub fn pool(&self, database: &Arc<str>, user: &Arc<str>) -> Option<Arc<Pool>> {
        let pools = self.pools.read().unwrap_or_else(PoisonError::into_inner);
        pools
            .get(&(Arc::clone(database), Arc::clone(user)))
            .cloned()
    }

    /// All pools, sorted by database and user.
    pub fn pools(&self) -> Vec<Arc<Pool>> {
        let pools = self.pools.read().unwrap_or_else(PoisonError::into_inner);
        pools.values().cloned().collect()
    }
}

/// One entry of `[databases]`, or one made from `*`.
#[derive(Debug)]
pub struct Database {
    /// As clients name it.
    pub name: Arc<str>,
    /// Made from `*`.
    is_auto: AtomicBool,
    /// PAUSE db or KILL is in force.
    pub paused: AtomicBool,
    /// DISABLE is in force.
    pub disabled: AtomicBool,
    entry: ArcSwap<DatabaseConfig>,
    pub(super) last_used_us: AtomicU64,
    schema_age: AtomicU64,
    /// What is known of the functions that statements call.
    pub functions: Functions,
}

impl Database {
    /// Made from `*`.
    pub fn is_auto(&self) -> bool {
        self.is_auto.load(Relaxed)
    }

    /// HOT. Another number behind each change of the schema by a client.
    pub fn schema_age(&self) -> u64 {
        self.schema_age.load(Relaxed)
    }

    /// A client has changed the schema.
    pub fn schema_changes(&self) {
        self.schema_age.fetch_add(1, Relaxed);
    }

    /// Its line of the configuration.
    pub fn entry(&self) -> Guard<Arc<DatabaseConfig>> {
        self.entry.load()
    }

    /// Name of the database on the server.
    pub fn server_name(&self) -> String {
        let entry = self.entry();
        entry
            .dbname
            .clone()
            .unwrap_or_else(|| self.name.to_string())
    }

    /// Pool user for a login user.
    pub fn pool_user(&self, login: &Arc<str>) -> Arc<str> {
        self.entry()
            .user
            .as_deref()
            .map_or_else(|| Arc::clone(login), Arc::from)
    }
}

/// What the process as a whole is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ProcessState {
    /// Serving.
    Active,
    /// PAUSE.
    Paused,
    /// SHUTDOWN WAIT_FOR_SERVERS.
    WaitForServers,
    /// SHUTDOWN WAIT_FOR_CLIENTS.
    WaitForClients,
}

/// Databases and pools.
#[derive(Debug)]
pub struct Directory {
    /// What they share.
    pub shared: Arc<Shared>,
    databases: RwLock<BTreeMap<Arc<str>, Arc<Database>>>,
    state: AtomicU8,
    /// A global KILL has paused every database.
    pub(super) killed_all: AtomicBool,
}

impl Directory {
    /// The databases of the configuration in force.
    pub fn open(shared: Arc<Shared>) -> Arc<Self> {
        let directory = Self {
            shared,
            databases: RwLock::default(),
            state: AtomicU8::new(ProcessState::Active as u8),
            killed_all: AtomicBool::new(false),
        };
        let live = directory.shared.live_arc();
        for (name, entry) in &live.config.databases {
            directory.add(name, entry.clone(), false);
        }
        directory.open_forced_pools();
        Arc::new(directory)
    }

    /// What the process is doing.
    pub fn state(&self) -> ProcessState {
        match self.state.load(Relaxed) {
            0 => ProcessState::Active,
            1 => ProcessState::Paused,
            2 => ProcessState::WaitForServers,
            _ => ProcessState::WaitForClients,
        }
    }

    pub(super) fn set_state(&self, state: ProcessState) {
        self.state.store(state as u8, Relaxed);
    }

    /// Begins a shutdown. `servers`: clients that need a server are told to go, and no transaction
    /// begins; otherwise clients keep full service until they leave.
    pub fn begin_shutdown(&self, servers: bool) {
        if !servers {
            if self.state() == ProcessState::Paused {
                self.set_state(ProcessState::Active);
                self.apply_pauses();
            }
            self.set_state(ProcessState::WaitForClients);
            return;
        }
        self.set_state(ProcessState::WaitForServers);
        self.apply_pauses();
        let error = ClientError::server_shutting_down();
        for pool in self.shared.pools() {
            pool.refuse_waiters(&error);
        }
    }

    fn add(&self, name: &str, entry: DatabaseConfig, is_auto: bool) -> Arc<Database> {
        let database = Arc::new(Database {
            name: Arc::from(name),
            is_auto: AtomicBool::new(is_auto),
            paused: AtomicBool::new(false),
            disabled: AtomicBool::new(false),
            entry: ArcSwap::from_pointee(entry),
            last_used_us: AtomicU64::new(now_us()),
            schema_age: AtomicU64::new(0),
            functions: Functions::default(),
        });
        let mut databases = self
            .databases
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(
            databases
                .entry(Arc::clone(&database.name))
                .or_insert(database),
        )
    }

    /// A database that is known, auto databases included.
    pub fn known(&self, name: &str) -> Option<Arc<Database>> {
        let databases = self
            .databases
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        databases.get(name).cloned()
    }

    /// A database for a client: known, or made from `*`.
    pub fn find(&self, name: &str) -> Option<Arc<Database>> {
        if let Some(known) = self.known(name) {
            known.last_used_us.store(now_us(), Relaxed);
            return Some(known);
        }
        // COMPAT: longer names behave as unknown (surface 1.4).
        if name.len() > 63 {
            return None;
        }
        let entry = self.shared.live().config.auto_database.clone()?;
        log::info!("registered new auto-database: {name}");
        Some(self.add(name, entry, true))
    }

    /// All databases by name.
    pub fn databases(&self) -> Vec<Arc<Database>> {
        let databases = self
            .databases
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        databases.values().cloned().collect()
    }

    /// The pool of a database and a login user, made when there is none.
    pub fn pool(&self, database: &Arc<Database>, login: &Arc<str>) -> Arc<Pool> {
        let user = database.pool_user(login);
        let key = (Arc::clone(&database.name), Arc::clone(&user));
        let shared = &self.shared;
        {
            let pools = shared.pools.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(pool) = pools.get(&key)
                && Arc::ptr_eq(&pool.database, database)
            {
                return Arc::clone(pool);
            }
        }
        let limits = Limits::resolve(&shared.live().config, &database.entry(), &user);
        let make = || Pool::with_limits(Arc::clone(shared), Arc::clone(database), user, limits);
        let mut pools = shared.pools.write().unwrap_or_else(PoisonError::into_inner);
        // RACE: a reload may have removed the database since the caller found it. It leaves the
        // databases before its pools go, so that under this lock either it is seen to be gone or
        // the removal is still to come and finds the new pool.
        if !self.is_current(database) {
            drop(pools);
            let pool = make();
            pool.remove();
            return pool;
        }
        let pool = Arc::clone(pools.entry(key).or_insert_with(make));
        drop(pools);
        self.apply_pauses();
        pool
    }

    fn is_current(&self, database: &Arc<Database>) -> bool {
        self.known(&database.name)
            .is_some_and(|known| Arc::ptr_eq(&known, database))
    }

    /// Pools of forced users exist before anybody connects: they are filled to min_pool_size.
    fn open_forced_pools(&self) {
        for database in self.databases() {
            let forced = database.entry().user.clone();
            if let Some(user) = forced {
                self.pool(&database, &Arc::from(user));
            }
        }
    }

    /// Takes over a new configuration: databases that left are removed with their clients, changed
    /// connect strings retire their servers, limits hold at once.
    pub fn reload(&self, live: Live) {
        let before = self.shared.live.swap(Arc::new(live));
        let live = self.shared.live_arc();
        let settings = insight::Settings::from(&live.config.own);
        self.shared.insight.apply(&settings);
        let tls_changed = before.server_tls.fingerprint() != live.server_tls.fingerprint();
        for database in self.databases() {
            let listed = live.config.databases.get(&*database.name);
            // COMPAT: one that was made from `*` takes a line of its own as soon as there is one.
            if listed.is_some() {
                database.is_auto.store(false, Relaxed);
            }
            let entry = if database.is_auto() {
                live.config.auto_database.as_ref()
            } else {
                listed
            };
            match entry {
                Some(entry) => self.update(&database, entry, tls_changed),
                None => self.drop_database(&database),
            }
        }
        for (name, entry) in &live.config.databases {
            if self.known(name).is_none() {
                self.add(name, entry.clone(), false);
            }
        }
        for pool in self.shared.pools() {
            let entry = pool.database.entry();
            pool.set_limits(Limits::resolve(&live.config, &entry, &pool.user));
        }
        self.open_forced_pools();
        self.shared.reloads.fetch_add(1, Release);
        // Timeouts hold for clients that are waiting now, too.
        self.shared.registry.each_client(|client| client.wake());
    }

    fn update(&self, database: &Arc<Database>, entry: &DatabaseConfig, tls_changed: bool) {
        let before = database.entry.swap(Arc::new(entry.clone()));
        if !tls_changed && !changes_target(&before, entry) {
            return;
        }
        for pool in self.shared.pools() {
            if Arc::ptr_eq(&pool.database, database) {
                pool.retire_servers("database configuration changed");
            }
        }
    }

    pub(super) fn drop_database(&self, database: &Arc<Database>) {
        log::info!(
            "dropping database '{}' as it does not exist anymore or inactive auto-database",
            database.name
        );
        self.close_clients_of(&database.name, &ClientError::database_removed());
        self.forget(database);
    }

    fn forget(&self, database: &Arc<Database>) {
        self.databases
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&database.name);
        let mut removed = Vec::new();
        self.shared
            .pools
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, pool| {
                let stays = !Arc::ptr_eq(&pool.database, database);
                if !stays {
                    removed.push(Arc::clone(pool));
                }
                stays
            });
        for pool in removed {
            pool.remove();
        }
    }

    /// Whether a database has clients or servers.
    pub fn is_used(&self, database: &Database) -> bool {
        self.shared.client_caps.of_database(&database.name) > 0
            || self.shared.caps.of_database(&database.name) > 0
    }
}

impl Pool {
    /// Empties the queue with an error.
    fn refuse_waiters(&self, error: &ClientError) {
        let refused = self.lock().refuse_all(error);
        for waiter in refused {
            waiter.client.wake();
        }
    }
}
