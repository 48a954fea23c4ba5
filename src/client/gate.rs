//! The login's questions, answered over the directory of pools.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::cancel::CancelKeys;
use super::login::{self, ConsoleRight, Gate, Target, Who};
use crate::auth::scram::{CapturedKeys, KeyCache};
use crate::config::{CONSOLE_DATABASE, Config, Secret, SessionMode};
use crate::error::ClientError;
use crate::net::tls::ClientTls;
use crate::pool::{ClientPermit, Database, Directory, Limits, Live, ProcessState, Welcome};
use crate::stats::clock::now_us;
use crate::stats::slots::Identity;
use crate::stats::{ClientSlot, ClientState};

/// One connection that is logging in, and its place in the limits.
#[derive(Debug)]
pub struct DirectoryGate {
    pub(super) directory: Arc<Directory>,
    pub(super) cancel_keys: Arc<CancelKeys>,
    pub(super) slot: Arc<ClientSlot>,
    pub(super) permit: ClientPermit,
    /// Who it says it is; the slot learns it when the login has succeeded.
    pub(super) who: Option<Who>,
    /// The key that was registered; forgotten when the client is.
    pub(super) cancel_key: Option<u64>,
}

impl login::Live for Live {
    fn config(&self) -> &Config {
        &self.config
    }
    fn secret(&self, user: &str) -> Option<&Secret> {
        self.userlist.get(user)
    }
    fn client_tls(&self) -> Option<&ClientTls> {
        self.client_tls.as_deref()
    }
}

impl login::Reported for Welcome {
    fn untracked(&self) -> impl Iterator<Item = (&str, &str)> {
        self.untracked
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
    fn tracked(&self, index: usize) -> Option<&str> {
        self.tracked.get(index).map(AsRef::as_ref)
    }
}

impl Gate for DirectoryGate {
    type Live = Live;
    type Database = Arc<Database>;
    type Reported = Welcome;

    fn live(&self) -> Arc<Live> {
        self.directory.shared.live_arc()
    }

    fn key_cache(&self) -> Arc<KeyCache> {
        Arc::clone(&self.directory.shared.key_cache)
    }

    fn tracked_names(&self) -> impl Iterator<Item = &str> + Send {
        self.directory.shared.tracked.names()
    }

    fn log_prefix(&self) -> String {
        match &self.who {
            Some(who) => self.slot.log_prefix_as(&who.database, &who.user),
            None => self.slot.log_prefix(),
        }
    }

    fn admit(&mut self, is_console: bool) -> Result<(), ClientError> {
        let shared = &self.directory.shared;
        let limit = shared.live().config.settings.max_client_conn as usize;
        if is_console {
            return Ok(());
        }
        match self.directory.state() {
            ProcessState::WaitForServers | ProcessState::WaitForClients => {
                Err(ClientError::pooler_shutting_down())
            }
            _ if !self.permit.fits(limit) => Err(ClientError::max_client_conn()),
            _ => Ok(()),
        }
    }

    fn find_database(&self, name: &str) -> Option<Arc<Database>> {
        self.directory.find(name)
    }

    fn forced_user(&self, database: &Arc<Database>) -> Option<Arc<str>> {
        database.entry().user.as_deref().map(Arc::from)
    }

    fn keeps_settings(&self, database: &Arc<Database>, user: &Arc<str>) -> bool {
        // The pool itself is made when the client has proved who it is.
        let live = self.directory.shared.live();
        let user = database.pool_user(user);
        let limits = Limits::resolve(&live.config, &database.entry(), &user);
        limits.session_state != SessionMode::Pgbouncer
    }

    fn claim(&mut self, who: &Who, target: &Target<Arc<Database>>) -> Result<(), ClientError> {
        let live = self.directory.shared.live_arc();
        let config = &live.config;
        let name: Arc<str>;
        let (database, max_database) = match target {
            Target::Database(database) => {
                let max = config.max_db_client_connections(&database.entry());
                (&database.name, max as usize)
            }
            Target::Console(ConsoleRight::Admin | ConsoleRight::Stats) => {
                name = Arc::from(CONSOLE_DATABASE);
                (&name, 0)
            }
            Target::Unknown => (&who.database, 0),
        };
        let max_user = config.max_user_client_connections(&who.user) as usize;
        self.permit
            .name((database, max_database), (&who.user, max_user))
    }

    fn identify(&mut self, who: &Who) {
        self.who = Some(who.clone());
    }

    fn check_enabled(&self, database: &Arc<Database>) -> Result<(), ClientError> {
        if database.disabled.load(Relaxed) {
            return Err(ClientError::database_disabled(&database.name));
        }
        Ok(())
    }

    fn keep_keys(&self, user: &Arc<str>, keys: CapturedKeys) {
        let kept = &self.directory.shared.scram_keys;
        kept.insert(Arc::clone(user), keys);
    }

    fn welcome(
        &self,
        database: &Arc<Database>,
        user: &Arc<str>,
    ) -> impl Future<Output = Result<Arc<Welcome>, ClientError>> + Send {
        let pool = self.directory.pool(database, user);
        let slot = Arc::clone(&self.slot);
        if let Some(who) = &self.who {
            slot.identify(Identity {
                database: Arc::clone(&who.database),
                user: Arc::clone(&who.user),
                tls: who.tls.clone(),
            });
        }
        async move {
            // It has proved who it is: it waits in the pool like any other.
            slot.set_state(ClientState::Waiting);
            slot.set_waiting_since_us(now_us());
            let welcome = pool.welcome().await;
            slot.set_state(ClientState::Login);
            slot.set_waiting_since_us(0);
            welcome
        }
    }

    fn register_cancel_key(&mut self, key: u64) -> bool {
        let is_free = self.cancel_keys.register(key, &self.slot);
        if is_free {
            self.cancel_key = Some(key);
        }
        is_free
    }
}

impl Drop for DirectoryGate {
    fn drop(&mut self) {
        if let Some(key) = self.cancel_key {
            self.cancel_keys.forget(key);
        }
        self.directory.shared.registry.forget_client(self.slot.id);
    }
}
