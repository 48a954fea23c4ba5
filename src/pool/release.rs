//! HOT. Release: a server comes back from a client, or from a query of our own.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::Pool;
use super::pooled::PooledServer;
use super::state::Placed;
use crate::net::buf::Buf;
use crate::server::OwnQueryError;
use crate::stats::ServerState;
use crate::stats::clock::now_us;
use crate::wire::backend::tag;
use crate::wire::frame::{self, Peeked};

/// HOT. Gives a clean server back on `lane`. One that is not clean is closed.
pub fn release(server: Box<PooledServer>, lane: usize) {
    release_at(server, lane, now_us());
}

/// HOT. As `release`, with the time the caller has read already.
pub fn release_at(server: Box<PooledServer>, lane: usize, now: u64) {
    if !server.is_clean() {
        server.close("client disconnect while server was not ready");
        return;
    }
    server.slot.set_client_id(0);
    let pool = Arc::clone(server.pool());
    let placed = pool.lock().place(server, lane, now);
    match placed {
        Placed::Granted(waiter) => waiter.client.wake(),
        Placed::Idle => pool.after_idle(),
        Placed::Canceled => {}
        Placed::Close(server, reason) => server.close(reason),
    }
}

impl Pool {
    /// A server became idle with nobody waiting: pools that a cap has refused may evict it.
    #[inline]
    fn after_idle(&self) {
        if self.shared.caps.has_blocked() {
            for pool in self.shared.caps.take_blocked() {
                pool.launch_if_wanted();
            }
        }
    }

    /// The last cancel request aimed at a server is finished.
    pub fn cancel_finished(&self, server_id: u64, lane: usize) {
        let server = self.lock().take_canceled(server_id);
        if let Some(server) = server {
            release(server, lane);
        }
    }
}

/// Gives back a server whose session must be reset first: runs `sql` (server_reset_query) on the
/// lane, then releases; closes it when that fails.
pub fn reset(mut server: Box<PooledServer>, lane: usize, sql: String) {
    // Whoever comes next has none of these names.
    server.tracker.forget_prepared();
    test(server, lane, sql, "reset query failed");
}

/// A server is being tested; over however the test ends.
struct Testing(Arc<Pool>);

impl Testing {
    fn begin(pool: &Arc<Pool>) -> Self {
        pool.lock().tested += 1;
        Self(Arc::clone(pool))
    }
}

impl Drop for Testing {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.tested = state.tested.saturating_sub(1);
    }
}

/// Runs a query of ours on a server that nobody holds, then releases it.
pub(super) fn test(mut server: Box<PooledServer>, lane: usize, sql: String, failed: &'static str) {
    server.slot.set_state(ServerState::Tested);
    server.slot.set_client_id(0);
    let shared = Arc::clone(&server.pool().shared);
    let limit = server.pool().limits().connect_timeout;
    let testing = Testing::begin(server.pool());
    let task = async move {
        let tracked = Arc::clone(&server.pool().shared.tracked);
        let answer = within(limit, server.run_own(&sql, &tracked)).await;
        drop(testing);
        match answer {
            Ok(()) => release(server, lane),
            Err(_) => server.close(failed),
        }
    };
    match shared.lanes.get(lane) {
        Some(lane) => drop(lane.spawn(task)),
        None => drop(task),
    }
}

/// A query of ours, with server_connect_timeout as its limit; zero is none.
pub(super) async fn within(
    limit: Duration,
    query: impl Future<Output = Result<(), OwnQueryError>>,
) -> Result<(), OwnQueryError> {
    if limit.is_zero() {
        return query.await;
    }
    tokio::time::timeout(limit, query)
        .await
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

/// Reads what an idle server said unasked. Parameters are taken over; a notification for nobody is
/// dropped; anything else (an error, a notice, EOF) makes the server unusable: false.
pub(super) fn absorb(server: &mut PooledServer) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    let mut buf = Buf::default();
    loop {
        let read = server.stream.poll_read(&mut cx, buf.space());
        match read {
            // Again, because Pending may also mean that the task's budget is used up.
            Poll::Pending => return buf.is_empty() && server.stream.is_quiet(),
            Poll::Ready(Ok(n)) if n > 0 => buf.received(n),
            Poll::Ready(_) => return false,
        }
        while let Peeked::Header(header) = frame::peek(buf.unparsed(), u32::MAX) {
            if buf.unparsed().len() < header.total {
                break;
            }
            match header.tag {
                tag::PARAMETER_STATUS => {
                    let tracked = Arc::clone(&server.pool().shared.tracked);
                    let whole = buf.unparsed()[..header.total].to_vec();
                    server.note_parameter(&whole, &tracked);
                }
                tag::NOTIFICATION => {
                    log::warn!("got packet 'A' from server when not linked");
                }
                _ => return false,
            }
            buf.discard(header.total);
        }
        if !buf.has_space() {
            return false;
        }
    }
}
