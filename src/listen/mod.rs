//! LISTEN for clients without a server of their own: one listening connection for all clients of a
//! (database, pool user).
//!
//! Owns the listening connections, who listens to what, and the notifications that wait for their
//! clients. May touch `server`, `session`, `stats`, `lane`. Must never touch a client's socket: a
//! client takes its notifications when it is between two transactions; know a pool: what is needed
//! of one comes through `Upstream`. Sources: PostgreSQL "LISTEN", "NOTIFY", "Asynchronous
//! Operations", and the message NotificationResponse.
//!
//! ```text
//! subscription.rs  what a client holds           book.rs     who listens to what, and what is due
//! mailbox.rs       notifications for a client    line.rs     one listening connection
//! hub.rs           all clients of a pool         keeper.rs   opens it, and again after a loss
//! note.rs          NotificationResponse frames   view.rs     figures for SHOW and /metrics
//! names.rs         channels as PostgreSQL keeps them
//! ```
//!
//! A LISTEN runs on the client's own server first: its errors, its tag and the rules of its
//! transaction are PostgreSQL's. Once it has committed, the client subscribes here and is told only
//! when the listening connection has carried out a round trip that began afterwards. So the client
//! gets each notification that commits after it was told, once, in PostgreSQL's order, and none that
//! had committed before its LISTEN.

mod book;
mod hub;
mod keeper;
mod line;
mod mailbox;
mod names;
mod note;
mod subscription;
pub mod view;

pub use hub::{Hub, Times, Upstream};
pub use subscription::{Hears, Subscription, Ticket};

/// Why a client cannot have its notifications.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// More channels than `max_listen_channels`.
    #[error("too many channels (max_listen_channels = {0})")]
    TooManyChannels(usize),
    /// All clients of the pool together listen to more channels than one connection is good for.
    #[error("too many channels of all clients together")]
    Full,
    /// The listening connection cannot be opened, or PostgreSQL refused its LISTEN.
    #[error("{0}")]
    Refused(String),
    /// The pool is gone.
    #[error("database removed")]
    Closed,
}
