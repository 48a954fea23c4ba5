//! The front door: an accepted stream becomes a client, a console session, a cancel request or
//! nothing.
//!
//! Owns: the answers that a login gets from databases, pools and limits, and what becomes of it.
//! May touch: `pool`, `stats`, `session`. Never: the bytes of the login (`login/`), listening.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;

use super::login::{self, ConsoleRight, Gate, LoggedIn, Login, Outcome, Reported, Target, Who};
use super::{CancelKeys, Client, ClientTimeouts};
use crate::auth::scram::KeyCache;
use crate::config::{Config, Secret};
use crate::error::ClientError;
use crate::link::ClientSide;
use crate::net::buf::Buf;
use crate::net::tls::ClientTls;
use crate::net::{Endpoint, Stream};
use crate::pool::{ClientPermit, Database, Directory, Live, ProcessState, Welcome};
use crate::stats::events::Event;
use crate::stats::slots::Identity;
use crate::stats::{ClientSlot, Count};

/// Takes a client of the database `pgbouncer` over; it is on its lane when this is called.
pub type ConsoleDoor = Box<dyn Fn(ConsoleClient) + Send + Sync>;

/// What every accepted stream meets.
pub struct Front {
    /// Databases, pools, limits.
    pub directory: Arc<Directory>,
    /// Who may be cancelled.
    pub cancel_keys: Arc<CancelKeys>,
    /// Where console sessions go.
    pub console: ConsoleDoor,
}

/// A console session after its login; dropping it gives its place back.
#[derive(Debug)]
pub struct ConsoleClient {
    /// The connection, welcomed.
    pub stream: Stream,
    /// Who it is.
    pub who: Who,
    /// What it may do.
    pub right: ConsoleRight,
    /// Its row in SHOW CLIENTS.
    pub slot: Arc<ClientSlot>,
    /// Bytes that came behind the login.
    pub leftover: Vec<u8>,
    /// The client's place, given back on drop.
    _seat: Seat,
}

impl Front {
    /// Starts a client on a lane. `permit` was taken when the stream was accepted.
    pub fn receive(self: &Arc<Self>, stream: Stream, permit: ClientPermit, lane: usize) {
        let front = Arc::clone(self);
        if let Some(lane) = self.directory.shared.lanes.get(lane) {
            let index = lane.index;
            lane.spawn(async move { front.welcome(stream, permit, index).await });
        }
    }

    async fn welcome(self: Arc<Self>, mut stream: Stream, permit: ClientPermit, lane: usize) {
        if let Err(error) = stream.attach() {
            log::error!("cannot serve a new client: {error}");
            return;
        }
        // A client that is gone again has no address any more.
        let (Ok(remote), Ok(local)) = (stream.peer(), stream.local()) else {
            return;
        };
        let gate = FrontGate {
            seat: Seat::take(&self, permit, (remote, local), lane),
            who: None,
            database: None,
        };
        let slot = Arc::clone(&gate.seat.slot);
        let limit = gate.live().config.settings.client_login_timeout;
        // Boxed: the login is large and short, the task it runs in is neither afterwards.
        let outcome = Box::pin(Login::open(stream, gate).run(limit, order_for(slot))).await;
        match outcome {
            Outcome::LoggedIn(logged_in) => self.let_in(*logged_in),
            Outcome::Cancel { stream, key, .. } => self.cancel(stream, key).await,
            Outcome::Ended { gate, error } => gate.count_failure(error.as_ref()),
        }
    }

    fn let_in(&self, logged_in: LoggedIn<FrontGate>) {
        let LoggedIn { gate, target, .. } = &logged_in;
        let events = &gate.seat.directory.shared.events;
        events.count(Event::ClientLogin, &logged_in.who.database, "ok");
        let slot = Arc::clone(&gate.seat.slot);
        slot.identify(Identity {
            database: Arc::clone(&logged_in.who.database),
            user: Arc::clone(&logged_in.who.user),
            tls: logged_in.who.tls.clone(),
        });
        match (target.clone(), logged_in.reported.clone()) {
            (Target::Database(database), Some(reported)) => {
                start_client(logged_in, &database, &reported);
            }
            (Target::Console(right), _) => (self.console)(ConsoleClient {
                stream: logged_in.stream,
                who: logged_in.who,
                right,
                slot,
                leftover: logged_in.leftover,
                _seat: logged_in.gate.seat,
            }),
            // The login refuses unknown databases itself.
            (Target::Database(_) | Target::Unknown, _) => {}
        }
    }

