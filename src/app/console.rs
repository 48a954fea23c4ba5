//! The console's door: logins that a lane hands to the control thread, and what the console may ask
//! of the process.

use crate::client::{ConsoleDoor, ConsoleEntrant};

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
