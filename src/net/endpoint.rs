//! One end of a connection, as log lines and SHOW print it (PgBouncer's forms).
//!
//! Owns: the printing of addresses. Never: resolves names.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// TCP over IPv4 or IPv6.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix {
        /// The peer's process, where the kernel told.
        pid: Option<i32>,
        /// The port in the socket's name (`.s.PGSQL.<port>`), 0 where it has none.
        port: u16,
    },
}

impl Endpoint {
    /// A Unix socket of which nothing more is known.
    pub const UNIX: Endpoint = Endpoint::Unix { pid: None, port: 0 };

    /// The port; that of a Unix socket is the one in its file name.
    pub fn port(&self) -> u16 {
        match self {
            Endpoint::Tcp(address) => address.port(),
            Endpoint::Unix { port, .. } => *port,
        }
    }

    /// The address, absent for Unix sockets.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Endpoint::Tcp(address) => Some(address.ip()),
            Endpoint::Unix { .. } => None,
        }
    }

    /// Whether this is a Unix socket.
    pub fn is_unix(&self) -> bool {
        matches!(self, Endpoint::Unix { .. })
    }

    /// The address without its port and without brackets: `127.0.0.1`, `::1`, `unix` (SHOW's `addr`).
    pub fn host(&self) -> String {
        match self {
            Endpoint::Tcp(address) => address.ip().to_string(),
            Endpoint::Unix { .. } => "unix".to_owned(),
        }
    }

    /// The port in the name of a PostgreSQL socket file, 0 for any other name.
    pub(super) fn port_in_name(name: &[u8]) -> u16 {
        let Some(at) = name.iter().rposition(|byte| *byte == b'.') else {
            return 0;
        };
        std::str::from_utf8(&name[at + 1..])
            .ok()
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(0)
    }
}

/// `127.0.0.1:5432`, `[::1]:5432`, `unix(4711):6432`, `unix:6432` (surface 2.4).
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(address) => write!(f, "{address}"),
            Endpoint::Unix {
                pid: Some(pid),
                port,
            } => write!(f, "unix({pid}):{port}"),
            Endpoint::Unix { pid: None, port } => write!(f, "unix:{port}"),
        }
    }
}