    /// The requester learns that its request is through by the connection being closed.
    async fn cancel(&self, stream: Stream, key: Option<u64>) {
        let request = key.and_then(|key| self.cancel_keys.cancel(key, &self.directory));
        if let Some(request) = request {
            let _ = request.await;
        }
        drop(stream);
    }
}

/// Waits for an order to close the client.
fn order_for(slot: Arc<ClientSlot>) -> impl Future<Output = ClientError> {
    poll_fn(move |cx| {
        slot.set_waker(cx.waker());
        slot.order().map_or(Poll::Pending, Poll::Ready)
    })
}

fn start_client(logged_in: LoggedIn<FrontGate>, database: &Arc<Database>, reported: &Welcome) {
    let LoggedIn { mut gate, who, .. } = logged_in;
    let Some(permit) = gate.seat.permit.take() else {
        return;
    };
    let seat = &gate.seat;
    let shared = Arc::clone(&seat.directory.shared);
    if let Some(captured) = logged_in.captured {
        shared.scram_keys.insert(Arc::clone(&who.user), captured);
    }
    let pool = seat.directory.pool(database, &who.user);
    pool.client_arrived();
    pool.counters.lane(seat.lane).add(Count::ClientLogins, 1);
    if let Some(lane) = shared.lanes.get(seat.lane) {
        lane.client_arrived();
    }
    let wished = logged_in.parameters.iter().map(|(n, v)| (&**n, &**v));
    let wished = shared.tracked.set_of(wished);
    let params = shared.tracked.filled(&wished, &reported.tracked);
    seat.slot
        .set_application_name(params.application_name().cloned());
    let live = shared.live();
    let query = pool.timeouts.load().query;
    let timeouts = ClientTimeouts::resolve(&live.config, &database.entry(), &who.user, query);
    super::serve::start(Client {
        side: ClientSide {
            stream: logged_in.stream,
            inbound: Buf::holding(&logged_in.leftover),
            outbound: Buf::default(),
            params,
            statements: None,
            slot: Arc::clone(&seat.slot),
            pool,
            lane: seat.lane,
            max_packet: live.config.settings.max_packet_size,
            no_simple_query: live.config.settings.disable_pqexec,
            is_torn: false,
        },
        directory: Arc::clone(&seat.directory),
        cancel_keys: Arc::clone(&seat.cancel_keys),
        cancel_key: logged_in.cancel_key,
        timeouts,
        skip: 0,
        _permit: permit,
    });
}

/// A client's slot, cancel key and place in the limits. Dropping it gives them back, unless the
/// permit was taken out: then a [`Client`] does.
#[derive(Debug)]
struct Seat {
    directory: Arc<Directory>,
    cancel_keys: Arc<CancelKeys>,
    slot: Arc<ClientSlot>,
    lane: usize,
    cancel_key: Option<u64>,
    permit: Option<ClientPermit>,
}

