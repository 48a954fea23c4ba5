//! A client from accept to goodbye: startup, login, idle, cancel.
//!
//! Owns: the client's task on its lane, from the accepted connection to the last byte. May touch
//! `link`, `request`, `pool` and what is below. Must never read a setting on the path of a query:
//! what it needs is resolved at login.
//!
//! ```text
//! front.rs    an accepted connection    serve.rs     checkout, link, release: the loop
//! login.rs    the login                 idle.rs      without a server: what comes next
//! gate.rs     its questions, answered   answers.rs   what needs no server
//! cancel.rs   cancel requests           close.rs     goodbye
//! queue.rs    waiting for a server      listening.rs what LISTEN makes it wait for
//! timeouts.rs what bounds both waits
//! ```

mod answers;
mod cancel;
mod close;
mod front;
mod gate;
mod idle;
mod listening;
pub mod login;
mod queue;
mod serve;
mod timeouts;

pub use cancel::{CancelKeys, cancel_client};
pub use close::log_closing;
pub use front::{ConsoleDoor, ConsoleEntrant, Front};
pub use gate::DirectoryGate;
pub use serve::Client;
pub use timeouts::ClientTimeouts;
