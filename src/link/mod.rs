//! HOT. The relay between one client and one server, from link to release (surface 6.2).
//!
//! One task owns both sockets; no channel, no timer, no allocation between two queries. Each poll
//! runs a written order: replies first, so that a server is free as early as can be; then requests;
//! then orders and deadlines. Bytes go out from the buffer they came into. When the whole reply is
//! held and the server is free, the link ends before the last write to the client, so that a slow
//! client never holds a server.
//!
//! Owns: what is in flight on the pair. May touch `server`, `session`, `stats`, `net`, `wire`, and
//! the pool's counters and timeouts. Must never log above debug, lock, or know what comes before or
//! after the link.
//!
//! ```text
//! prepare.rs     what a server lacks
//! pump.rs        both directions, as far as the sockets let them
//! replies.rs     server to client: status, parameters, when the server is free
//! requests.rs    client to server: what is sent, what is answered here
//! columns.rs     columns that clients were told, on a server that parses later
//! heal.rs        prepared statements whose plan is out of date
//! hold.rs        when a request waits for replies before it is sent
//! sql_prepared.rs, sql_portals.rs  PREPARE, EXECUTE and DEALLOCATE as SQL
//! statements.rs  names of prepared statements on both sides
//! own_names.rs   names that a server of the client's own has as they are
//! unnamed.rs     the unnamed statement, and how it is kept
//! names.rs       our names in errors
//! answer.rs      instead of a server
//! flush.rs       what is left for the client when the server is gone
//! ledger.rs      what statements did to the session
//! pins.rs        what the server holds for its client
//! functions.rs   whether functions may leave something in the session
//! values.rs      what set_config() sets by parameters
//! sequences.rs   currval() in a later transaction
//! session.rs     the session on this server, a held BEGIN
//! texts.rs       SQL as it goes out
//! observe.rs     what insight is told
//! timing.rs      counters, states shown, deadlines
//! ```

mod answer;
mod columns;
mod flush;
mod functions;
mod heal;
mod hold;
mod ledger;
pub mod listening;
mod names;
mod observe;
mod own_names;
mod pins;
mod prepare;
mod pump;
mod replies;
mod requests;
mod sequences;
mod session;
mod sql_portals;
mod sql_prepared;
mod statements;
mod texts;
mod timing;
mod unnamed;
mod values;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::config::{PoolMode, SessionMode};
use crate::error::ClientError;
use crate::listen::Subscription;
use crate::net::Stream;
use crate::net::buf::Buf;
use crate::pool::{Pool, PooledServer};
use crate::session::block::Block;
use crate::session::deed::Watch;
use crate::session::params::Params;
use crate::session::prepared::{ClientStatements, Unnamed};
use crate::session::sequences::Memory;
use crate::session::state::{ListenChange, SessionState};
use crate::stats::ClientSlot;
use crate::stats::clock::now_us;
pub use flush::{flush, poll_flush};
use functions::Asking;
use heal::Heal;
use hold::Hold;
use ledger::Ledger;
use listening::Heard;
use names::Moved;
use observe::Observed;
use own_names::OwnNames;
use replies::Reset;
use sequences::Sequences;
use session::Held;
use sql_prepared::Asked;
pub use texts::UnnamedSummary;
use timing::Timing;

/// Everything of a client that the relay works on; the client room owns it between links.
#[derive(Debug)]
pub struct ClientSide {
    /// Its bytes.
    pub stream: Stream,
    /// Client to server.
    pub inbound: Buf,
    /// Server to client.
    pub outbound: Buf,
    /// Tracked parameters the client has.
    pub params: Arc<Params>,
    /// What they were when it logged in: RESET goes back to these.
    pub startup: Arc<Params>,
    /// Named statements the client has prepared; `None` until the first.
    pub statements: Option<Box<ClientStatements>>,
    /// What SHOW CLIENTS prints.
    pub slot: Arc<ClientSlot>,
    /// Its pool.
    pub pool: Arc<Pool>,
    /// The lane that runs it.
    pub lane: usize,
    /// Largest length field accepted, in bytes (max_packet_size).
    pub max_packet: u32,
    /// `disable_pqexec`: simple queries are refused.
    pub no_simple_query: bool,
    /// The unnamed statement.
    pub unnamed_statement: Unnamed,
    /// What the unnamed statement does.
    pub unnamed: UnnamedSummary,
    /// Settings that PostgreSQL does not report, as the client has them.
    pub session: SessionState,
    /// What has changed in what it listens to, for whoever delivers.
    pub listens: Vec<ListenChange>,
    /// What it listens to; `None`: nothing.
    pub listening: Option<Box<Subscription>>,
    /// The transaction that has just ended may have sent notifications to the client itself.
    pub has_notified: bool,
    /// Where it has advanced sequences.
    pub sequences: Memory,
    /// A transaction block that no server knows of.
    pub block: Block,
    /// The last link broke off inside a reply: an error message cannot be told apart from it.
    pub is_torn: bool,
}

