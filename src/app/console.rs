//! The console's door, and what the console may ask of the process.

use std::sync::Arc;

use super::control::{Process, SetFailure};
use crate::admin::{self, Console, ConsoleUser, Hooks, ReloadFailed, SetDone, Visitor};
use crate::client::login::ConsoleRight;
use crate::client::{ConsoleDoor, ConsoleEntrant, cancel_client};
use crate::config::SetError;
use crate::stats::ClientSlot;

/// Takes console logins from the lanes to the control thread.
pub struct Door(pub Arc<Console>);

impl ConsoleDoor for Door {
    fn enter(&self, entrant: ConsoleEntrant) {
        let name = entrant.slot.identity().map(|who| Arc::clone(&who.user));
        self.0.receive(Visitor {
            stream: entrant.stream,
            user: ConsoleUser {
                name: name.unwrap_or_default(),
                is_admin: entrant.right == ConsoleRight::Admin,
            },
            slot: entrant.slot,
            early: entrant.leftover,
            seat: Box::new(entrant.gate),
        });
    }
}

#[async_trait::async_trait]
impl Hooks for Process {
    async fn reload(&self) -> Result<(), ReloadFailed> {
        Process::reload(self).map_err(|_| ReloadFailed)
    }

    fn set(&self, key: &str, value: &str) -> Result<SetDone, SetError> {
        match Process::set(self, key, value) {
            Ok(()) => Ok(SetDone::Applied),
            Err(SetFailure::Tls) => Ok(SetDone::TlsUnchanged),
            Err(SetFailure::Refused(error)) => Err(error),
        }
    }

    async fn cancel(&self, client: &Arc<ClientSlot>) {
        cancel_client(client, &self.directory).await;
    }

    fn shutdown(&self, mode: admin::Shutdown) {
        Process::shutdown(self, mode);
    }
}
