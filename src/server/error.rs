//! Why a connection to PostgreSQL did not come about.
//!
//! Owns: the causes and the words for them in the log (surface 2.4). Never: decides what the pool
//! does next.

use std::borrow::Cow;
use std::io;

use crate::auth::scram::ScramError;
use crate::error::ClientError;
use crate::net::dns::DnsError;

/// SQLSTATE of a server that is starting up, shutting down or recovering.
pub const CANNOT_CONNECT_NOW: &str = "57P03";
/// SQLSTATE of a database that does not exist.
const MISSING_DATABASE: &str = "3D000";

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// PostgreSQL answered the login with an error.
    #[error("{severity} {message}")]
    Refused {
        /// Field C, `XXXXX` where the server sent none.
        sqlstate: String,
        /// Field V or S.
        severity: String,
        /// Field M.
        message: String,
    },
    /// The secret we hold cannot answer the method the server asks for.
    #[error("server login failed: wrong password type: {0}")]
    WrongPasswordType(PasswordHint),
    /// No connection to any address.
    #[error("connect failed: {0}")]
    Unreachable(#[source] io::Error),
    /// The name has no address.
    #[error("server DNS lookup failed: {0}")]
    Dns(#[from] DnsError),
    /// `server_connect_timeout` ran out; the caller's doing.
    #[error("connect timeout")]
    Timeout,
    /// TLS is demanded and the server answered `N`.
    #[error("server refused SSL")]
    TlsRefused,
    /// The server answered SSLRequest with an error. Its text is not passed on: nobody knows yet
    /// who sent it (CVE-2024-10977).
    #[error("server answered SSLRequest with an error")]
    TlsUnanswered,
    /// The TLS handshake failed, the certificate check included.
    #[error("TLS handshake failed: {0}")]
    Tls(#[source] io::Error),
    /// The SCRAM exchange failed, or the server could not prove itself.
    #[error("server login failed: {0}")]
    Scram(#[source] ScramError),
    /// The server's bytes are not the protocol.
    #[error("bad packet from server: {0}")]
    Protocol(&'static str),
    /// The server closed the connection, or it broke, before the login was over.
    #[error("server conn crashed?")]
    Closed(#[source] Option<io::Error>),
}

/// What we hold and what was asked for: the text says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordHint {
    /// Nothing is stored.
    #[error(
        "the server asks for a password and none is known: put one into auth_file (userlist.txt) \
         or into password= of the database"
    )]
    NoPassword,
    /// An md5 hash and a SCRAM server.
    #[error(
        "the server asks for SCRAM and only an md5 hash is known: put the plain password, or the \
         user's SCRAM secret as PostgreSQL has it, into auth_file (userlist.txt)"
    )]
    Md5ForScram,
    /// A hash and a server that wants the password itself.
    #[error(
        "the server asks for the password itself and only a hash is known: put the plain password \
         into auth_file (userlist.txt)"
    )]
    HashForClear,
    /// A SCRAM secret and a server with md5.
    #[error(
        "the server asks for md5 and only a SCRAM secret is known: put the plain password into \
         auth_file (userlist.txt), or store the user's password in PostgreSQL as SCRAM"
    )]
    ScramForMd5,
    /// A SCRAM secret of which no client has yielded the keys.
    #[error(
        "the server asks for SCRAM and the SCRAM secret alone is not enough: let clients log in \
         with SCRAM and no forced user, or put the plain password into auth_file (userlist.txt)"
    )]
    NoKeys,
    /// The keys belong to another secret.
    #[error(
        "the SCRAM secret in auth_file differs from the server's: copy it from pg_authid, or put \
         the plain password there"
    )]
    ForeignKeys,
}

impl OpenError {
    /// The reason in `closing because: ...` (surface 2.4).
    pub fn close_reason(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            OpenError::Refused { .. } | OpenError::Scram(_) => "login failed",
            OpenError::WrongPasswordType(_) => "server login failed: wrong password type",
            OpenError::Unreachable(_) => "connect failed",
            OpenError::Dns(_) => "server DNS lookup failed",
            OpenError::Timeout => "connect timeout",
            OpenError::TlsRefused => "server refused SSL",
            OpenError::TlsUnanswered => "server answered SSLRequest with an error",
            OpenError::Tls(error) => return format!("TLS handshake failed: {error}").into(),
            OpenError::Protocol(_) => "bad packet",
            OpenError::Closed(_) => "server conn crashed?",
        })
    }

    /// What later clients are told while the pool waits for `server_login_retry`: PostgreSQL's own
    /// text, else the reason.
    pub fn reason(&self) -> String {
        match self {
            OpenError::Refused { message, .. } => message.clone(),
            OpenError::WrongPasswordType(_) => self.to_string(),
            other => other.close_reason().into_owned(),
        }
    }

    /// The line in the log.
    pub fn log_line(&self) -> String {
        match self {
            OpenError::Refused { .. } => format!("server login failed: {self}"),
            other => other.to_string(),
        }
    }

    /// What the clients that wait are told (surface 4.2, 5); absent where they go on waiting.
    pub fn for_clients(&self) -> Option<ClientError> {
        match self {
            _ if self.is_unreachable() => None,
            OpenError::Refused {
                sqlstate, message, ..
            } => Some(ClientError::from_server(sqlstate, message)),
            OpenError::WrongPasswordType(hint) => {
                Some(ClientError::server_password_type(&hint.to_string()))
            }
            _ => None,
        }
    }

    /// Whether the server may simply not be there at the moment, so that clients wait: no answer,
    /// or "starting up".
    pub fn is_unreachable(&self) -> bool {
        match self {
            OpenError::Refused { sqlstate, .. } => sqlstate == CANNOT_CONNECT_NOW,
            OpenError::Unreachable(_)
            | OpenError::Timeout
            | OpenError::Dns(_)
            | OpenError::TlsUnanswered
            | OpenError::Closed(_) => true,
            _ => false,
        }
    }

    /// Whether PostgreSQL is there and has no such database.
    pub fn is_missing_database(&self) -> bool {
        matches!(self, OpenError::Refused { sqlstate, .. } if sqlstate == MISSING_DATABASE)
    }

    /// From an i/o error after the connect.
    pub(super) fn broken(error: io::Error) -> Self {
        OpenError::Closed(Some(error))
    }
}
