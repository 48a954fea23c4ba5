//! How a test's client logs in.

use super::{RawClient, Socket};
use crate::support::PATIENCE;
use crate::support::frames;
use crate::support::reply::{PgError, Reply};
use std::io;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How to log in. Defaults: 127.0.0.1, user `app`, its own secret, database `app`.
#[derive(Clone)]
pub struct Login {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) socket: Option<PathBuf>,
    pub(super) user: String,
    pub(super) database: Option<String>,
    pub(super) password: Option<String>,
    pub(super) parameters: Vec<(String, String)>,
    pub(super) version: u32,
    pub(super) tls: Option<Arc<rustls::ClientConfig>>,
    pub(super) direct_tls: bool,
}

impl Login {
    pub fn new(port: u16) -> Self {
        Self {
            host: "127.0.0.1".into(),
            port,
            socket: None,
            user: "app".into(),
            database: Some("app".into()),
            password: None,
            parameters: Vec::new(),
            version: frames::PROTOCOL_3_0,
            tls: None,
            direct_tls: false,
        }
    }

    pub fn host(mut self, host: &str) -> Self {
        self.host = host.into();
        self
    }

    /// Over the Unix socket in `dir`.
    pub fn unix(mut self, dir: &Path) -> Self {
        self.socket = Some(dir.join(format!(".s.PGSQL.{}", self.port)));
        self
    }

    pub fn user(mut self, user: &str) -> Self {
        self.user = user.into();
        self
    }

    pub fn database(mut self, database: &str) -> Self {
        self.database = Some(database.into());
        self
    }

    pub fn no_database(mut self) -> Self {
        self.database = None;
        self
    }

    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.into());
        self
    }

    pub fn parameter(mut self, key: &str, value: &str) -> Self {
        self.parameters.push((key.into(), value.into()));
        self
    }

    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    pub fn tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// TLS without an SSLRequest before it (ALPN `postgresql`).
    pub fn direct_tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self.direct_tls = true;
        self
    }

    /// The connection before anything is sent on it.
    pub fn open(&self) -> io::Result<RawClient> {
        let socket = match &self.socket {
            Some(path) => Socket::Unix(UnixStream::connect(path)?),
            None => {
                let tcp = TcpStream::connect((self.host.as_str(), self.port))?;
                tcp.set_nodelay(true)?;
                Socket::Tcp(tcp)
            }
        };
        socket.patience(PATIENCE);
        Ok(RawClient {
            socket,
            login: self.clone(),
            buffer: Vec::new(),
            start: 0,
            key: Vec::new(),
            parameters: Vec::new(),
            welcome: Reply::default(),
        })
    }

    /// Logs in; the error is the server's, or what the socket said.
    pub fn try_connect(&self) -> Result<RawClient, PgError> {
        let gone = |error: io::Error| PgError {
            fields: vec![('M', error.to_string())],
        };
        let mut client = self.open().map_err(gone)?;
        client.encrypt().map_err(gone)?;
        client.send(&self.startup()).map_err(gone)?;
        client.authenticate()?;
        Ok(client)
    }

    pub fn connect(&self) -> RawClient {
        match self.try_connect() {
            Ok(client) => client,
            Err(error) => panic!("login of {} failed: {error:?}", self.user),
        }
    }

    /// The error of a login that must not succeed.
    pub fn refused(&self) -> PgError {
        match self.try_connect() {
            Ok(_) => panic!("{} was let in", self.user),
            Err(error) => error,
        }
    }

    /// The startup packet.
    pub fn startup(&self) -> Vec<u8> {
        let mut all = vec![("user", self.user.as_str())];
        all.extend(self.database.as_deref().map(|name| ("database", name)));
        all.extend(
            self.parameters
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str())),
        );
        frames::startup(self.version, &all)
    }

    pub(super) fn secret(&self) -> String {
        let known = crate::support::pg::ROLES
            .iter()
            .find(|(name, ..)| *name == self.user);
        match (&self.password, known) {
            (Some(password), _) => password.clone(),
            (None, Some((_, secret, _))) => (*secret).to_owned(),
            (None, None) => format!("{}-secret", self.user),
        }
    }
}
