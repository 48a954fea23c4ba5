//! One PostgreSQL connection: connect, login, and what is known of it afterwards.
//!
//! Owns the connection's stream, its outstanding requests, and the record of what the server has
//! (parameters, prepared statements). May touch `net`, `auth`, `session`, `stats`, `wire`. Must never
//! know clients or pools: whoever holds the value decides what happens to it.

mod connection;
mod open;
pub mod pending;

pub use connection::{CloseReason, Server, drops_statements};
pub use open::{Fresh, Host, OpenError, Target, open, send_cancel};
