//! Sockets, TLS, listeners, names.
//!
//! Owns: the byte streams of clients and servers, their socket options, their TLS sessions, the
//! listening sockets and the name cache. May touch: `config` (text to socket options), nothing else.
//! Must never: look at what the bytes mean, or hold a buffer for a connection that is idle.
//! Mirrors: PgBouncer's `listen_addr`, `unix_socket_*`, `tcp_*`, `client_tls_*`, `server_tls_*`, `dns_*`.

pub mod buf;
pub mod dial;
pub mod dns;
mod endpoint;
pub mod listener;
mod options;
mod socket;
mod stream;
pub mod tls;

pub use endpoint::Endpoint;
pub use options::SocketOptions;
pub use socket::{Parked, Socket};
pub use stream::{PeerCred, Stream};

#[cfg(test)]
mod tests;
