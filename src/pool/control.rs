//! Console verbs as they act on pools: PAUSE, RESUME, KILL, RECONNECT, WAIT_CLOSE (surface 3.3).

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Pool;
use super::directory::{Database, Directory, ProcessState};
use crate::error::ClientError;
use crate::stats::{ServerSlot, ServerState};

/// Why a verb cannot be carried out; texts of surface 3.3.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// RESUME without PAUSE.
    #[error("pooler is not paused/suspended")]
    NotPaused,
    /// PAUSE or KILL while everything is paused.
    #[error("already suspended/paused")]
    AlreadyPaused,
    /// A shutdown is under way.
    #[error("pooler is shutting down")]
    ShuttingDown,
    /// Unknown database.
    #[error("no such database: {0}")]
    NoSuchDatabase(String),
    /// RESUME db of one that is not paused.
    #[error("database {0} is not paused")]
    DatabaseNotPaused(String),
}

impl Pool {
    /// Stops (or allows) giving servers to clients; idle servers close at once when stopping.
    /// `is_paused` is asked under the lock: whoever asks last has the last word.
    pub(super) fn set_paused(self: &Arc<Self>, is_paused: impl Fn() -> bool) {
        let mut state = self.lock();
        let paused = is_paused();
        if state.paused == paused {
            return;
        }
        state.paused = paused;
        let closing = if paused {
            state.take_idle_where(|_| Some("pause mode"))
        } else {
            Vec::new()
        };
        drop(state);
        for (server, reason) in closing {
            server.close(reason);
        }
        if !paused {
            self.launch_if_wanted();
        }
    }

    /// Every server of now is closed at its release, idle ones at once; the welcome is forgotten.
    pub(super) fn retire_servers(self: &Arc<Self>, reason: &'static str) {
        let mut state = self.lock();
        state.generation += 1;
        state.welcome = None;
        state.failure = None;
        let closing = state.take_idle_where(|_| Some(reason));
        drop(state);
        for (server, reason) in closing {
            server.close(reason);
        }
        for slot in self.slots() {
            slot.set_close_needed();
        }
        for hub in self.hubs() {
            hub.renew();
        }
    }

    /// The pool leaves the directory: its waiters are refused, its servers closed.
    pub(super) fn remove(self: &Arc<Self>) {
        let mut state = self.lock();
        state.removed = true;
        let refused = state.refuse_all(&ClientError::database_removed());
        let closing = state.take_idle_where(|_| Some("database removed"));
        // Nobody will find this pool by name when their cancels are finished.
        let canceled = state.take_all_canceled();
        drop(state);
        for server in canceled {
            server.close("database removed");
        }
        for waiter in refused {
            waiter.client.wake();
        }
        for (server, reason) in closing {
            server.close(reason);
        }
        for hub in self.hubs() {
            hub.close();
        }
    }

    /// Slots of this pool's servers.
    pub fn slots(&self) -> Vec<Arc<ServerSlot>> {
        let mut slots = self.shared.registry.servers();
        slots.retain(|slot| slot.database == self.database.name && slot.user == self.user);
        slots
    }

    /// Whether a server is linked or being tested.
    fn is_busy(&self) -> bool {
        self.slots().iter().any(|slot| {
            matches!(
                slot.state(),
                ServerState::Active | ServerState::Tested | ServerState::BeingCanceled
            )
        })
    }
}

impl Directory {
    fn pools_of(&self, database: Option<&Database>) -> Vec<Arc<Pool>> {
        let mut pools = self.shared.pools();
        if let Some(database) = database {
            pools.retain(|pool| pool.database.name == database.name);
        }
        pools
    }

    /// PAUSE, or SHUTDOWN WAIT_FOR_SERVERS' first half. Poll `is_paused_fully` for the end.
    pub fn pause(&self) -> Result<(), ControlError> {
        match self.state() {
            ProcessState::Active => {}
            ProcessState::Paused => return Err(ControlError::AlreadyPaused),
            _ => return Err(ControlError::ShuttingDown),
        }
        self.set_state(ProcessState::Paused);
        self.apply_pauses();
        Ok(())
    }

