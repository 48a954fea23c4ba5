//! The console's door: logins that a lane hands to the control thread, and what the console may ask
//! of the process.

use std::sync::Arc;

use super::control::Process;
use crate::admin::{ConsoleUser, Hooks, ReloadFailed, SetDone, Shutdown, Visitor};
use crate::client::login::ConsoleRight;
use crate::client::{ConsoleDoor, ConsoleEntrant};
use crate::config::SetError;

/// Sends console logins to the control thread.
pub struct Door {
    entrants: tokio::sync::mpsc::UnboundedSender<ConsoleEntrant>,
}

impl Door {
    /// A door and its other side.
    pub fn open() -> (Self, tokio::sync::mpsc::UnboundedReceiver<ConsoleEntrant>) {
        let (entrants, arrivals) = tokio::sync::mpsc::unbounded_channel();
        (Self { entrants }, arrivals)
    }
}

impl ConsoleDoor for Door {
    fn enter(&self, entrant: ConsoleEntrant) {
        // The control thread has ended: so will the process, and the client with it.
        let _ = self.entrants.send(entrant);
    }
}

/// The session of somebody who came through the door.
pub fn visitor(entrant: ConsoleEntrant) -> Visitor {
    let name = entrant.slot.identity().map(|who| Arc::clone(&who.user));
    Visitor {
        stream: entrant.stream,
        user: ConsoleUser {
            name: name.unwrap_or_default(),
            is_admin: entrant.right == ConsoleRight::Admin,
        },
        slot: entrant.slot,
        early: entrant.leftover,
        seat: Box::new(entrant.gate),
    }
}

#[async_trait::async_trait]
impl Hooks for Process {
    async fn reload(&self) -> Result<(), ReloadFailed> {
        Process::reload(self).map_err(|_| ReloadFailed)
    }

    fn set(&self, key: &str, value: &str) -> Result<SetDone, SetError> {
        Process::set(self, key, value)
    }

    fn shutdown(&self, mode: Shutdown) {
        Process::shutdown(self, mode);
    }
}
