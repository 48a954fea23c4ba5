//! The admin console: the virtual database `pgbouncer`.
//!
//! Owns console sessions after their login: language, rights, SHOW, commands. Runs on the control
//! runtime, reads slots, counters and settings, and acts through `pool` and its [`Hooks`]. Must
//! never visit a lane, and never end anything but its own session: a panic in pgwire is caught.
//! pgwire carries the protocol, simple and extended. Mirrors: surface 3; where PgBouncer refuses the
//! extended protocol or never answers a cancelled PAUSE, we answer.
//!
//! ```text
//! session.rs   one session, start to end      intake.rs    bytes in: whole, checked frames only
//! protocol.rs  pgwire's handlers              grammar.rs   text to command; words.rs its words
//! commands.rs  verbs                          show/        SHOW, one file per family
//! asks.rs      the language of our own        screen/      our own SHOWs; acts.rs our own verbs
//! rows.rs      results and their encoding     stats.rs     averages, the `stats:` line
//! ```

mod acts;
mod asks;
mod commands;
mod grammar;
mod intake;
mod protocol;
mod rows;
mod screen;
mod session;
mod show;
mod stats;
#[cfg(test)]
mod tests;
mod words;

use std::any::Any;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::config::SetError;
use crate::net::Stream;
use crate::pool::Directory;
use crate::stats::ClientSlot;

pub use grammar::Shutdown;
pub use screen::tick_alerts;
pub use stats::tick_stats;

/// What only the process as a whole can do for the console.
#[async_trait::async_trait]
pub trait Hooks: Send + Sync {
    /// RELOAD, as SIGHUP does it. The reasons of a failure are in the log by then.
    async fn reload(&self) -> Result<(), ReloadFailed>;

    /// SET key = value, in force at once and until the next reload.
    ///
    /// # Errors
    /// Unknown key, or a value it cannot have.
    fn set(&self, key: &str, value: &str) -> Result<SetDone, SetError>;

    /// Cancels what runs for a client, as its own cancel request would; returns when the request
    /// has been delivered.
    async fn cancel(&self, client: &Arc<ClientSlot>);

    /// SHUTDOWN. Returns at once; with [`Shutdown::Immediate`] the process ends soon afterwards.
    fn shutdown(&self, mode: Shutdown);
}

/// The old configuration stays in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("reload failed")]
pub struct ReloadFailed;

/// How a SET went that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetDone {
    /// It is in force.
    Applied,
    /// A TLS setting that fits none of the files: the old TLS stays.
    TlsUnchanged,
}

/// Who sits at the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleUser {
    /// Login name.
    pub name: Arc<str>,
    /// In admin_users; otherwise it may only read.
    pub is_admin: bool,
}

/// A client of the console behind its first ReadyForQuery.
pub struct Visitor {
    /// The connection, attached or not.
    pub stream: Stream,
    /// Who it is.
    pub user: ConsoleUser,
    /// Its row in SHOW CLIENTS.
    pub slot: Arc<ClientSlot>,
    /// Bytes that came behind the login.
    pub early: Vec<u8>,
    /// Its place in the limits and the like; dropped when the session has ended.
    pub seat: Box<dyn Any + Send>,
}

/// The console.
pub struct Console {
    directory: Arc<Directory>,
    hooks: Arc<dyn Hooks>,
    runtime: Handle,
}

impl Console {
    /// A console whose sessions run on `runtime`.
    pub fn open(directory: Arc<Directory>, hooks: Arc<dyn Hooks>, runtime: Handle) -> Arc<Self> {
        Arc::new(Self {
            directory,
            hooks,
            runtime,
        })
    }

    /// Starts a session; callable from any thread.
    pub fn receive(self: &Arc<Self>, mut visitor: Visitor) {
        if let Err(error) = visitor.stream.detach() {
            log::error!("cannot move a client to the console: {error}");
            return;
        }
        let console = Arc::clone(self);
        self.runtime.spawn(session::serve(console, visitor));
    }
}
