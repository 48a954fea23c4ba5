//! Waits for locks, and who is at their root.

use std::sync::Arc;

use super::{Reading, reading};
use crate::admin::screen::knots::why_unknown;
use crate::insight::alerts::Limits;
use crate::insight::locks::{Behind, LockPicture, LockedSession, roots};
use crate::pool::Directory;

/// `lock_wait`, one per root, and `blocked`.
pub fn readings(directory: &Directory) -> Vec<Reading> {
    let pictures = directory.shared.insight.locks.all();
    let live = directory.shared.live();
    let own = &live.config.own;
    let limit = |setting: std::time::Duration| match setting.as_secs_f64() {
        0.0 => None,
        seconds => Some(seconds),
    };
    let limits = Limits {
        warning: limit(own.lock_wait_warn_ms),
        critical: limit(own.lock_wait_crit_ms),
        is_floor: false,
    };
    let unknown = why_unknown(&pictures, directory);
    let mut blocked = 0;
    let mut worst = Vec::new();
    for picture in pictures.iter() {
        let sessions = picture.sessions();
        blocked += sessions.iter().filter(|s| s.is_waiting()).count();
        for (root, behind) in roots(sessions) {
            worst.push(of_root(directory, picture, &sessions[root], behind, limits));
        }
    }
    let is_quiet = worst.is_empty();
    let mut readings = worst;
    let value = |value: f64| match (&unknown, is_quiet) {
        (Some(why), true) => Err(why.clone()),
        _ => Ok(value),
    };
    if is_quiet {
        readings.push(Reading {
            value: value(0.0),
            next: "SHOW BLOCKED".to_owned(),
            ..reading("lock_wait", limits, 0.0)
        });
    }
    readings.push(Reading {
        value: value(blocked as f64),
        culprit: format!("{blocked} sessions wait for locks"),
        next: "SHOW BLOCKED".to_owned(),
        ..reading("blocked", Limits::warning(0.0), 0.0)
    });
    readings
}

fn of_root(
    directory: &Directory,
    picture: &Arc<LockPicture>,
    root: &LockedSession,
    behind: Behind,
    limits: Limits,
) -> Reading {
    let proxied = picture.proxied(&directory.shared.registry);
    let client = proxied.get(&root.pid).and_then(|ours| ours.client.clone());
    let state = match root.state.as_deref() {
        Some("idle in transaction") => "idle in tx",
        other => other.unwrap_or("in an unknown state"),
    };
    let age = root.state_age_s.unwrap_or_default();
    let (who, next) = match client {
        Some(client) => {
            let app = client.application_name().unwrap_or_default();
            let who = format!("{} {app}@{}", client.id, client.remote.host());
            let verb = match state.starts_with("idle") {
                true => "KILL_CLIENT",
                false => "CANCEL",
            };
            (who, format!("{verb} {}", client.id))
        }
        None => (
            format!("pid {} on {} (direct)", root.pid, picture.server),
            "SHOW BLOCKED".to_owned(),
        ),
    };
    Reading {
        subject: format!("{}/{}", picture.server, root.pid),
        culprit: format!(
            "{who}, {state} {age:.0} s, {} sessions behind it",
            behind.sessions
        ),
        next,
        ..reading("lock_wait", limits, behind.longest_s)
    }
}