    /// RESUME. Ends a global PAUSE, and the pauses that a global KILL left on every database, which
    /// PgBouncer would have undone one by one (surface 8).
    pub fn resume(&self) -> Result<(), ControlError> {
        let was_killed = self.killed_all.swap(false, Relaxed);
        match self.state() {
            ProcessState::Paused => {}
            ProcessState::Active if was_killed => {}
            ProcessState::Active => return Err(ControlError::NotPaused),
            _ => return Err(ControlError::ShuttingDown),
        }
        if was_killed {
            for database in self.databases() {
                database.paused.store(false, Relaxed);
            }
        }
        self.set_state(ProcessState::Active);
        self.apply_pauses();
        Ok(())
    }

    /// PAUSE db; repeating is fine.
    pub fn pause_database(&self, name: &str) -> Result<(), ControlError> {
        let database = self.find_or_refuse(name)?;
        database.paused.store(true, Relaxed);
        self.apply_pauses();
        Ok(())
    }

    /// RESUME db; never creates one from `*`.
    pub fn resume_database(&self, name: &str) -> Result<(), ControlError> {
        let database = self
            .known(name)
            .ok_or_else(|| ControlError::NoSuchDatabase(name.to_owned()))?;
        if !database.paused.swap(false, Relaxed) {
            return Err(ControlError::DatabaseNotPaused(name.to_owned()));
        }
        self.apply_pauses();
        Ok(())
    }

    /// Brings every pool's flag in line with the process and its database.
    pub(super) fn apply_pauses(&self) {
        for pool in self.shared.pools() {
            pool.set_paused(|| {
                let all = matches!(
                    self.state(),
                    ProcessState::Paused | ProcessState::WaitForServers
                );
                all || pool.database.paused.load(Relaxed)
            });
        }
    }

    /// Whether no server of the paused pools is busy any more; `None` is every database.
    pub fn is_quiet(&self, database: Option<&str>) -> bool {
        let known = database.map(|name| self.known(name));
        match known {
            Some(None) => true,
            Some(Some(database)) => !self.pools_of(Some(&database)).iter().any(|p| p.is_busy()),
            None => !self.pools_of(None).iter().any(|p| p.is_busy()),
        }
    }

    /// RECONNECT \[db\].
    pub fn reconnect(&self, name: Option<&str>) -> Result<(), ControlError> {
        let database = name.map(|name| self.find_or_refuse(name)).transpose()?;
        for pool in self.pools_of(database.as_deref()) {
            pool.retire_servers("close_needed");
            pool.launch_if_wanted();
        }
        Ok(())
    }

    /// Whether servers tagged by RECONNECT are still in use.
    pub fn has_tagged_servers(&self, name: Option<&str>) -> bool {
        self.shared
            .registry
            .servers()
            .iter()
            .any(|slot| slot.close_needed() && name.is_none_or(|name| &*slot.database == name))
    }

    /// KILL \[db\]: clients and servers go at once, and the databases stay paused.
    pub fn kill(&self, name: Option<&str>) -> Result<(), ControlError> {
        if self.state() == ProcessState::Paused {
            return Err(ControlError::AlreadyPaused);
        }
        let databases = match name {
            Some(name) => vec![self.find_or_refuse(name)?],
            None => {
                self.killed_all.store(true, Relaxed);
                self.databases()
            }
        };
        for database in databases {
            database.paused.store(true, Relaxed);
            self.apply_pauses();
            self.close_clients_of(&database.name, &ClientError::database_removed());
            for pool in self.pools_of(Some(&database)) {
                pool.retire_servers("close_needed");
            }
        }
        Ok(())
    }

    /// Orders every client of a database to close.
    pub(super) fn close_clients_of(&self, database: &str, error: &ClientError) {
        self.shared.registry.each_client(|client| {
            if client
                .identity()
                .is_some_and(|who| &*who.database == database)
            {
                client.order_close(error.clone());
            }
        });
    }

    /// DISABLE and ENABLE: whether new logins are refused.
    pub fn set_disabled(&self, name: &str, disabled: bool) -> Result<(), ControlError> {
        let database = if disabled {
            self.find_or_refuse(name)?
        } else {
            self.known(name)
                .ok_or_else(|| ControlError::NoSuchDatabase(name.to_owned()))?
        };
        database.disabled.store(disabled, Relaxed);
        Ok(())
    }

    fn find_or_refuse(&self, name: &str) -> Result<Arc<Database>, ControlError> {
        self.find(name)
            .ok_or_else(|| ControlError::NoSuchDatabase(name.to_owned()))
    }
}
