//! A logged-in connection of `monitor_user`, and one question on it.
//!
//! Owns: the login, time limits, the cancel of what exceeds them. Never: waits without a limit.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage, SimpleQueryRow};

use super::pipe::Pipe;
use crate::net::{Endpoint, dial};
use crate::server::{Address, Dialing, Host, OpenError, reach, remote_of};

/// Longest for connect, TLS and login.
const OPEN_LIMIT: Duration = Duration::from_secs(5);
/// Longest for a question; PostgreSQL ends it itself after its statement_timeout, which is shorter.
pub const ASK_LIMIT: Duration = Duration::from_millis(2_500);
/// Longest for a cancel request to arrive, and for the question to end because of it.
const CANCEL_LIMIT: Duration = Duration::from_secs(1);
/// What the session sets for itself.
const OPTIONS: &str = "-c statement_timeout=2000 -c lock_timeout=100 -c client_min_messages=error";
/// How the sidecar is known in pg_stat_activity.
pub const APPLICATION_NAME: &str = "pgweir sidecar";

/// Where and as whom.
#[derive(Clone)]
pub struct Door {
    /// As the configuration names the server.
    pub server: Arc<str>,
    /// Where it listens.
    pub host: Host,
    /// TLS, socket options, names.
    pub dialing: Dialing,
    /// `monitor_user`.
    pub user: String,
    /// `monitor_password`, else the clear text in auth_file.
    pub password: Option<String>,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("server", &self.server)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No connection.
    #[error("{0}")]
    Open(#[from] OpenError),
    /// A password is asked for and there is none in clear text.
    #[error(
        "the server asks for a password: set monitor_password (auth_file has no clear-text one)"
    )]
    Password,
    /// The login was refused, or the question was.
    #[error("{}", words(.0))]
    Refused(#[source] tokio_postgres::Error),
    /// The connection broke.
    #[error("connection lost: {}", words(.0))]
    Lost(#[source] tokio_postgres::Error),
    /// The connection ended while nothing was asked.
    #[error("connection closed by the server")]
    Gone,
    /// The time limit.
    #[error("no answer within {} ms, cancelled", .0.as_millis())]
    Timeout(Duration),
    /// A value that is no number.
    #[error("column \"{0}\" is not a number; declare it as label or discard")]
    NotANumber(String),
    /// The same labels twice.
    #[error("two rows have the same labels; declare what tells them apart as label")]
    SameLabels,
}

/// PostgreSQL's own text where it sent one.
fn words(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => db.message().to_owned(),
        None => match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

impl AskError {
    /// The label of `pgweir_sidecar_errors_total`: a closed list.
    pub fn reason(&self) -> &'static str {
        match self {
            AskError::Open(_) | AskError::Lost(_) | AskError::Gone => "connect",
            AskError::Password => "login",
            AskError::Timeout(_) => "timeout",
            AskError::NotANumber(_) => "not_a_number",
            AskError::SameLabels => "same_labels",
            AskError::Refused(error) => match error.code().map(|code| code.code()) {
                Some("57014") => "timeout",
                Some("42501") => "privilege",
                Some(code) if code.starts_with("28") => "login",
                _ => "refused",
            },
        }
    }

    fn of(error: tokio_postgres::Error) -> Self {
        if error.as_db_error().is_some() {
            AskError::Refused(error)
        } else {
            AskError::Lost(error)
        }
    }
}

/// A logged-in connection; closed when dropped.
pub struct Session {
    client: Client,
    connection: Carrier,
    is_open: watch::Receiver<()>,
    address: Address,
    dialing: Dialing,
    /// Their end.
    pub remote: Endpoint,
}

impl Session {
    /// Logs in. Dropping the future closes what was begun.
    pub async fn open(door: &Door, database: &str) -> Result<Self, AskError> {
        let opened = timeout(OPEN_LIMIT, Self::log_in(door, database)).await;
        opened.unwrap_or(Err(AskError::Open(OpenError::Timeout)))
    }

    async fn log_in(door: &Door, database: &str) -> Result<Self, AskError> {
        let (stream, address) = reach(&door.host, &door.dialing).await?;
        let remote = remote_of(&stream)?;
        let mut config = tokio_postgres::Config::new();
        // TLS is done by now, as server_tls_* say, and not by tokio-postgres.
        config
            .ssl_mode(SslMode::Disable)
            .channel_binding(ChannelBinding::Disable)
            .user(&door.user)
            .dbname(database)
            .application_name(APPLICATION_NAME)
            .options(OPTIONS);
        if let Some(password) = &door.password {
            config.password(password);
        }
        let connected = config.connect_raw(Pipe(stream), NoTls).await;
        let (client, connection) = connected.map_err(|error| {
            // Without a password tokio-postgres gives up itself, with no word from the server.
            match door.password.is_none() && words(&error).contains("password missing") {
                true => AskError::Password,
                false => AskError::of(error),
            }
        })?;
        let (open, is_open) = watch::channel(());
        let connection = tokio::spawn(async move {
            let _open = open;
            if let Err(error) = connection.await {
                log::debug!("sidecar: {error}");
            }
        });
        Ok(Self {
            client,
            connection: Carrier(connection),
            is_open,
            address,
            dialing: door.dialing.clone(),
            remote,
        })
    }

    /// Waits for the end of the connection.
    pub async fn ended(&self) {
        let mut is_open = self.is_open.clone();
        while is_open.changed().await.is_ok() {}
    }

    /// Whether the connection has ended.
    pub fn is_ended(&self) -> bool {
        self.client.is_closed()
    }

    /// One question in the simple protocol: all values are text. What takes longer than `limit` is
    /// cancelled; if that has no effect, the connection is given up.
    pub async fn rows(&self, sql: &str, limit: Duration) -> Result<Vec<SimpleQueryRow>, AskError> {
        let asked = self.client.simple_query(sql);
        tokio::pin!(asked);
        let answer = match timeout(limit, &mut asked).await {
            Ok(answer) => answer.map_err(AskError::of)?,
            Err(_) => {
                self.cancel().await;
                if timeout(CANCEL_LIMIT, &mut asked).await.is_err() {
                    self.connection.0.abort();
                }
                return Err(AskError::Timeout(limit));
            }
        };
        let rows = answer.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// Has PostgreSQL parse a text without running it; a second statement in it is refused.
    pub async fn parse(&self, sql: &str, limit: Duration) -> Result<(), AskError> {
        match timeout(limit, self.client.prepare(sql)).await {
            Ok(parsed) => parsed.map(drop).map_err(AskError::of),
            Err(_) => {
                self.connection.0.abort();
                Err(AskError::Timeout(limit))
            }
        }
    }

    /// Plain, as all our cancel requests: PostgreSQL takes them before it looks at its rules.
    async fn cancel(&self) {
        let cancel = async {
            let stream = match &self.address {
                Address::Tcp(address) => dial::tcp(*address, &self.dialing.options).await,
                Address::Unix(path) => dial::unix(path).await,
            };
            if let Ok(stream) = stream {
                let token = self.client.cancel_token();
                let _ = token.cancel_query_raw(Pipe(stream), NoTls).await;
            }
        };
        let _ = timeout(CANCEL_LIMIT, cancel).await;
    }

    /// Says goodbye and waits until it is sent, so that PostgreSQL's backend is gone soon.
    pub async fn close(self) {
        let Self {
            client,
            mut connection,
            ..
        } = self;
        drop(client);
        let _ = timeout(CANCEL_LIMIT, &mut connection.0).await;
    }
}

/// The task that carries a connection; it ends with its owner, also while something is asked.
struct Carrier(JoinHandle<()>);

impl Drop for Carrier {
    fn drop(&mut self) {
        self.0.abort();
    }
}
