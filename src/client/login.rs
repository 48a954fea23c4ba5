//! From an accepted stream to a logged-in client.
//!
//! Owns: one connection until its first ReadyForQuery, the order of the checks, what the client is
//! told and what the log says when it is refused. May touch: `auth`, `wire`, `net`, `config`. Never:
//! pools and limits themselves (it asks its [`Gate`]), queries. One read and one write per round
//! trip; the whole welcome is one write. Slow path: box [`Login::run`] once.
//! Mirrors: PgBouncer's login, surface 6.1, 6.8, 3.1, 4.12, log lines of 2.4.
//!
//! ```text
//! startup.rs     first packets, TLS          exchange.rs  trust, plain, md5, SCRAM
//! parameters.rs  what the startup asks for   welcome.rs   parameters, key, ReadyForQuery
//! enter.rs       limits, database, console   gate.rs      what the rest of the process answers
//! ```

mod enter;
mod exchange;
mod gate;
mod input;
mod parameters;
mod startup;
#[cfg(test)]
mod tests;
mod welcome;

use std::borrow::Cow;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::Settings;
use crate::error::ClientError;
use crate::net::Stream;

pub use gate::{ConsoleRight, Gate, Live, Reported, Target, Who};
use input::Input;

/// How long a refused client is waited for to take the error.
const LAST_WRITE: Duration = Duration::from_secs(2);
/// Bytes thrown away behind an error, so that closing does not reset the connection before the
/// client has read it.
const LAST_READ: usize = 1 << 16;
/// PgBouncer's words for a client that went without a Terminate.
const EOF: Cow<'static, str> = Cow::Borrowed("client unexpected eof");

/// A connection that is logging in.
pub struct Login<G: Gate> {
    gate: G,
    /// Absent only during a TLS handshake.
    stream: Option<Stream>,
    is_unix: bool,
    input: Input,
    /// What goes out with the next write.
    out: Vec<u8>,
    opened: Instant,
    /// The password was right and the pool's first server is awaited.
    is_waiting: bool,
}

/// A client that may send queries.
pub struct LoggedIn<G: Gate> {
    /// As it was passed in; it holds the client's place in the limits.
    pub gate: G,
    /// The connection, with everything written.
    pub stream: Stream,
    /// Database and user.
    pub who: Who,
    /// What to connect it to; never [`Target::Unknown`].
    pub target: Target<G::Database>,
    /// Tracked parameters of the startup packet: canonical name and value.
    pub parameters: Vec<(String, String)>,
    /// Other settings of the startup packet: name and raw value, in order.
    pub settings: Vec<(String, String)>,
    /// What the pool's first server reported; absent on the console.
    pub reported: Option<Arc<G::Reported>>,
    /// The eight bytes of BackendKeyData, registered with the gate.
    pub cancel_key: u64,
    /// What the client sent behind its last message of the login.
    pub leftover: Vec<u8>,
}

/// How a login ended. Everything has been said and logged.
pub enum Outcome<G: Gate> {
    /// It is in.
    LoggedIn(Box<LoggedIn<G>>),
    /// It is not a login but a cancel request; `None` is a key that cannot be ours. The client
    /// waits for the connection to be closed and expects no answer.
    Cancel {
        /// As it was passed in.
        gate: G,
        /// The connection, to be closed when the cancel has been passed on.
        stream: Stream,
        /// What to cancel.
        key: Option<u64>,
    },
    /// It was refused with this error, or (`None`) went by itself.
    Ended {
        /// As it was passed in.
        gate: G,
        /// What the client was told.
        error: Option<ClientError>,
    },
}

/// Why a step cannot go on.
#[derive(Debug)]
enum End {
    /// Tell the client and close.
    Refuse(ClientError),
    /// Close; the reason is for the log.
    Gone(Cow<'static, str>),
    /// Close and say nothing: a probe that sent nothing.
    Silent,
    /// A cancel request.
    Cancel(Option<u64>),
    /// `client_login_timeout`.
    TimedOut,
}

impl From<ClientError> for End {
    fn from(error: ClientError) -> Self {
        End::Refuse(error)
    }
}

/// What the steps yield besides the connection.
struct Welcomed<G: Gate> {
    who: Who,
    target: Target<G::Database>,
    parameters: Vec<(String, String)>,
    settings: Vec<(String, String)>,
    reported: Option<Arc<G::Reported>>,
    cancel_key: u64,
}

impl<G: Gate> Login<G> {
    /// A login over an accepted stream.
    pub fn open(stream: Stream, gate: G) -> Self {
        Self {
            is_unix: stream.socket().is_unix(),
            stream: Some(stream),
            gate,
            input: Input::default(),
            out: Vec::new(),
            opened: Instant::now(),
            is_waiting: false,
        }
    }

