//! One console session from its first command to its goodbye.

use std::borrow::Cow;
use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use pgwire::api::{ClientInfo, DefaultClient, NoopHandler, PgWireConnectionState};
use pgwire::error::PgWireError;
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use pgwire::tokio::server::{PgWireMessageServerCodec, process_error, process_message};
use tokio::time::timeout;
use tokio_util::codec::Framed;

use super::intake::{BadPacket, Checked, Intake};
use super::protocol::{Prepared, error_response};
use super::{Console, ConsoleUser, Visitor};
use crate::client::log_closing;
use crate::config::CONSOLE_DATABASE;
use crate::error::ClientError;
use crate::stats::clock::now_us;
use crate::stats::{ClientSlot, ClientState, Count, Event};

/// Longest a closing client is waited for.
const LAST_WRITE: Duration = Duration::from_secs(2);
/// How often a waiting command looks whether it is done.
const LOOK: Duration = Duration::from_millis(150);

/// A session.
pub struct Session {
    pub(super) console: Arc<Console>,
    pub(super) user: ConsoleUser,
    pub(super) slot: Arc<ClientSlot>,
    intake: Arc<Intake>,
}

/// Why a command has no result.
#[derive(Debug)]
pub enum Failed {
    /// Tell the client; the session goes on.
    Error(ClientError),
    /// The client is gone or shall go: there is nobody to tell.
    Gone,
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Self {
        Failed::Error(error)
    }
}

/// How a session ends.
#[derive(Debug)]
struct End {
    reason: Cow<'static, str>,
    error: Option<ClientError>,
}

impl End {
    fn gone(reason: &'static str) -> Self {
        Self {
            reason: Cow::Borrowed(reason),
            error: None,
        }
    }

    fn told(error: ClientError) -> Self {
        Self {
            reason: error.text.clone(),
            error: Some(error),
        }
    }
}

type Socket = Framed<Checked, PgWireMessageServerCodec<Prepared>>;

/// Runs a session; a panic ends only this one.
pub async fn serve(console: Arc<Console>, visitor: Visitor) {
    let Visitor {
        mut stream,
        user,
        slot,
        early,
        seat,
    } = visitor;
    if stream.attach().is_err() {
        return;
    }
    let is_secure = stream.is_tls();
    let counters = &console.directory.shared.console_counters;
    counters.add(Count::ClientLogins, 1);
    let intake = Intake::over(stream, early);
    let session = Arc::new(Session {
        console,
        user,
        slot,
        intake,
    });
    let mut run = Box::pin(Arc::clone(&session).run(is_secure));
    let is_whole = poll_fn(|cx| {
        let step = catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(cx)));
        step.map_or(Poll::Ready(false), |poll| poll.map(|()| true))
    })
    .await;
    if !is_whole {
        let prefix = session.slot.log_prefix();
        log::error!("{prefix}console session ended by a panic, please report it");
    }
    drop(run);
    drop(seat);
}

impl Session {
    async fn run(self: Arc<Self>, is_secure: bool) {
        // pgwire only passes the address on to handlers, and ours do not ask.
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let info = DefaultClient::new(address, is_secure);
        let codec = PgWireMessageServerCodec::new(info);
        let mut socket = Framed::new(Checked(Arc::clone(&self.intake)), codec);
        socket.set_state(PgWireConnectionState::ReadyForQuery);
        let end = loop {
            if let Err(end) = self.one_message(&mut socket).await {
                break end;
            }
        };
        self.leave(&mut socket, end).await;
    }

    /// Not cancel safe: a reply may be half written.
    async fn one_message(self: &Arc<Self>, socket: &mut Socket) -> Result<(), End> {
        self.slot.set_state(ClientState::Idle);
        let message = self.next_message(socket).await?;
        self.slot.set_state(ClientState::Active);
        self.slot.set_request_us(now_us());
        if matches!(message, PgWireFrontendMessage::Terminate(_)) {
            return Err(End::gone("client close request"));
        }
        let is_extended = !matches!(message, PgWireFrontendMessage::Query(_));
        let noop = Arc::new(NoopHandler);
        let work = process_message(
            message,
            socket,
            Arc::clone(&noop),
            Arc::clone(self),
            Arc::clone(self),
            Arc::clone(&noop),
            noop,
        );
        match self.unless_ordered(work).await? {
            Ok(()) => Ok(()),
            Err(PgWireError::IoError(error)) => Err(self.end_of(&error)),
            Err(error) => {
                let reported = ClientError::console(error.to_string());
                self.report(&reported);
                let sent = process_error(socket, error, is_extended).await;
                sent.map_err(|error| self.end_of(&error))
            }
        }
    }

