//! From a host to a logged-in connection.
//!
//! Owns: the order of address, socket, TLS and login. Never: retries or waits of its own; time
//! limits are the caller's (`server_connect_timeout`), and dropping the future closes everything.
//! Mirrors: `host`, `port`, `server_tls_sslmode`, `server_login_retry`'s causes.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::error::OpenError;
use super::login;
use crate::auth::SecretKind;
use crate::auth::md5::HexSum;
use crate::auth::scram::{CapturedKeys, KeyCache};
use crate::net::dns::{DnsTimes, Resolver};
use crate::net::tls::ServerTls;
use crate::net::{Endpoint, SocketOptions, Stream, dial};

/// Length and code of an SSLRequest.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name or address.
    Tcp {
        /// As configured: TLS verification compares with it.
        name: String,
        /// Port.
        port: u16,
    },
    /// A socket file, or `@name` for the abstract namespace.
    Unix {
        /// The whole path, `.s.PGSQL.<port>` included.
        path: PathBuf,
    },
}

impl Host {
    /// One element of a `host=` value: a directory (`/...`, `@...`) or a name.
    pub fn parse(host: &str, port: u16) -> Self {
        if host.starts_with(['/', '@']) {
            let path = PathBuf::from(format!("{host}/.s.PGSQL.{port}"));
            return Host::Unix { path };
        }
        Host::Tcp {
            name: host.to_owned(),
            port,
        }
    }
}

/// What we can prove our identity with.
#[derive(Clone)]
pub enum ServerSecret {
    /// Nothing: trust, peer and certificate logins only.
    None,
    /// The password: answers every method.
    Plain(Arc<str>),
    /// The digits of an md5 hash: answers md5.
    Md5(HexSum),
    /// A SCRAM secret without its keys: answers nothing.
    ScramSecret,
    /// Keys captured from a client's login: answers SCRAM of the same secret.
    Captured(Arc<CapturedKeys>),
}

impl ServerSecret {
    /// From a stored secret, and the keys that a login of this very user yielded, if any.
    pub fn from_stored(stored: &SecretKind, captured: Option<CapturedKeys>) -> Self {
        match (stored, captured) {
            (SecretKind::Plain(password), _) => ServerSecret::Plain(Arc::clone(password)),
            (SecretKind::Md5(sum), _) => ServerSecret::Md5(*sum),
            (SecretKind::Scram(_), None) => ServerSecret::ScramSecret,
            (_, Some(keys)) => ServerSecret::Captured(Arc::new(keys)),
            (SecretKind::Empty, None) => ServerSecret::None,
        }
    }
}

impl fmt::Debug for ServerSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ServerSecret::None => "None",
            ServerSecret::Plain(_) => "Plain(hidden)",
            ServerSecret::Md5(_) => "Md5(hidden)",
            ServerSecret::ScramSecret => "ScramSecret",
            ServerSecret::Captured(_) => "Captured(hidden)",
        })
    }
}

/// What all connections share: cheap to clone; a reload makes it anew except for the two caches.
#[derive(Clone)]
pub struct Dialing {
    /// `server_tls_*`.
    pub tls: Arc<ServerTls>,
    /// `tcp_*`.
    pub options: SocketOptions,
    /// `dns_*`.
    pub dns: DnsTimes,
    /// The process's name cache.
    pub resolver: Arc<Resolver>,
    /// The process's cache of derived SCRAM keys.
    pub keys: Arc<KeyCache>,
}

impl fmt::Debug for Dialing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialing")
            .field("tls", &self.tls)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// What to connect to and as whom.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where.
    pub host: Host,
    /// Database on the server.
    pub database: String,
    /// User on the server.
    pub user: String,
    /// The user's secret.
    pub secret: ServerSecret,
    /// Further startup parameters, in order: `client_encoding`, `application_name`, `replication` ...
    pub startup: Vec<(String, String)>,
    /// TLS, socket options, names.
    pub dialing: Dialing,
}

/// The very address a connection went to: a cancel request must go there too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// One of the host's addresses.
    Tcp(SocketAddr),
    /// The socket file.
    Unix(PathBuf),
}