    /// Logs the client in. `limit` is `client_login_timeout` (zero: none); `order` ends the login
    /// with an error from outside (KILL, shutdown) and may never come. Not cancel safe: a dropped
    /// login is a dropped connection.
    pub async fn run(
        mut self,
        limit: Duration,
        order: impl Future<Output = ClientError>,
    ) -> Outcome<G> {
        let timer = async {
            if limit.is_zero() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(limit).await;
        };
        let result = {
            let steps = pin!(self.steps());
            tokio::select! {
                biased;
                result = steps => result,
                error = order => Err(End::Refuse(error)),
                () = timer => Err(End::TimedOut),
            }
        };
        match (result, self.stream.take()) {
            (Ok(welcomed), Some(stream)) => Outcome::LoggedIn(Box::new(LoggedIn {
                gate: self.gate,
                stream,
                who: welcomed.who,
                target: welcomed.target,
                parameters: welcomed.parameters,
                settings: welcomed.settings,
                reported: welcomed.reported,
                cancel_key: welcomed.cancel_key,
                leftover: self.input.bytes().to_vec(),
            })),
            (Err(End::Cancel(key)), Some(stream)) => Outcome::Cancel {
                gate: self.gate,
                stream,
                key,
            },
            (result, stream) => {
                let end = result.err().unwrap_or(End::Gone(EOF));
                self.end(end, stream).await
            }
        }
    }

    /// The steps in their order; see the rooms named after them.
    async fn steps(&mut self) -> Result<Welcomed<G>, End> {
        let packet = self.first_packets().await?;
        let live = self.gate.live();
        let wishes = self.read_wishes(&packet, live.config())?;
        let entered = self.enter(&wishes, &*live)?;
        let captured = if entered.is_proven {
            None
        } else {
            self.prove(&entered.who, &*live).await?
        };
        self.welcome(entered, wishes, captured).await
    }

    /// The end of a login that came to nothing.
    async fn end(mut self, end: End, stream: Option<Stream>) -> Outcome<G> {
        let error = match end {
            End::Refuse(ref error) => Some(error.clone()),
            End::TimedOut if self.is_waiting => Some(ClientError::login_timeout_server_down()),
            End::TimedOut => Some(ClientError::login_timeout()),
            End::Gone(_) | End::Silent | End::Cancel(_) => None,
        };
        let live = self.gate.live();
        let settings = &live.config().settings;
        match (&end, &error) {
            (End::Gone(reason), _) => self.log_closing(settings, reason),
            (_, Some(error)) => {
                self.log_closing(settings, &error.text);
                if settings.log_pooler_errors {
                    log::warn!("{}pooler error: {}", self.gate.log_prefix(), error.text);
                }
            }
            _ => {}
        }
        if let (Some(error), Some(stream)) = (&error, stream) {
            let precise = live.config().own.precise_sqlstates;
            self.out.extend_from_slice(&error.to_frame_as(precise));
            let _ = tokio::time::timeout(LAST_WRITE, say_goodbye(stream, &self.out)).await;
        }
        let gate = self.gate;
        Outcome::Ended { gate, error }
    }

    fn log_closing(&self, settings: &Settings, reason: &str) {
        if settings.log_disconnections {
            let age = self.opened.elapsed().as_secs();
            let prefix = self.gate.log_prefix();
            log::info!("{prefix}closing because: {reason} (age={age}s)");
        }
    }

    /// The stream; it is missing only when a handshake was broken off.
    fn stream(&mut self) -> Result<&mut Stream, End> {
        self.stream.as_mut().ok_or(End::Gone(EOF))
    }

    /// Writes what has been gathered. Not cancel safe.
    async fn flush(&mut self) -> Result<(), End> {
        // Taken first, so that a login broken off here cannot send it twice.
        let out = std::mem::take(&mut self.out);
        let written = self.stream()?.write_all(&out).await;
        written.map_err(|_| End::Gone(EOF))
    }

    /// Waits for `wanted` bytes from the client.
    async fn fill(&mut self, wanted: usize) -> Result<(), End> {
        let stream = self.stream.as_mut().ok_or(End::Gone(EOF))?;
        match self.input.fill(stream, wanted).await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(End::Gone(EOF)),
        }
    }
}

async fn say_goodbye(mut stream: Stream, last: &[u8]) -> std::io::Result<()> {
    stream.write_all(last).await?;
    stream.shutdown().await?;
    let mut rest = [0; 4096];
    for _ in 0..LAST_READ / rest.len() {
        let read = std::future::poll_fn(|cx| match stream.poll_read(cx, &mut rest) {
            std::task::Poll::Pending => std::task::Poll::Ready(Ok(0)),
            ready => ready,
        });
        if read.await? == 0 {
            break;
        }
    }
    Ok(())
}