impl Seat {
    fn take(
        front: &Front,
        permit: ClientPermit,
        (remote, local): (Endpoint, Endpoint),
        lane: usize,
    ) -> Self {
        let registry = &front.directory.shared.registry;
        Self {
            slot: registry.add_client(remote, local, lane),
            directory: Arc::clone(&front.directory),
            cancel_keys: Arc::clone(&front.cancel_keys),
            lane,
            cancel_key: None,
            permit: Some(permit),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.permit.is_none() {
            return;
        }
        self.directory.shared.registry.forget_client(self.slot.id);
        if let Some(key) = self.cancel_key {
            self.cancel_keys.forget(key);
        }
    }
}

/// Answers one login.
#[derive(Debug)]
pub struct FrontGate {
    seat: Seat,
    who: Option<Who>,
    /// The database, once it is known to exist: names of strangers are no metric labels.
    database: Option<Arc<str>>,
}

impl FrontGate {
    fn count_failure(&self, error: Option<&ClientError>) {
        let events = &self.seat.directory.shared.events;
        let database = self.database.as_deref().unwrap_or("");
        match error {
            Some(error) => {
                events.count(Event::ClientLogin, database, error.reason);
                events.count(Event::ClientError, database, error.reason);
            }
            None if self.who.is_some() => events.count(Event::ClientLogin, database, "client_gone"),
            // A probe, not a login.
            None => {}
        }
    }
}

impl login::Live for Live {
    fn config(&self) -> &Config {
        &self.config
    }
    fn secret(&self, user: &str) -> Option<&Secret> {
        self.userlist.get(user)
    }
    fn client_tls(&self) -> Option<&ClientTls> {
        self.client_tls.as_deref()
    }
}

impl Reported for Welcome {
    fn untracked(&self) -> impl Iterator<Item = (&str, &str)> {
        self.untracked.iter().map(|(n, v)| (&**n, &**v))
    }
    fn tracked(&self, index: usize) -> Option<&str> {
        self.tracked.get(index).map(AsRef::as_ref)
    }
}

impl Gate for FrontGate {
    type Live = Live;
    type Database = Arc<Database>;
    type Reported = Welcome;

    fn live(&self) -> Arc<Live> {
        self.seat.directory.shared.live_arc()
    }

    fn key_cache(&self) -> &Arc<KeyCache> {
        &self.seat.directory.shared.key_cache
    }

    fn tracked_names(&self) -> impl Iterator<Item = &str> + Send {
        self.seat.directory.shared.tracked.names()
    }

    fn log_prefix(&self) -> String {
        let slot = &self.seat.slot;
        match &self.who {
            Some(who) => slot.log_prefix_as(&who.database, &who.user),
            None => slot.log_prefix(),
        }
    }

    fn admit(&self, is_console: bool) -> Result<(), ClientError> {
        if is_console {
            return Ok(());
        }
        if matches!(
            self.seat.directory.state(),
            ProcessState::WaitForServers | ProcessState::WaitForClients
        ) {
            return Err(ClientError::pooler_shutting_down());
        }
        let shared = &self.seat.directory.shared;
        let most = shared.live().config.settings.max_client_conn;
        // This client is counted already, so exactly the limit fits.
        if shared.client_caps.total() > most as usize {
            return Err(ClientError::max_client_conn());
        }
        Ok(())
    }

    fn find_database(&self, name: &str) -> Option<Arc<Database>> {
        self.seat.directory.find(name)
    }

    fn forced_user(&self, database: &Arc<Database>) -> Option<Arc<str>> {
        database.entry().user.as_deref().map(Arc::from)
    }

    fn claim(&mut self, who: &Who, target: &Target<Arc<Database>>) -> Result<(), ClientError> {
        let live = self.live();
        let config = &live.config;
        let most = match target {
            Target::Database(database) => config.max_db_client_connections(&database.entry()),
            Target::Console(_) => config.settings.max_db_client_connections,
            Target::Unknown => 0,
        };
        let most_of_user = config.max_user_client_connections(&who.user);
        let Some(permit) = &mut self.seat.permit else {
            return Ok(());
        };
        permit.name(
            (&who.database, most as usize),
            (&who.user, most_of_user as usize),
        )?;
        if !matches!(target, Target::Unknown) {
            self.database = Some(Arc::clone(&who.database));
        }
        Ok(())
    }

    fn identify(&mut self, who: &Who) {
        self.who = Some(who.clone());
    }

    fn check_enabled(&self, database: &Arc<Database>) -> Result<(), ClientError> {
        use std::sync::atomic::Ordering::Relaxed;
        if database.disabled.load(Relaxed) {
            return Err(ClientError::database_disabled(&database.name));
        }
        Ok(())
    }

    async fn welcome(
        &self,
        database: &Arc<Database>,
        user: &Arc<str>,
    ) -> Result<Arc<Welcome>, ClientError> {
        let pool = self.seat.directory.pool(database, user);
        pool.welcome().await
    }

    fn register_cancel_key(&mut self, key: u64) -> bool {
        let is_new = self.seat.cancel_keys.register(key, &self.seat.slot);
        if is_new {
            self.seat.cancel_key = Some(key);
        }
        is_new
    }
}