    /// Finishes `work`, unless the client is ordered to close while it does not take its reply. It
    /// is inside a frame then and cannot be told why.
    async fn unless_ordered<T>(&self, work: impl Future<Output = T>) -> Result<T, End> {
        let mut work = std::pin::pin!(work);
        poll_fn(|cx| {
            self.slot.set_waker(cx.waker());
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            match self.slot.order() {
                Some(order) => Poll::Ready(Err(End {
                    reason: order.text,
                    error: None,
                })),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// The next message, or an order to close. COMPAT: client_idle_timeout spares the console.
    async fn next_message(&self, socket: &mut Socket) -> Result<PgWireFrontendMessage, End> {
        let next = poll_fn(|cx| {
            self.slot.set_waker(cx.waker());
            match self.slot.order() {
                Some(order) => Poll::Ready(Err(End::told(order))),
                None => socket.poll_next_unpin(cx).map(Ok),
            }
        });
        match next.await? {
            Some(Ok(message)) => Ok(message),
            Some(Err(PgWireError::IoError(error))) => Err(self.end_of(&error)),
            Some(Err(_)) => Err(End::told(ClientError::bad_packet())),
            None => Err(End::gone("client unexpected eof")),
        }
    }

    fn end_of(&self, error: &std::io::Error) -> End {
        if let Some(order) = self.slot.order() {
            return End::told(order);
        }
        let is_bad = error.get_ref().is_some_and(|cause| cause.is::<BadPacket>());
        if is_bad {
            End::told(ClientError::bad_packet())
        } else {
            End::gone("client unexpected eof")
        }
    }

    async fn leave(&self, socket: &mut Socket, end: End) {
        if let Some(error) = &end.error {
            self.report(error);
            let frame = PgWireBackendMessage::ErrorResponse(error_response(error));
            let _ = timeout(LAST_WRITE, socket.send(frame)).await;
        }
        let live = self.console.directory.shared.live_arc();
        if live.config.settings.log_disconnections {
            log_closing(&self.slot, &end.reason);
        }
        let farewell = poll_fn(|cx| self.intake.poll_shutdown(cx));
        let _ = timeout(LAST_WRITE, farewell).await;
    }

    /// Logs and counts an error that the client is told.
    pub(super) fn report(&self, error: &ClientError) {
        let shared = &self.console.directory.shared;
        shared
            .events
            .count(Event::ClientError, CONSOLE_DATABASE, error.reason);
        // psql's \d and Tab are a slip of the hand, nothing for who reads the log (operator 2.17).
        let is_slip = *error == ClientError::console_no_tables();
        if is_slip {
            log::debug!("{}{}", self.slot.log_prefix(), error.text);
        } else if shared.live().config.settings.log_pooler_errors {
            log::warn!("{}pooler error: {}", self.slot.log_prefix(), error.text);
        }
    }

    /// Counts a command. COMPAT: each is a query and a transaction of the database `pgbouncer`.
    pub(super) fn count(&self) {
        let counters = &self.console.directory.shared.console_counters;
        let took = now_us().saturating_sub(self.slot.request_us());
        counters.add(Count::Queries, 1);
        counters.add(Count::Transactions, 1);
        counters.add(Count::QueryTime, took);
        counters.add(Count::TransactionTime, took);
    }

    /// Waits until `is_done`, looking a few times per second.
    ///
    /// # Errors
    /// `Gone` when the client hangs up or is told to leave; an error when it cancels.
    pub(super) async fn wait_until(&self, is_done: impl Fn() -> bool) -> Result<(), Failed> {
        // A cancel request that came before has nothing to do with this wait.
        self.slot.take_cancel();
        let mut look = tokio::time::interval(LOOK);
        while !is_done() {
            poll_fn(|cx| {
                self.slot.set_waker(cx.waker());
                if self.slot.has_order() || self.intake.poll_hang_up(cx).is_ready() {
                    return Poll::Ready(Err(Failed::Gone));
                }
                if self.slot.take_cancel() {
                    return Poll::Ready(Err(ClientError::console_canceled().into()));
                }
                look.poll_tick(cx).map(|_| Ok(()))
            })
            .await?;
        }
        Ok(())
    }
}
