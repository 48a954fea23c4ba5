//! One PostgreSQL connection: connect, login, and what is known of it afterwards.
//!
//! Owns the connection's stream, its outstanding requests, and the record of what the server has
//! (parameters, prepared statements). May touch `net`, `auth`, `session`, `stats`, `wire`. Must never
//! know clients or pools: whoever holds the value decides what happens to it; print a secret.
//! Sources: PostgreSQL "Message Flow: Start-up", "Canceling Requests in Progress".
//!
//! ```text
//! connect.rs     address, socket, TLS       login.rs    startup packet to ReadyForQuery
//! connection.rs  a server in use            cancel.rs   the request on its own connection
//! pending.rs     what is outstanding        error.rs    why there is no connection
//! ```

pub mod cancel;
pub mod connect;
mod connection;
pub mod error;
mod frames;
pub mod login;
pub mod pending;

#[cfg(test)]
mod tests;

pub use cancel::send_cancel;
pub use connect::{Address, Dialing, Fresh, Host, ServerSecret, Target, open, reach, remote_of};
pub use connection::{CloseReason, OwnQueryError, Server, drops_statements, resets_parameters};
pub use error::OpenError;
