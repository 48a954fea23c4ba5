//! Asks PostgreSQL what the wire does not tell: locks, health, the operator's own queries.
//!
//! Owns the connections of `monitor_user`: one per server of `[databases]`, kept open to the
//! database `postgres`, and one more that is opened, used and closed at once, so that no other
//! database is ever held (DROP DATABASE works). Publishes what it learnt to `insight`. May touch the
//! slots in `stats`. Never touches a pool or its limits; nothing that goes wrong here reaches a
//! client. Runs on the control thread. Source: insight.md 5, pg_locks, pg_stat_*.
//!
//! ```text
//! plan.rs     which servers, as whom         scan.rs     what is old enough to be looked at
//! session.rs  a logged-in connection         pipe.rs     our stream as tokio's
//! keeper.rs   one server's kept connection   cadence.rs  when to look at locks again
//! locks.rs    the lock question              health.rs   the health questions
//! errands.rs  other databases: opened, asked, closed
//! tables.rs   dead rows                      custom.rs   the operator's queries
//! report.rs   blocking in the log            check.rs    what --check asks
//! ```

mod cadence;
pub mod check;
mod custom;
mod errands;
mod health;
mod keeper;
mod locks;
mod pipe;
mod plan;
mod report;
mod scan;
mod session;
mod tables;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::insight::health::Health;
use crate::insight::locks::{LockPicture, LockState};
use crate::net::dns::DnsTimes;
use crate::pool::Shared;
use crate::server::Dialing;
use crate::stats::clock::now_us;
use errands::Errands;
use keeper::Keeper;
use plan::Plan;
use scan::{Scan, Wanted};

/// How often slots are looked at. A block is asked about at most so long after it is 200 ms old.
const LOOK: Duration = Duration::from_millis(150);

/// What every snapshot says without `monitor_user`.
const NOT_CONFIGURED: &str = "set monitor_user in [pgweir] to a role with pg_monitor";

/// One server's tasks; they end with it.
struct Running {
    plan: Arc<Plan>,
    wanted: watch::Sender<Wanted>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Runs until it is aborted; follows reloads. Needs a runtime with time and sockets.
pub async fn run(shared: Arc<Shared>) {
    let mut running: Vec<Running> = Vec::new();
    let mut seen = None;
    let mut scan = Scan::default();
    loop {
        let reloads = shared.reloads();
        if seen != Some(reloads) {
            seen = Some(reloads);
            follow(&shared, &mut running);
        }
        if !running.is_empty() {
            scan.look(&shared, &running);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Starts what is new, ends what is gone; a server whose plan has not changed goes on.
fn follow(shared: &Arc<Shared>, running: &mut Vec<Running>) {
    let live = shared.live_arc();
    let dialing = Dialing {
        tls: Arc::clone(&live.server_tls),
        options: live.socket_options,
        dns: DnsTimes::from(&live.config.settings),
        resolver: Arc::clone(&shared.resolver),
        keys: Arc::clone(&shared.key_cache),
    };
    let (plans, unmonitored) = plan::plans(&dialing, &live);
    running.retain(|server| plans.iter().any(|plan| *plan == *server.plan));
    let names: Vec<&str> = plans.iter().map(|plan| &*plan.server).collect();
    let stays = |server: &str| {
        names.contains(&server) || unmonitored.iter().any(|other| &**other == server)
    };
    let insight = &shared.insight;
    insight.locks.retain(stays);
    let queries = &live.config.custom_queries;
    let is_asked = |name: &str| queries.iter().any(|query| query.name == name);
    insight.health.retain(stays, is_asked);
    insight.blocking.retain(stays);
    for server in unmonitored {
        publish_unknown(shared, &server, NOT_CONFIGURED);
    }
    for plan in plans {
        if running.iter().any(|server| *server.plan == plan) {
            continue;
        }
        let plan = Arc::new(plan);
        publish_unknown(shared, &plan.server, "not asked yet");
        let (wanted, is_wanted) = watch::channel(Wanted::default());
        let (list, is_listed) = watch::channel(Vec::new());
        let keeper = Keeper::of(Arc::clone(shared), Arc::clone(&plan), is_wanted, list);
        let errands = Errands::of(Arc::clone(shared), Arc::clone(&plan), is_listed);
        running.push(Running {
            plan,
            wanted,
            tasks: [tokio::spawn(keeper.run()), tokio::spawn(errands.run())],
        });
    }
}

/// Every snapshot of the server says the same reason.
fn publish_unknown(shared: &Shared, server: &Arc<str>, reason: &str) {
    let before = shared.insight.health.server(server);
    shared.insight.locks.publish(LockPicture {
        server: Arc::clone(server),
        remote: None,
        polled_us: now_us(),
        state: LockState::Unknown(reason.to_owned()),
    });
    shared.insight.health.publish(Health {
        last_success: before.and_then(|health| health.last_success),
        ..Health::unknown(Arc::clone(server), reason)
    });
}