/// A connection that has just logged in; status `I`, nothing unread.
#[derive(Debug)]
pub struct Fresh {
    /// The connection, on the current lane.
    pub stream: Stream,
    /// Their end, for SHOW and the log.
    pub remote: Endpoint,
    /// Our end.
    pub local: Endpoint,
    /// Where a cancel request goes.
    pub address: Address,
    /// `TLSv1.3/SUITE`, absent without TLS.
    pub tls: Option<String>,
    /// The backend's process id, 0 if the server gave no key.
    pub backend_pid: i32,
    /// The body of BackendKeyData (process id, then 4 to 256 bytes): what a CancelRequest carries.
    /// Empty if the server gave none.
    pub cancel_key: Vec<u8>,
    /// ParameterStatus in the server's order.
    pub parameters: Vec<(String, String)>,
}

/// Connects and logs in. Not cancel safe in the sense that a dropped future is a closed connection.
pub async fn open(target: &Target) -> Result<Fresh, OpenError> {
    let (mut stream, address) = reach(&target.host, &target.dialing).await?;
    let remote = remote_of(&stream)?;
    let local = stream.local().map_err(OpenError::broken)?;
    let welcome = login::run(&mut stream, target).await?;
    Ok(Fresh {
        tls: stream.tls_info(),
        stream,
        remote,
        local,
        address,
        backend_pid: welcome.backend_pid,
        cancel_key: welcome.cancel_key,
        parameters: welcome.parameters,
    })
}

/// A connection without a login: address, socket, TLS as the settings want it. A dropped future is
/// a closed connection.
pub async fn reach(host: &Host, dialing: &Dialing) -> Result<(Stream, Address), OpenError> {
    let (stream, address) = connect(host, dialing).await?;
    let stream = match host {
        Host::Tcp { name, .. } if dialing.tls.is_tried() => {
            start_tls(stream, name, &dialing.tls).await?
        }
        _ => stream,
    };
    Ok((stream, address))
}

/// Their end of a connection, for SHOW and the log.
pub fn remote_of(stream: &Stream) -> Result<Endpoint, OpenError> {
    Ok(match stream.peer().map_err(OpenError::broken)? {
        // The process behind a server's Unix socket is the postmaster: no news.
        Endpoint::Unix { port, .. } => Endpoint::Unix { pid: None, port },
        tcp => tcp,
    })
}

/// Tries the host's addresses one after the other.
async fn connect(host: &Host, dialing: &Dialing) -> Result<(Stream, Address), OpenError> {
    let (name, port) = match host {
        Host::Unix { path } => {
            let stream = dial::unix(path).await.map_err(OpenError::Unreachable)?;
            return Ok((stream, Address::Unix(path.clone())));
        }
        Host::Tcp { name, port } => (name, *port),
    };
    let mut last = None;
    for address in dialing.resolver.resolve(name, dialing.dns).await? {
        let address = SocketAddr::new(address, port);
        match dial::tcp(address, &dialing.options).await {
            Ok(stream) => return Ok((stream, Address::Tcp(address))),
            Err(error) => {
                log::debug!("connect to {address} failed: {error}");
                last = Some(error);
            }
        }
    }
    let none = || std::io::ErrorKind::AddrNotAvailable.into();
    Err(OpenError::Unreachable(last.unwrap_or_else(none)))
}

/// SSLRequest and, after `S`, the handshake. Bytes behind the answer are an attack
/// (CVE-2021-23222): somebody in between wants them read as if they had come through TLS.
async fn start_tls(mut stream: Stream, name: &str, tls: &ServerTls) -> Result<Stream, OpenError> {
    let sent = stream.write_all(&SSL_REQUEST).await;
    sent.map_err(OpenError::broken)?;
    let mut answer = [0; 16];
    let count = stream.read_some(&mut answer).await;
    match &answer[..count.map_err(OpenError::broken)?] {
        [] => Err(OpenError::Closed(None)),
        b"S" => tls.connect(stream, name).await.map_err(OpenError::Tls),
        b"N" if tls.is_required() => Err(OpenError::TlsRefused),
        b"N" => Ok(stream),
        // Only the first byte tells: servers before protocol 3 send no length here.
        [b'E', ..] => Err(OpenError::TlsUnanswered),
        [b'S' | b'N', ..] => Err(OpenError::Protocol("plain bytes behind the SSL answer")),
        _ => Err(OpenError::Protocol("unknown answer to SSLRequest")),
    }
}
