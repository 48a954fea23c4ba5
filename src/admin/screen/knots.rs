//! What the lock pictures mean for our own clients: who waits for whom, and who holds up how many.
//!
//! Owns nothing; joins the sidecar's pictures with slots. A picture is a moment old: a session that
//! has asked something new since then does not wait any more.

use std::collections::HashMap;

use crate::insight::locks::{LockPicture, LockState, LockedSession, Proxied, tree};
use crate::pool::Directory;
use crate::stats::clock::now_us;

/// One of our backends in a lock picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Knot {
    /// How long it has waited for a lock, µs; `None` when it does not wait.
    pub waits_us: Option<u64>,
    /// Whom it waits for: ids of clients, or `pid n` for sessions that did not come through us.
    pub blocked_by: String,
    /// Sessions that wait for it, directly or not.
    pub behind: u64,
}

/// All knots by the id of the server.
#[derive(Debug, Default)]
pub struct Knots {
    /// Our backends that wait or are waited for.
    pub by_server: HashMap<u64, Knot>,
    /// Why locks are not known, where they are not.
    pub unknown: Option<String>,
}

impl Knots {
    /// As last seen.
    pub fn of(directory: &Directory) -> Self {
        let pictures = directory.shared.insight.locks.all();
        let mut knots = Self {
            unknown: why_unknown(&pictures, directory),
            ..Self::default()
        };
        for picture in pictures.iter() {
            let proxied = picture.proxied(&directory.shared.registry);
            knots.add(picture, &proxied);
        }
        knots
    }

    fn add(&mut self, picture: &LockPicture, proxied: &HashMap<i32, Proxied>) {
        let sessions = picture.sessions();
        let elapsed = now_us().saturating_sub(picture.polled_us);
        for branch in tree(sessions) {
            let session = &sessions[branch.at];
            let Some(ours) = proxied.get(&session.pid) else {
                continue;
            };
            let knot = Knot {
                waits_us: waits_us(session, ours, picture.polled_us).map(|us| us + elapsed),
                blocked_by: blockers(session, proxied),
                behind: branch.behind.sessions as u64,
            };
            self.by_server.insert(ours.server.id, knot);
        }
    }
}

/// Whether it still waits, as far as can be told, and for how long when it was seen.
fn waits_us(session: &LockedSession, ours: &Proxied, polled_us: u64) -> Option<u64> {
    let client = ours.client.as_ref()?;
    let is_old = !session.is_waiting() || client.request_us() > polled_us;
    (!is_old).then(|| (session.wait_s.unwrap_or_default() * 1e6) as u64)
}

fn blockers(session: &LockedSession, proxied: &HashMap<i32, Proxied>) -> String {
    let name = |pid: &i32| match proxied.get(pid).and_then(|ours| ours.client.as_ref()) {
        Some(client) => client.id.to_string(),
        None if *pid == 0 => "prepared transaction".to_owned(),
        None => format!("pid {pid}"),
    };
    let names: Vec<_> = session.blocked_by.iter().map(name).collect();
    names.join(", ")
}

/// Why the locks of a server are not known; one reason for all, with the server's name.
pub fn why_unknown(
    pictures: &[std::sync::Arc<LockPicture>],
    directory: &Directory,
) -> Option<String> {
    let reasons = pictures.iter().filter_map(|picture| match &picture.state {
        LockState::Known(_) => None,
        LockState::Unknown(why) => Some(format!("{}: {why}", picture.server)),
    });
    let reasons: Vec<_> = reasons.collect();
    if !reasons.is_empty() {
        return Some(reasons.join("; "));
    }
    if !pictures.is_empty() {
        return None;
    }
    let live = directory.shared.live();
    Some(match live.config.own.monitor_user.is_empty() {
        true => "monitor_user is not set, so PostgreSQL is not asked".to_owned(),
        false => "the sidecar has not looked at any server yet".to_owned(),
    })
}
