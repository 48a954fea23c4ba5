//! Listening sockets.
//!
//! Owns: where clients can come in, and the socket file. Never: accepts in a loop; that is the
//! acceptor's.
//! Mirrors: `listen_addr`, `listen_port`, `listen_backlog`, `so_reuseport`, `unix_socket_*`,
//! LISTEN_FDS (surface 2.1, 2.3).

use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group};
use socket2::{Domain, SockAddr, Socket as RawSocket, Type};

use super::dial::kernel_name;
use super::socket::Socket;
use crate::config::Settings;

/// What the settings say about listening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenSettings {
    /// `listen_addr`: names, addresses, `*`.
    pub addresses: Vec<String>,
    /// `listen_port`, for TCP and the Unix socket's name.
    pub port: u16,
    /// `listen_backlog`.
    pub backlog: i32,
    /// `so_reuseport`.
    pub reuse_port: bool,
    /// `unix_socket_dir`; empty is off, `@` begins an abstract name.
    pub unix_dir: String,
    /// `unix_socket_mode`.
    pub unix_mode: u32,
    /// `unix_socket_group`: a name or a number; empty leaves the group alone.
    pub unix_group: String,
}

impl From<&Settings> for ListenSettings {
    fn from(settings: &Settings) -> Self {
        Self {
            addresses: settings.listen_addr.iter().cloned().collect(),
            port: settings.listen_port,
            backlog: i32::try_from(settings.listen_backlog).unwrap_or(i32::MAX),
            reuse_port: settings.so_reuseport,
            unix_dir: settings.unix_socket_dir.clone(),
            unix_mode: settings.unix_socket_mode,
            unix_group: settings.unix_socket_group.clone(),
        }
    }
}

/// Why nobody can come in.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Neither `listen_addr` nor `unix_socket_dir`.
    #[error("nowhere to listen on")]
    Nowhere,
    /// No address of `listen_addr` worked; each has been warned of.
    #[error("cannot listen on any address of listen_addr")]
    NoAddress,
    /// Another process answers on the socket's path.
    #[error("unix socket is in use, cannot continue")]
    InUse,
    /// The Unix socket failed.
    #[error("cannot listen on unix:{path}: {step}: {}", plain(error))]
    Unix {
        /// The socket file.
        path: String,
        /// What failed.
        step: &'static str,
        /// The system's answer.
        error: io::Error,
    },
    /// No such group.
    #[error("unix_socket_group: no such group \"{0}\"")]
    Group(String),
    /// A descriptor handed in is not a listening socket.
    #[error("inherited descriptor is not a listening socket: {}", plain(.0))]
    Inherited(io::Error),
}

/// One listening socket, non-blocking.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// Unix domain.
    Unix {
        /// The socket.
        listener: UnixListener,
        /// The file to remove at the end; none for abstract and inherited sockets.
        file: Option<PathBuf>,
    },
}

impl Listener {
    /// Accepts one connection, parked: attach it on its lane. `WouldBlock` when none waits.
    pub fn accept(&self) -> io::Result<Socket> {
        match self {
            Listener::Tcp(listener) => Socket::parked_tcp(listener.accept()?.0),
            Listener::Unix { listener, .. } => Socket::parked_unix(listener.accept()?.0),
        }
    }

    /// Whether this is the Unix socket, which stays open for the console during a shutdown.
    pub fn is_unix(&self) -> bool {
        matches!(self, Listener::Unix { .. })
    }

    /// Removes the socket file. Not done on drop: a takeover hands the socket on.
    pub fn remove_file(&self) {
        if let Listener::Unix {
            file: Some(file), ..
        } = self
            && let Err(error) = fs::remove_file(file)
        {
            log::debug!("cannot remove {}: {error}", file.display());
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Unix { listener, .. } => listener.as_fd(),
        }
    }
}

/// `127.0.0.1:6432`, `unix:/tmp/.s.PGSQL.6432`: the form of the `listening on` line.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listener::Tcp(listener) => match listener.local_addr() {
                Ok(address) => write!(f, "{address}"),
                Err(_) => f.write_str("tcp"),
            },
            Listener::Unix { listener, .. } => {
                let address = listener.local_addr().ok();
                match address.as_ref().and_then(|address| address.as_pathname()) {
                    Some(path) => write!(f, "unix:{}", path.display()),
                    None => f.write_str("unix:@"),
                }
            }
        }
    }
}