/// How a link ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The server is free; the rest of the reply is in the client's outbound buffer.
    Complete,
    /// The client has said goodbye, or is gone; the reason for the log.
    ClientGone(&'static str),
    /// The server is gone or talks nonsense; the reason for the log.
    ServerLost(&'static str),
    /// The server turned out dead before anything had begun: everything is as before the link.
    Retry,
    /// The client gets this error and is closed; the server too unless it is clean.
    Fatal(ClientError),
}

/// What is left when a link is over.
#[derive(Debug)]
pub struct Parted {
    /// How it ended.
    pub end: End,
    /// The server; the caller releases or closes it.
    pub server: Box<PooledServer>,
    /// The clock at the last answer, µs.
    pub at_us: u64,
}

/// A client and a server, linked.
#[derive(Debug)]
pub struct Link<'a> {
    client: &'a mut ClientSide,
    server: Box<PooledServer>,
    /// Bytes of a request frame that are still to be passed on.
    in_frame: usize,
    /// Bytes of a reply frame that are still to be passed on (or swallowed).
    out_frame: usize,
    swallows_frame: bool,
    /// The server is free and everything it said is in the outbound buffer.
    complete: bool,
    /// The client said goodbye with requests outstanding: they are still carried out.
    leaving: bool,
    /// Tracked parameters reported since the last ReadyForQuery, as a set of positions.
    reported: u64,
    /// What RESET or DISCARD ALL has put back, to be restored at ReadyForQuery.
    reset: Reset,
    /// Writing to the server failed: only what it still says matters.
    server_deaf: bool,
    server_ended: bool,
    max_prepared: usize,
    /// The client's session is more than what PostgreSQL reports of it (session_state).
    keeps_state: bool,
    /// Unnamed statements stay prepared (keep_unnamed).
    keeps_unnamed: bool,
    heal: Heal,
    /// A statement on its way that names a prepared one.
    asked: Option<Box<Asked>>,
    /// Names of the client's that PostgreSQL may know as they are.
    own_names: OwnNames,
    /// Where our names stand in the client's Query, and by how much they are longer.
    moved: Moved,
    /// Messages of ours are in front of the client's Query.
    is_fronted: bool,
    /// How closely statements are watched.
    watch: Watch,
    ledger: Ledger,
    /// Functions that servers are asked about.
    asking: Option<Box<Asking>>,
    sequences: Sequences,
    hold: Hold,
    /// A BEGIN that was held, on its way.
    held: Option<Box<Held>>,
    /// The client waits until it is listened for.
    heard: Option<Pin<Box<Heard>>>,
    observed: Observed,
    timing: Timing,
}

impl<'a> Link<'a> {
    /// Joins the two; `since_us` is when the request came in, `wait_us` how long it waited for the
    /// server. The server is made to match the
    /// client's parameters in the same write as the client's first message.
    pub fn join(
        client: &'a mut ClientSide,
        server: Box<PooledServer>,
        max_prepared: usize,
        (since_us, wait_us): (u64, u64),
    ) -> Self {
        let timing = Timing::begin(client, since_us);
        let keeps_state = max_prepared > 0 && client.pool.session_state() != SessionMode::Pgbouncer;
        let keeps_unnamed = keeps_state && client.pool.keeps_unnamed();
        let watch = Watch::of(client.pool.session_state());
        let mut link = Self {
            client,
            server,
            in_frame: 0,
            out_frame: 0,
            swallows_frame: false,
            complete: false,
            leaving: false,
            reported: 0,
            reset: Reset::None,
            server_deaf: false,
            server_ended: false,
            max_prepared,
            keeps_state,
            keeps_unnamed,
            heal: Heal::default(),
            asked: None,
            own_names: OwnNames::default(),
            moved: Moved::default(),
            is_fronted: false,
            watch,
            ledger: Ledger::default(),
            asking: None,
            sequences: Sequences::default(),
            hold: Hold::default(),
            held: None,
            heard: None,
            observed: Observed::default(),
            timing,
        };
        let app = link.client.slot.activity.app();
        link.server
            .tracker
            .begin(link.client.lane, app, since_us, wait_us);
        link.match_session();
        if link.server.pending.own().is_none() {
            link.show_link();
        }
        link
    }

    /// From here on a cancel request of the client finds the server.
    fn show_link(&self) {
        self.client.slot.set_server_id(self.server.slot.id);
        self.server.slot.set_client_id(self.client.slot.id);
    }

    /// HOT. Relays until the link ends. Not cancel safe: dropping the link closes the server. By
    /// reference, because a link is large and a future would move it once more.
    pub async fn run(&mut self) -> End {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// HOT. What is left of a link that has ended so.
    pub fn part(mut self, mut end: End) -> Parted {
        if matches!(end, End::ServerLost(_)) && self.take_back() {
            end = End::Retry;
        }
        self.timing.end(self.client);
        let (now, is_idle) = match end {
            End::Complete => (self.timing.now(), true),
            _ => (now_us(), self.server.is_clean()),
        };
        self.forget_asked();
        self.observe_end(now, is_idle);
        self.client.is_torn = self.out_frame > 0 && !self.swallows_frame;
        self.server.is_cut |= self.is_cut();
        self.client.slot.set_server_id(0);
        Parted {
            end,
            server: self.server,
            at_us: self.timing.now(),
        }
    }

    /// Whether the server is left inside a frame, or is not there any more.
    fn is_cut(&self) -> bool {
        self.in_frame > 0
            || self.out_frame > 0
            || !self.client.inbound.unsent().is_empty()
            || !self.client.outbound.unparsed().is_empty()
            || self.server_deaf
            || self.server_ended
    }

    /// HOT. One turn.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if let Some(order) = self.client.slot.order() {
            return Poll::Ready(End::Fatal(order));
        }
        if let Err(end) = ready!(self.poll_listening(cx)) {
            return Poll::Ready(end);
        }
        match self.turn(cx) {
            Ok(()) if self.begin_when_due() => cx.waker().wake_by_ref(),
            Ok(()) if self.take_news() => cx.waker().wake_by_ref(),
            Ok(()) => {}
            Err(end) => return Poll::Ready(end),
        }
        match self.timing.overdue(self.client) {
            Some(error) => Poll::Ready(End::Fatal(error)),
            None => Poll::Pending,
        }
    }

    fn mode(&self) -> PoolMode {
        self.client.pool.mode()
    }
}
