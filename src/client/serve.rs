//! HOT. A logged-in client from its first query to its goodbye.
//!
//! One query, read from top to bottom: `next_request` waits without a buffer, `checkout` gets a
//! server or queues (`queue.rs`), the link relays, `after_link` gives the server back, and only then is the rest
//! of the reply written.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::cancel;
use super::close::{Departure, Goodbye};
use super::gate::DirectoryGate;
use super::idle::Next;
use super::timeouts::ClientTimeouts;
use crate::error::ClientError;
use crate::link::{self, ClientSide, End, Link, Parted};
use crate::pool::{self, Checkout, Directory, PooledServer, ProcessState};
use crate::stats::clock::now_us;
use crate::wire::backend::Status;

/// Longest a closing client is waited for to take its last bytes.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// What a server is told that has listened for a client, before anybody else has it.
const UNLISTEN: &str = "UNLISTEN *";

/// Servers that a transaction is begun on until one lives: those of a pool die together.
const SERVERS_TRIED: usize = 64;

/// A logged-in client. Its whole state is this one value, so that it can change lanes.
#[derive(Debug)]
pub struct Client {
    pub(super) side: ClientSide,
    pub(super) directory: Arc<Directory>,
    pub(super) timeouts: ClientTimeouts,
    /// Bytes of a message that is dropped as it arrives.
    pub(super) skip: usize,
    /// Statements that need no server are answered without one.
    pub(super) answers: bool,
    /// Its place in the limits and its cancel key, given back when it is dropped.
    #[allow(dead_code)]
    pub(super) gate: DirectoryGate,
}

/// Starts (or goes on with) a client on a lane. Boxed, because a value that is held across awaits
/// costs its size several times over in the task of every idle client.
pub fn start(client: Box<Client>) {
    let lanes = &client.directory.shared.lanes;
    if let Some(lane) = lanes.get(client.side.lane).cloned() {
        lane.spawn(serve(client));
    }
}

async fn serve(mut client: Box<Client>) {
    if client.side.stream.attach().is_err() {
        return;
    }
    poll_fn(|cx| {
        client.side.slot.set_waker(cx.waker());
        Poll::Ready(())
    })
    .await;
    loop {
        match client.next_request().await {
            Next::Request => {}
            Next::Move => match client.change_lane() {
                Some(client) => return start(client),
                None => return,
            },
            Next::Leave(departure) => return Box::pin(client.leave(departure)).await,
            Next::Open => match client.open_link().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(departure) => return Box::pin(client.leave(departure)).await,
            },
        }
        if let Err(departure) = client.one_link().await {
            return Box::pin(client.leave(departure)).await;
        }
    }
}

impl Client {
    /// HOT. From a request to the server's release.
    async fn one_link(&mut self) -> Result<(), Departure> {
        let since = now_us();
        self.side.slot.set_request_us(since);
        for _ in 0..SERVERS_TRIED {
            let (server, wait_us) = self.checkout(since).await?;
            let is_done = self.relay(server, (since, wait_us)).await?;
            if is_done || self.side.inbound.is_empty() {
                return self.finish().await;
            }
        }
        Err(Departure::error(ClientError::server_crashed()))
    }

    /// HOT. A BEGIN is held: an idle server is taken for it, as PgBouncer would; where there is none
    /// the client need not wait for one yet. False: it waits for an answer, and its server is dead.
    async fn open_link(&mut self) -> Result<bool, Departure> {
        let since = now_us();
        let side = &self.side;
        let idle = side
            .pool
            .checkout_idle(side.lane, &side.slot, since, side.sequences);
        let Some(server) = idle else {
            return Ok(true);
        };
        let is_done = self.relay(server, (since, 0)).await? || self.side.inbound.is_empty();
        if is_done {
            self.finish().await?;
        }
        Ok(is_done)
    }

    /// HOT. The end of the reply goes to the client.
    async fn finish(&mut self) -> Result<(), Departure> {
        if self.must_settle() {
            Box::pin(self.settle_listening()).await?;
        }
        link::flush(&mut self.side).await.map_err(Departure::gone)
    }

    /// HOT. One link; false when the server was dead before anything had begun.
    async fn relay(
        &mut self,
        server: Box<PooledServer>,
        times: (u64, u64),
    ) -> Result<bool, Departure> {
        let max_prepared = self.side.pool.max_prepared();
        let mut link = Link::join(&mut self.side, server, max_prepared, times);
        let end = link.run().await;
        let parted = link.part(end);
        self.after_link(parted)
    }

