//! The front door: an accepted connection becomes a client, a console, or a cancel request.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use super::cancel::CancelKeys;
use super::gate::DirectoryGate;
use super::login::{ConsoleRight, LoggedIn, Login, Outcome, Target};
use super::serve::{self, Client};
use super::timeouts::ClientTimeouts;
use crate::error::ClientError;
use crate::link::{ClientSide, UnnamedSummary};
use crate::net::buf::Buf;
use crate::net::{Endpoint, Stream};
use crate::pool::Directory;
use crate::session::block::Block;
use crate::session::prepared::Unnamed;
use crate::session::sequences::Memory;
use crate::session::state::SessionState;
use crate::stats::events::Event;
use crate::stats::slots::Identity;
use crate::stats::{ClientSlot, ClientState, Count};

/// A console login, on its way to the control thread.
pub struct ConsoleEntrant {
    /// The connection, detached: attach it where it is served.
    pub stream: Stream,
    /// What it may do.
    pub right: ConsoleRight,
    /// Its slot.
    pub slot: Arc<ClientSlot>,
    /// What it sent behind its login.
    pub leftover: Vec<u8>,
    /// Its place in the limits; gives everything back when dropped.
    pub gate: DirectoryGate,
}

/// Takes console logins; the console is above this room.
pub trait ConsoleDoor: Send + Sync {
    /// Serves it until it leaves.
    fn enter(&self, entrant: ConsoleEntrant);
}

/// What every new connection needs.
pub struct Front {
    /// Databases and pools.
    pub directory: Arc<Directory>,
    /// Cancel keys.
    pub cancel_keys: Arc<CancelKeys>,
    /// Where console logins go.
    pub console: Arc<dyn ConsoleDoor>,
}

impl Front {
    /// Takes an accepted, detached connection to a lane.
    pub fn admit(self: &Arc<Self>, mut stream: Stream, lane: usize) {
        let shared = &self.directory.shared;
        let Some(on) = shared.lanes.get(lane).cloned() else {
            return;
        };
        // The permit counts from here, so that a burst cannot slip in between.
        let permit = shared.client_caps.arrive();
        let front = Arc::clone(self);
        on.spawn(async move {
            if stream.attach().is_err() {
                return;
            }
            let shared = &front.directory.shared;
            if let Some(fd) = stream.socket().borrow_fd()
                && !stream.socket().is_unix()
            {
                shared.live().socket_options.apply_tcp(&fd);
            }
            let remote = stream.peer().unwrap_or(Endpoint::UNIX);
            let local = stream.local().unwrap_or(Endpoint::UNIX);
            let slot = shared.registry.add_client(remote, local, lane);
            let gate = DirectoryGate {
                directory: Arc::clone(&front.directory),
                cancel_keys: Arc::clone(&front.cancel_keys),
                slot,
                permit,
                who: None,
                cancel_key: None,
            };
            // Boxed: the login's state is large and short-lived.
            Box::pin(front.log_in(stream, gate)).await;
        });
    }

    async fn log_in(self: Arc<Self>, stream: Stream, gate: DirectoryGate) {
        let slot = Arc::clone(&gate.slot);
        let limit = self
            .directory
            .shared
            .live()
            .config
            .settings
            .client_login_timeout;
        match Login::open(stream, gate).run(limit, ordered(&slot)).await {
            Outcome::LoggedIn(entered) => self.logged_in(*entered),
            // libpq takes the end of the connection to mean that the cancel has gone through.
            Outcome::Cancel { key, gate, stream } => {
                if let Some(who) = key.and_then(|key| gate.cancel_keys.linked(key)) {
                    gate.slot.identify(who);
                    gate.slot.set_state(ClientState::ActiveCancel);
                }
                if let Some(done) = key.and_then(|k| gate.cancel_keys.cancel(k, &gate.directory)) {
                    let _ = done.await;
                }
                drop(stream);
            }
            Outcome::Ended { gate, error } => {
                if let Some(error) = error {
                    let database = gate.who.as_ref().map_or("", |who| &*who.database);
                    let events = &gate.directory.shared.events;
                    events.count(Event::ClientLogin, database, error.reason);
                    events.count(Event::ClientError, database, error.reason);
                }
            }
        }
    }

