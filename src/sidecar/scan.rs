//! What runs so long that its locks are worth a question.
//!
//! Reads slots, a few times a second: only servers that carry a client are looked at, so an idle
//! pooler costs a walk over its few servers. Source: insight.md 5.1.

use std::sync::Arc;

use super::Running;
use super::plan::Plan;
use crate::insight::locks::LockPicture;
use crate::net::Endpoint;
use crate::pool::Shared;
use crate::stats::clock::now_us;
use crate::stats::{ClientSlot, ClientState, ServerSlot};

/// A statement is old from here on, µs.
const OLD_STATEMENT_US: u64 = 200_000;
/// A pause inside a transaction is old from here on, µs, if somebody of the pool waits meanwhile.
const OLD_PAUSE_US: u64 = 5_000_000;

/// What a server's keeper has to know of the scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Something is old.
    pub is_old: bool,
    /// Changes when what is old changes.
    pub stamp: u64,
}

/// The scanner; keeps its table between two looks.
#[derive(Debug, Default)]
pub struct Scan {
    wanted: Vec<Wanted>,
}

impl Scan {
    /// One look; tells each server's keeper when there is news.
    pub fn look(&mut self, shared: &Shared, running: &[Running]) {
        let now = now_us();
        self.wanted.clear();
        self.wanted.resize(running.len(), Wanted::default());
        let pictures = shared.insight.locks.all();
        let live = shared.live();
        shared.registry.each_server(|server| {
            let Some(client) = linked(shared, server) else {
                return;
            };
            if !is_old(shared, server, &client, now) {
                return;
            }
            let is_named = live.config.databases.contains_key(&*server.database);
            let plans = running.iter().map(|running| &running.plan);
            for at in homes(plans, &pictures, server, is_named) {
                self.wanted[at].is_old = true;
                // Order must not matter: the registry has none.
                self.wanted[at].stamp ^= mix(client.id, client.request_us());
            }
        });
        for (running, wanted) in running.iter().zip(&self.wanted) {
            running.wanted.send_if_modified(|before| {
                let is_news = before != wanted;
                *before = *wanted;
                is_news
            });
        }
    }
}

fn linked(shared: &Shared, server: &ServerSlot) -> Option<Arc<ClientSlot>> {
    match server.client_id() {
        0 => None,
        id => shared.registry.client(id),
    }
}

fn is_old(shared: &Shared, server: &ServerSlot, client: &ClientSlot, now: u64) -> bool {
    let age = |since: u64| now.saturating_sub(since);
    match client.state() {
        // Who does not take what is there for it waits for no lock.
        ClientState::Active => {
            client.activity.stalled_us() == 0 && age(client.request_us()) > OLD_STATEMENT_US
        }
        ClientState::IdleInTransaction => {
            let since = match client.activity.thinking_us() {
                0 => client.request_us(),
                since => since,
            };
            let pool = || shared.pool(&server.database, &server.user);
            age(since) > OLD_PAUSE_US && pool().is_some_and(|pool| pool.figures().waiting > 0)
        }
        _ => false,
    }
}

/// The servers a connection may lead to: one, unless its database has several hosts and none of
/// them is known by that address.
fn homes<'a>(
    plans: impl Iterator<Item = &'a Arc<Plan>>,
    pictures: &[Arc<LockPicture>],
    server: &ServerSlot,
    is_named: bool,
) -> Vec<usize> {
    let remote_of = |plan: &Plan| -> Option<Endpoint> {
        let picture = pictures
            .iter()
            .find(|picture| picture.server == plan.server);
        picture.and_then(|picture| picture.remote)
    };
    let candidates: Vec<(usize, Option<Endpoint>)> = plans
        .enumerate()
        .filter(|(_, plan)| plan.serves(&server.database, is_named))
        .map(|(at, plan)| (at, remote_of(plan)))
        .collect();
    let is_exact = |candidate: &&(usize, Option<Endpoint>)| candidate.1 == Some(server.remote);
    match candidates.iter().find(is_exact) {
        Some((at, _)) => vec![*at],
        None => candidates.into_iter().map(|(at, _)| at).collect(),
    }
}

fn mix(id: u64, request_us: u64) -> u64 {
    (id.rotate_left(32) ^ request_us).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