    /// HOT. A server, at once or after a wait of so many µs.
    async fn checkout(&mut self, since: u64) -> Result<(Box<PooledServer>, u64), Departure> {
        let mut waited = false;
        loop {
            if self.directory.state() == ProcessState::WaitForServers {
                return Err(Departure::error(ClientError::server_shutting_down()));
            }
            let pool = &self.side.pool;
            let memory = self.side.sequences;
            match pool.checkout(self.side.lane, &self.side.slot, since, memory) {
                Checkout::Server(server) => {
                    let wait_us = if waited { self.wait_ended(since) } else { 0 };
                    return Ok((server, wait_us));
                }
                Checkout::Refused(error) => return Err(Departure::error(error)),
                Checkout::Queued(waiting) => {
                    waited = true;
                    if let Some(server) = self.wait(waiting, since).await? {
                        return Ok((server, self.wait_ended(since)));
                    }
                }
            }
        }
    }

    fn wait_ended(&self, since: u64) -> u64 {
        let counters = self.side.pool.counters.lane(self.side.lane);
        let wait_us = now_us().saturating_sub(since);
        counters.add_wait(wait_us);
        wait_us
    }

    /// HOT. The server goes back, or is closed; an error means that the client leaves, false that
    /// nothing has happened yet and another server is to be tried.
    // The error is the client's end: it is moved once, and a box would cost more.
    #[allow(clippy::result_large_err)]
    fn after_link(&mut self, parted: Parted) -> Result<bool, Departure> {
        let Parted { end, server, at_us } = parted;
        match end {
            End::Complete => {
                self.give_back(server, at_us);
                Ok(true)
            }
            End::Retry => {
                server.close("server conn crashed?");
                Ok(false)
            }
            End::ClientGone(reason) => {
                self.part_from(server, None);
                Err(Departure::gone(reason))
            }
            End::ServerLost(reason) => {
                server.close(reason);
                Err(Departure::error(ClientError::server_crashed()))
            }
            End::Fatal(error) => {
                self.part_from(server, Some(&error));
                Err(Departure::error(error))
            }
        }
    }

    /// HOT. A clean server: released, or reset first where the mode or a setting asks for it.
    fn give_back(&self, server: Box<PooledServer>, at_us: u64) {
        let lane = self.side.lane;
        if server.is_listening {
            return pool::reset(server, lane, UNLISTEN.to_owned());
        }
        match self.side.pool.reset_query() {
            Some(sql) => pool::reset(server, lane, sql),
            None => pool::release_at(server, lane, at_us),
        }
    }

    /// The client leaves: a clean server goes back, another is closed, never reset.
    fn part_from(&self, server: Box<PooledServer>, error: Option<&ClientError>) {
        if server.is_clean() {
            return self.give_back(server, now_us());
        }
        let reason = match error.map(|error| error.reason) {
            Some("query_timeout") => "query timeout",
            Some("idle_transaction_timeout") => "idle transaction timeout",
            Some("transaction_timeout") => "transaction timeout",
            Some("database_removed") => "database removed",
            _ if server.is_cut && server.status == Status::Idle && server.pending.is_empty() => {
                "client disconnect before everything was sent to the server"
            }
            _ if server.pending.is_empty() => "client disconnect while server was not ready",
            _ => "client disconnected with query in progress",
        };
        // Its transaction is lost in any case: the backend need not work on for nobody.
        if server.status != Status::Idle && !server.pending.is_empty() {
            cancel::cancel_abandoned(&self.directory, &server);
        }
        server.close(reason);
    }

    /// Takes the client to another lane; `None` when its socket cannot be moved.
    fn change_lane(mut self: Box<Self>) -> Option<Box<Self>> {
        let lanes = &self.directory.shared.lanes;
        let target = lanes
            .iter()
            .filter(|lane| lane.index != self.side.lane)
            .min_by_key(|lane| lane.clients())?;
        self.side.stream.detach().ok()?;
        lanes[self.side.lane].client_left();
        target.client_arrived();
        self.side.lane = target.index;
        self.side.slot.set_lane(target.index);
        Some(self)
    }

    /// Last words, then the end.
    async fn leave(mut self: Box<Self>, departure: Departure) {
        let goodbye = Goodbye::of(&self, &departure);
        if let Some(frame) = goodbye.frame {
            let write = async {
                link::flush(&mut self.side).await.ok()?;
                self.side.stream.write_all(&frame).await.ok()?;
                self.side.stream.shutdown().await.ok()
            };
            let _ = tokio::time::timeout(LAST_WRITE, write).await;
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let shared = &self.directory.shared;
        self.side.pool.client_left();
        if let Some(lane) = shared.lanes.get(self.side.lane) {
            lane.client_left();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The aim is 2 kB of memory per idle client, everything included.
    #[test]
    fn an_idle_client_is_small() {
        fn size_of_future<F, A>(_: impl Fn(A) -> F) -> usize {
            std::mem::size_of::<F>()
        }
        let task = size_of_future(serve);
        let client = std::mem::size_of::<Client>();
        assert!(task <= 1152, "the task of a client has {task} bytes");
        assert!(client <= 512, "a client has {client} bytes");
    }
}