    fn logged_in(&self, entered: LoggedIn<DirectoryGate>) {
        let events = &self.directory.shared.events;
        events.count(Event::ClientLogin, &entered.who.database, "ok");
        let who = &entered.who;
        entered.gate.slot.identify(Identity {
            database: Arc::clone(&who.database),
            user: Arc::clone(&who.user),
            tls: who.tls.clone(),
        });
        match entered.target {
            Target::Console(right) => {
                let mut named = entered.parameters.iter();
                let name = named.rfind(|(name, _)| name == "application_name");
                let name = name.map(|(_, value)| Arc::from(value.as_str()));
                entered.gate.slot.set_application_name(name);
                let mut stream = entered.stream;
                if stream.detach().is_ok() {
                    self.console.enter(ConsoleEntrant {
                        stream,
                        right,
                        slot: Arc::clone(&entered.gate.slot),
                        leftover: entered.leftover,
                        gate: entered.gate,
                    });
                }
            }
            Target::Database(_) => {
                if let Some(client) = to_client(entered) {
                    serve::start(Box::new(client));
                }
            }
            Target::Unknown => {}
        }
    }
}

/// Resolves when the client is ordered to close during its login.
async fn ordered(slot: &ClientSlot) -> ClientError {
    poll_fn(|cx| {
        slot.set_waker(cx.waker());
        slot.order().map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// A logged-in client, ready to be served; `None` when its connection cannot be handed on.
fn to_client(entered: LoggedIn<DirectoryGate>) -> Option<Client> {
    let LoggedIn {
        gate,
        stream,
        who,
        target: Target::Database(database),
        parameters,
        settings,
        reported: Some(welcome),
        leftover,
        ..
    } = entered
    else {
        return None;
    };
    let directory = Arc::clone(&gate.directory);
    let shared = &directory.shared;
    let live = shared.live();
    let pool = directory.pool(&database, &who.user);
    let started_with = shared
        .tracked
        .set_of(parameters.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    let params = shared.tracked.filled(&started_with, &welcome.tracked);
    let slot = Arc::clone(&gate.slot);
    let application = params.application_name().cloned();
    let app = application.as_deref().unwrap_or_default();
    slot.activity.set_app(shared.insight.names.app_id(app));
    slot.set_application_name(application);
    let lane = slot.lane();
    pool.client_arrived();
    pool.counters.lane(lane).add(Count::ClientLogins, 1);
    if let Some(lane) = shared.lanes.get(lane) {
        lane.client_arrived();
    }
    let timeouts = ClientTimeouts::resolve(&pool, &who.user);
    let global = &live.config.settings;
    let (max_packet, no_simple_query) = (global.max_packet_size, global.disable_pqexec);
    drop(live);
    let own = shared.settings.startup(settings);
    let start = shared.settings.over(&pool.base_settings(), &own);
    let mut client = Client {
        side: ClientSide {
            stream,
            inbound: Buf::holding(&leftover),
            outbound: Buf::default(),
            startup: Arc::clone(&params),
            params,
            statements: None,
            slot,
            pool,
            lane,
            max_packet,
            no_simple_query,
            unnamed: UnnamedSummary::default(),
            session: SessionState::with_startup(start),
            listens: Vec::new(),
            listening: None,
            has_notified: false,
            sequences: Memory::default(),
            block: Block::None,
            unnamed_statement: Unnamed::None,
            is_torn: false,
        },
        directory,
        timeouts,
        skip: 0,
        answers: false,
        gate,
    };
    client.resolve_answers();
    Some(client)
}