/// Opens everything the settings name. Each TCP address that fails is a warning; that none works,
/// or the Unix socket fails, is an error. Blocks on name lookups: for the start, not for a lane.
pub fn bind(settings: &ListenSettings) -> Result<Vec<Listener>, ListenError> {
    if settings.addresses.is_empty() && settings.unix_dir.is_empty() {
        return Err(ListenError::Nowhere);
    }
    let mut listeners = Vec::new();
    // First, because an instance that is running already shows here.
    if !settings.unix_dir.is_empty() {
        listeners.push(bind_unix(settings)?);
    }
    let before = listeners.len();
    for name in &settings.addresses {
        bind_name(name, settings, &mut listeners);
    }
    if listeners.len() == before && !settings.addresses.is_empty() {
        return Err(ListenError::NoAddress);
    }
    for listener in &listeners {
        log::info!("listening on {listener}");
    }
    Ok(listeners)
}

/// Takes listening sockets that the service manager opened.
pub fn inherit(descriptors: Vec<OwnedFd>) -> Result<Vec<Listener>, ListenError> {
    let mut listeners = Vec::new();
    for descriptor in descriptors {
        let socket = RawSocket::from(descriptor);
        let listener = take(socket).map_err(ListenError::Inherited)?;
        log::info!("listening on {listener} (inherited)");
        listeners.push(listener);
    }
    Ok(listeners)
}

fn take(socket: RawSocket) -> io::Result<Listener> {
    if !socket.is_listener()? {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    socket.set_nonblocking(true)?;
    socket.set_cloexec(true)?;
    if socket.local_addr()?.is_unix() {
        return Ok(Listener::Unix {
            listener: socket.into(),
            file: None,
        });
    }
    Ok(Listener::Tcp(socket.into()))
}

fn bind_name(name: &str, settings: &ListenSettings, listeners: &mut Vec<Listener>) {
    let port = settings.port;
    let addresses: Vec<SocketAddr> = if name == "*" {
        vec![
            (Ipv4Addr::UNSPECIFIED, port).into(),
            (Ipv6Addr::UNSPECIFIED, port).into(),
        ]
    } else {
        match (name, port).to_socket_addrs() {
            Ok(found) => found.collect(),
            Err(error) => {
                log::warn!("cannot listen on {name}:{port}: {error}");
                return;
            }
        }
    };
    for address in addresses {
        match bind_tcp(address, settings) {
            Ok(listener) => listeners.push(Listener::Tcp(listener)),
            Err((step, error)) => {
                log::warn!("cannot listen on {address}: {step}: {}", plain(&error));
            }
        }
    }
}

fn bind_tcp(
    address: SocketAddr,
    settings: &ListenSettings,
) -> Result<TcpListener, (&'static str, io::Error)> {
    let at = |step: &'static str| move |error| (step, error);
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, None);
    let socket = socket.map_err(at("socket()"))?;
    socket.set_reuse_address(true).map_err(at("setsockopt()"))?;
    if settings.reuse_port {
        socket.set_reuse_port(true).map_err(at("setsockopt()"))?;
    }
    if address.is_ipv6() {
        // So that 0.0.0.0 and :: can both be bound.
        socket.set_only_v6(true).map_err(at("setsockopt()"))?;
    }
    socket.bind(&address.into()).map_err(at("bind()"))?;
    socket.listen(settings.backlog).map_err(at("listen()"))?;
    socket.set_nonblocking(true).map_err(at("fcntl()"))?;
    Ok(socket.into())
}

