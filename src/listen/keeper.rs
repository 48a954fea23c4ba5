//! The task that keeps the listening connection: opens it, opens it again after a loss, closes it
//! when nobody has listened for a while.
//!
//! Owns: the pauses between attempts and the words in the log. Mirrors: server_connect_timeout,
//! server_login_retry.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::line::{End, Line};
use super::{Hub, ListenError};
use crate::server::{Fresh, OpenError, open};

/// The first pause after a loss; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// A connection that has lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(10);
/// How often a paused pool is looked at.
const WHILE_PAUSED: Duration = Duration::from_millis(333);
/// How the connection names itself in pg_stat_activity.
const APPLICATION: &str = "pgweir listen";

/// Keeps the connection of a hub for as long as somebody listens. The task's owner is the hub, which
/// ends it by closing.
pub(super) async fn keep(hub: Arc<Hub>) {
    let mut pause = FIRST_PAUSE;
    let mut is_first = true;
    while !may_stop(&hub) {
        if hub.upstream.is_paused() {
            sleep(WHILE_PAUSED).await;
            continue;
        }
        hub.take_renewal();
        let began = Instant::now();
        match connect(&hub).await {
            Ok(fresh) => {
                let end = use_line(&hub, fresh, is_first).await;
                is_first = false;
                log_end(&hub, &end);
                if matches!(end, End::Unused | End::Renewed) {
                    pause = FIRST_PAUSE;
                    continue;
                }
            }
            Err(None) => return hub.close(),
            Err(Some(error)) => refused(&hub, &error),
        }
        if began.elapsed() > GOOD {
            pause = FIRST_PAUSE;
        }
        wait(&hub, pause).await;
        let longest = hub.upstream.times().retry.max(FIRST_PAUSE);
        pause = (2 * pause).min(longest);
    }
}

/// Whether the task's work is done; if so, the next client starts another.
fn may_stop(hub: &Hub) -> bool {
    let mut book = hub.book();
    let stops = book.is_closed || book.is_unused();
    if stops {
        book.is_kept = false;
    }
    stops
}

/// A new connection; `Err(None)`: the pool is gone.
async fn connect(hub: &Hub) -> Result<Fresh, Option<OpenError>> {
    let mut target = hub.upstream.target().ok_or(None)?;
    let own = [
        ("client_encoding", &*hub.encoding),
        ("application_name", APPLICATION),
    ];
    for (name, value) in own {
        target.startup.retain(|(known, _)| known != name);
        target.startup.push((name.to_owned(), value.to_owned()));
    }
    let limit = hub.upstream.times().connect;
    let opened = if limit.is_zero() {
        open(&target).await
    } else {
        let opened = timeout(limit, open(&target)).await;
        opened.unwrap_or(Err(OpenError::Timeout))
    };
    opened.map_err(Some)
}

/// Uses a connection to its end.
async fn use_line(hub: &Arc<Hub>, fresh: Fresh, is_first: bool) -> End {
    log::info!(
        "{}: listening connection opened to {} (PostgreSQL PID {})",
        hub.name,
        fresh.remote,
        fresh.backend_pid
    );
    if !is_first {
        hub.counters.reconnects.fetch_add(1, Relaxed);
    }
    hub.book().connected(is_first);
    hub.counters.connections.store(1, Relaxed);
    let end = Line::over(fresh).run(hub).await;
    hub.counters.connections.store(0, Relaxed);
    end
}

fn log_end(hub: &Hub, end: &End) {
    match end {
        End::Unused => log::info!("{}: listening connection closed: not needed", hub.name),
        End::Renewed => log::info!("{}: listening connection closed: renewed", hub.name),
        End::Closed => log::info!(
            "{}: listening connection closed: database removed",
            hub.name
        ),
        End::Lost(reason) => log::warn!("{}: listening connection lost: {reason}", hub.name),
    }
}

/// PostgreSQL's refusal goes to whoever waits; a server that is not there is waited for, as long as
/// the client waits.
fn refused(hub: &Hub, error: &OpenError) {
    log::warn!("{}: listening connection: {}", hub.name, error.log_line());
    if !error.is_unreachable() {
        hub.book().refuse(&ListenError::Refused(error.reason()));
    }
}

/// A pause that ends early when the hub closes or shall connect anew.
async fn wait(hub: &Hub, pause: Duration) {
    let end = Instant::now() + pause;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || hub.is_closed() || hub.wants_renewal() {
            return;
        }
        let _ = timeout(left, hub.kick.notified()).await;
    }
}
