//! Blocking in the log: one line when it begins, one when it ends. Never with constants of a query.

use std::collections::HashMap;
use std::sync::Arc;

use crate::insight::Insight;
use crate::insight::blocking::{Blocking, Episode, Limits, News};
use crate::insight::locks::{LockPicture, Proxied};

/// `lock_wait_warn_ms` and `lock_wait_crit_ms`, as in force.
pub fn limits(insight: &Insight) -> Limits {
    let limit = |us: u64| (us != u64::MAX).then_some(us as f64 / 1e6);
    let (warn_us, crit_us) = insight.lock_wait_limits();
    Limits {
        warn_s: limit(warn_us),
        crit_s: limit(crit_us),
    }
}

/// Takes a picture over and says what is new.
pub fn tell(
    blocking: &Blocking,
    picture: &LockPicture,
    proxied: &HashMap<i32, Proxied>,
    limits: Limits,
) {
    for news in blocking.observe(picture, proxied, limits) {
        match news {
            News::Began(episode) => log::warn!("blocking begins: {}", begin(&episode)),
            News::Ended(episode) => log::warn!("blocking ended: {}", end(&episode)),
        }
    }
}

/// The server cannot be asked any more.
pub fn forget(blocking: &Blocking, server: &Arc<str>) {
    blocking.forget(server);
}

fn sessions(count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} session{plural}")
}

fn begin(episode: &Episode) -> String {
    format!(
        "{} at {}, {}, holds up {}; {} waits {:.1} s for {}",
        episode.root,
        episode.server,
        episode.doing,
        sessions(episode.sessions),
        episode.first,
        episode.longest_s,
        episode.lock
    )
}

fn end(episode: &Episode) -> String {
    format!(
        "{} at {}, held up at most {}, longest wait {:.1} s ({})",
        episode.root,
        episode.server,
        sessions(episode.sessions),
        episode.longest_s,
        episode.severity.word()
    )
}
