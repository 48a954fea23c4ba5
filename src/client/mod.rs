//! A client from accept to goodbye: startup, login, idle, cancel.
//!
//! Owns: the client's task on its lane, from the accepted connection to the last byte. May touch
//! `link`, `request`, `pool` and what is below. Must never read a setting on the path of a query:
//! what it needs is resolved at login.
//!
//! ```text
//! front.rs    an accepted connection    serve.rs     idle, checkout, link, release: the loop
//! login.rs    the login                 timeouts.rs  without a server
//! gate.rs     its questions, answered   close.rs     goodbye
//! cancel.rs   cancel requests
//! ```

mod cancel;
mod close;
mod front;
mod gate;
pub mod login;
mod serve;
mod timeouts;

pub use cancel::{CancelKeys, cancel_client};
pub use close::log_closing;
pub use front::{ConsoleDoor, ConsoleEntrant, Front};
pub use gate::DirectoryGate;
pub use serve::Client;
pub use timeouts::ClientTimeouts;
