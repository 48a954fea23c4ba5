//! Cancel requests: to exactly the right backend, and to none when the query has ended.
//!
//! A request runs on the lane of the client that it is for. That lane runs nothing else meanwhile,
//! so between reading the link and marking the server nothing can come apart; a marked server is not
//! given to anybody until every request aimed at it is finished (surface 6.5).

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio::task::JoinHandle;

use crate::pool::{Directory, PooledServer};
use crate::server;
use crate::stats::slots::Identity;
use crate::stats::{ClientSlot, ServerSlot};

/// Longest the request of a client that vanished may take; nobody waits for it.
const ABANDONED_LIMIT: Duration = Duration::from_secs(10);

/// Clients by the key they were given.
#[derive(Debug, Default)]
pub struct CancelKeys {
    clients: DashMap<u64, Arc<ClientSlot>>,
}

impl CancelKeys {
    /// Takes a key for a client; false when it is in use (draw another).
    pub fn register(&self, key: u64, client: &Arc<ClientSlot>) -> bool {
        let mut is_new = false;
        self.clients.entry(key).or_insert_with(|| {
            is_new = true;
            Arc::clone(client)
        });
        is_new
    }

    /// Who the client of a key is, if it has a server to be cancelled.
    pub fn linked(&self, key: u64) -> Option<Identity> {
        let client = self.clients.get(&key)?;
        client
            .identity()
            .filter(|_| client.server_id() != 0)
            .cloned()
    }

    /// The client is gone.
    pub fn forget(&self, key: u64) {
        self.clients.remove(&key);
    }

    /// Carries out a request; wait for the handle before closing the connection that asked. There
    /// is never an answer: unknown keys and idle clients are silence.
    pub fn cancel(&self, key: u64, directory: &Arc<Directory>) -> Option<JoinHandle<()>> {
        let client = self.clients.get(&key).map(|client| Arc::clone(&client))?;
        on_lane_of(client, Arc::clone(directory))
    }
}

/// Cancels what runs for a client on behalf of the console; returns when the request has been
/// delivered or is not needed any more.
pub async fn cancel_client(client: &Arc<ClientSlot>, directory: &Arc<Directory>) {
    if let Some(done) = on_lane_of(Arc::clone(client), Arc::clone(directory)) {
        let _ = done.await;
    }
}

fn on_lane_of(client: Arc<ClientSlot>, directory: Arc<Directory>) -> Option<JoinHandle<()>> {
    let index = client.lane();
    let lane = directory.shared.lanes.get(index).cloned()?;
    Some(lane.spawn(async move {
        if client.lane() == index {
            run(&client, &directory, index).await;
            return;
        }
        // RACE: the client moved between the look-up and now; follow it.
        let moved: Option<JoinHandle<()>> = on_lane_of(client, directory);
        if let Some(done) = moved {
            let _ = done.await;
        }
    }))
}

async fn run(client: &ClientSlot, directory: &Directory, lane: usize) {
    let server_id = client.server_id();
    let Some(server) = directory.shared.registry.server(server_id) else {
        // On the console it ends a PAUSE that waits; an ordinary idle client never looks.
        client.ask_cancel();
        return;
    };
    server.begin_cancel();
    let wanted = || client.server_id() == server_id;
    let request = send(directory, &server, wanted);
    let limit = directory.shared.live().config.settings.cancel_wait_timeout;
    let is_over = if limit.is_zero() {
        request.await
    } else {
        tokio::time::timeout(limit, request).await.unwrap_or(false)
    };
    if !is_over {
        // The request may still be on its way, and would hit whoever had the server then.
        server.set_close_needed();
    }
    if server.end_cancel() {
        let pool = directory.shared.pool(&server.database, &server.user);
        if let Some(pool) = pool {
            pool.cancel_finished(server_id, lane);
        }
    }
}

/// Connects to the server's address and sends its key, unless the query has ended meanwhile.
async fn send(directory: &Directory, server: &ServerSlot, wanted: impl Fn() -> bool) -> bool {
    let shared = &directory.shared;
    let pool = shared.pool(&server.database, &server.user);
    let Some(address) = pool.and_then(|pool| pool.cancel_address(server)) else {
        return true;
    };
    let options = shared.live().socket_options;
    let sent = server::send_cancel(&address, &server.cancel_key, &options, wanted).await;
    if let Err(error) = &sent {
        log::debug!("{}cancel request failed: {error}", server.log_prefix());
    }
    sent.is_ok()
}

/// A client vanished inside a transaction with a query running: the backend is told to stop, since
/// it would notice only when it next writes. The server is closed by the caller, never reused.
pub(super) fn cancel_abandoned(directory: &Arc<Directory>, server: &PooledServer) {
    let slot = Arc::clone(&server.slot);
    let directory = Arc::clone(directory);
    let lanes = directory.shared.lanes.clone();
    if let Some(lane) = lanes.get(server.lane) {
        lane.spawn(async move {
            let request = send(&directory, &slot, || true);
            let _ = tokio::time::timeout(ABANDONED_LIMIT, request).await;
        });
    }
}