fn bind_unix(settings: &ListenSettings) -> Result<Listener, ListenError> {
    let path = PathBuf::from(format!("{}/.s.PGSQL.{}", settings.unix_dir, settings.port));
    let failed = |step: &'static str| {
        let path = path.display().to_string();
        move |error| ListenError::Unix { path, step, error }
    };
    let is_abstract = settings.unix_dir.starts_with('@');
    let name = kernel_name(&path);
    if answers(&name) {
        return Err(ListenError::InUse);
    }
    if !is_abstract {
        remove_stale(&path).map_err(failed("unlink()"))?;
    }
    let socket = RawSocket::new(Domain::UNIX, Type::STREAM, None).map_err(failed("socket()"))?;
    let address = SockAddr::unix(&name).map_err(failed("bind()"))?;
    socket.bind(&address).map_err(failed("bind()"))?;
    if !is_abstract {
        // Before listen(): nobody gets in by the mode the umask left.
        let mode = fs::Permissions::from_mode(settings.unix_mode);
        fs::set_permissions(&path, mode).map_err(failed("chmod()"))?;
        if let Some(group) = group(&settings.unix_group)? {
            std::os::unix::fs::chown(&path, None, Some(group.as_raw()))
                .map_err(failed("chown()"))?;
        }
    }
    socket
        .listen(settings.backlog)
        .map_err(failed("listen()"))?;
    socket.set_nonblocking(true).map_err(failed("fcntl()"))?;
    Ok(Listener::Unix {
        listener: socket.into(),
        file: (!is_abstract).then_some(path),
    })
}

/// Whether somebody accepts there; unlike std this also takes abstract names.
fn answers(name: &Path) -> bool {
    let connect = || -> io::Result<()> {
        RawSocket::new(Domain::UNIX, Type::STREAM, None)?.connect(&SockAddr::unix(name)?)
    };
    connect().is_ok()
}

/// A socket file that nobody answers on is left over from a crash; anything else is not ours.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path),
        _ => Ok(()),
    }
}

fn group(name: &str) -> Result<Option<Gid>, ListenError> {
    if name.is_empty() {
        return Ok(None);
    }
    if let Ok(number) = name.parse() {
        return Ok(Some(Gid::from_raw(number)));
    }
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(Some(group.gid)),
        _ => Err(ListenError::Group(name.to_owned())),
    }
}

/// The system's text without Rust's `(os error N)`, as operators know it.
fn plain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => nix::errno::Errno::from_raw(code).desc().to_owned(),
        None => error.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn settings(addresses: &[&str], unix_dir: &str) -> ListenSettings {
        ListenSettings {
            addresses: addresses.iter().map(|name| (*name).to_owned()).collect(),
            port: 0,
            backlog: 16,
            reuse_port: false,
            unix_dir: unix_dir.to_owned(),
            unix_mode: 0o700,
            unix_group: String::new(),
        }
    }

    #[test]
    fn addresses_names_and_star() {
        let all = bind(&settings(&["127.0.0.1", "no.such.host.invalid"], "")).unwrap();
        assert_eq!(all.len(), 1);
        assert!(all[0].to_string().starts_with("127.0.0.1:"));
        let error = all[0].accept().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(!bind(&settings(&["*"], "")).unwrap().is_empty());
        let taken = ListenSettings {
            port: match &all[0] {
                Listener::Tcp(listener) => listener.local_addr().unwrap().port(),
                Listener::Unix { .. } => 0,
            },
            ..settings(&["127.0.0.1"], "")
        };
        assert!(matches!(bind(&taken), Err(ListenError::NoAddress)));
        assert!(matches!(
            bind(&settings(&[], "")),
            Err(ListenError::Nowhere)
        ));
    }

    #[test]
    fn unix_socket_in_use_stale_and_abstract() {
        let directory = tempfile::tempdir().unwrap();
        let wanted = settings(&[], directory.path().to_str().unwrap());
        let first = bind(&wanted).unwrap();
        let file = directory.path().join(".s.PGSQL.0");
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert_eq!(first[0].to_string(), format!("unix:{}", file.display()));
        assert!(matches!(bind(&wanted), Err(ListenError::InUse)));
        drop(first);
        assert!(file.exists());
        let second = bind(&wanted).unwrap();
        second[0].remove_file();
        assert!(!file.exists());
        let hidden = settings(&[], &format!("@{}", directory.path().display()));
        let third = bind(&hidden).unwrap();
        assert!(matches!(bind(&hidden), Err(ListenError::InUse)));
        drop(third);
        let mut bad = settings(&[], directory.path().to_str().unwrap());
        bad.unix_group = "no-such-group".to_owned();
        assert!(matches!(bind(&bad), Err(ListenError::Group(_))));
    }

    #[test]
    fn inherited_sockets_must_listen() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let all = inherit(vec![listener.into()]).unwrap();
        assert!(!all[0].is_unix());
        let (one, _other) = UnixStream::pair().unwrap();
        assert!(inherit(vec![one.into()]).is_err());
    }
}
