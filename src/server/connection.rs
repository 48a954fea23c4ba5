//! A server connection that has logged in.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use super::pending::Pending;
use crate::net::Stream;
use crate::session::on_server::ServerStatements;
use crate::session::params::{Params, Tracked};
use crate::session::prepared::{Copied, SentParse};
use crate::session::sequences::Owner;
use crate::session::state::SessionState;
use crate::stats::{Pins, ServerSlot};
use crate::wire::backend::{self, Status, tag};
use crate::wire::frame::{self, Peeked};
use crate::wire::frontend;

/// Largest reply frame accepted to our own queries, in bytes.
const OWN_REPLY_LIMIT: usize = 64 * 1024;

/// Why a server connection is closed: the text behind `closing because:` (surface 2.4).
pub type CloseReason = Cow<'static, str>;

/// A logged-in connection.
#[derive(Debug)]
pub struct Server {
    /// Its bytes.
    pub stream: Stream,
    /// What SHOW SERVERS prints.
    pub slot: Arc<ServerSlot>,
    /// Tracked parameters as the server last reported them.
    pub params: Arc<Params>,
    /// What they were when it was ready for its first client: RESET ALL goes back to these.
    pub start_params: Arc<Params>,
    /// Settings that PostgreSQL does not report, as it has them.
    pub session: SessionState,
    /// Something may have changed its settings in a way nobody knows of; what.
    pub suspect: Option<&'static str>,
    /// The question what it holds is prepared on it.
    pub has_question: bool,
    /// Code has run since it last said what it holds.
    pub may_hold: bool,
    /// Its statement_timeout may be so short that it hits what takes it away.
    pub is_hurried: bool,
    /// It listens to channels on behalf of a client that has left it.
    pub is_listening: bool,
    /// What it holds for its client, who therefore keeps it.
    pub pins: Pins,
    /// Whose sequence values its session holds.
    pub sequences: Owner,
    /// Named statements it holds.
    pub statements: ServerStatements,
    /// Its unnamed statement; `None` when there is none.
    pub unnamed: Option<Arc<SentParse>>,
    /// What its link may have to send again.
    pub copied: Copied,
    /// Requests it has not answered.
    pub pending: Pending,
    /// Status of its last ReadyForQuery.
    pub status: Status,
    /// The pool's generation when it connected; an older one is closed at release.
    pub generation: u64,
    /// Monotonic µs of its last release.
    pub last_used_us: u64,
    /// No client has had it yet.
    pub is_fresh: bool,
    /// The lane whose reactor its socket is registered with.
    pub lane: usize,
    /// It holds something private to its client and must be closed when that leaves.
    pub is_private: bool,
    /// A link ended inside a frame, in either direction: nobody may use it again.
    pub is_cut: bool,
}

/// What became of a query of our own.
#[derive(Debug, thiserror::Error)]
pub enum OwnQueryError {
    /// The connection failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// PostgreSQL answered with an error.
    #[error("{0}")]
    Refused(String),
    /// The answer was not protocol.
    #[error("broken reply")]
    Broken,
}

impl Server {
    /// Whether the next client may have it as it is.
    pub fn is_clean(&self) -> bool {
        self.status == Status::Idle
            && self.pending.is_done()
            && !self.pending.is_uncertain()
            && !self.is_private
            && !self.is_cut
            && self.pins.is_empty()
    }

    /// Moves the socket to the calling lane. False when it cannot be or when something already
    /// waits in it: such a server is not to be used.
    pub fn move_to(&mut self, lane: usize) -> bool {
        if self.lane == lane {
            return true;
        }
        self.lane = lane;
        self.stream.detach().is_ok() && self.stream.attach().is_ok() && self.stream.peek_is_quiet()
    }

    /// Runs a query of ours (check, reset, connect_query) to its end, outside of any link, and keeps
    /// the record of parameters right. Not cancel safe: when dropped half-way, close the server.
    pub async fn run_own(&mut self, sql: &str, tracked: &Tracked) -> Result<(), OwnQueryError> {
        let mut request = Vec::with_capacity(sql.len() + 6);
        frontend::query(&mut request, sql.as_bytes());
        self.unnamed = None;
        self.stream.write_all(&request).await?;
        let mut buf: Vec<u8> = Vec::new();
        let mut chunk = [0u8; 1024];
        let mut refused = None;
        loop {
            while let Some(total) = complete_frame(&buf)? {
                let done = self.on_own_reply(&buf[..total], tracked, &mut refused);
                buf.drain(..total);
                if done {
                    return refused.map_or(Ok(()), |text| Err(OwnQueryError::Refused(text)));
                }
            }
            match self.stream.read_some(&mut chunk).await? {
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                n => buf.extend_from_slice(&chunk[..n]),
            }
        }
    }

    /// Looks at one reply to a query of ours; true for ReadyForQuery.
    fn on_own_reply(
        &mut self,
        whole: &[u8],
        tracked: &Tracked,
        refused: &mut Option<String>,
    ) -> bool {
        match whole.first() {
            Some(&tag::PARAMETER_STATUS) => {
                self.note_parameter(whole, tracked);
            }
            Some(&tag::ERROR) => {
                let message = backend::error_fields(whole).message;
                *refused = Some(String::from_utf8_lossy(message).into_owned());
            }
            Some(&tag::COMMAND_COMPLETE) => self.note_command(&whole[frame::HEADER..]),
            Some(&tag::READY_FOR_QUERY) => {
                self.status = whole
                    .get(frame::HEADER)
                    .and_then(|&byte| Status::parse(byte))
                    .unwrap_or(Status::Failed);
                return true;
            }
            _ => {}
        }
        false
    }

    /// Takes over a reported parameter; its position when it is a tracked one.
    pub fn note_parameter(&mut self, whole: &[u8], tracked: &Tracked) -> Option<usize> {
        let (name, value) = backend::parameter_status(whole)?;
        let (index, value) = (tracked.index_of(name)?, std::str::from_utf8(value).ok()?);
        self.params = tracked.with_value(&self.params, index, value);
        Some(index)
    }

    /// Takes over what a command tag says about prepared statements.
    fn note_command(&mut self, command: &[u8]) {
        if drops_statements(command) {
            self.statements.clear();
            self.has_question = false;
        }
        if command == b"DISCARD ALL\0" {
            self.session.discard_all();
            self.suspect = None;
            self.is_listening = false;
        }
        if command == b"UNLISTEN\0" {
            self.is_listening = false;
        }
    }
}

/// Whether a command tag means that the server has no prepared statements any more.
#[inline]
pub fn drops_statements(command: &[u8]) -> bool {
    command.first() == Some(&b'D')
        && (command == b"DISCARD ALL\0" || command == b"DEALLOCATE ALL\0")
}

/// Whether a command tag means that settings went back to where the server connection started.
#[inline]
pub fn resets_parameters(command: &[u8]) -> bool {
    matches!(command.first(), Some(b'D' | b'R'))
        && (command == b"DISCARD ALL\0" || command == b"RESET\0")
}

/// Length of the first frame of `buf`, when it is there whole.
fn complete_frame(buf: &[u8]) -> Result<Option<usize>, OwnQueryError> {
    match frame::peek(buf, OWN_REPLY_LIMIT as u32) {
        Peeked::Short => Ok(None),
        Peeked::Bad => Err(OwnQueryError::Broken),
        Peeked::Header(header) => Ok((buf.len() >= header.total).then_some(header.total)),
    }
}
