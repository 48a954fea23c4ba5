//! Where a pool's servers are, and as whom to log in.
use super::Pool;
use crate::server::{Host, Target};

pub(super) fn target_of(pool: &Pool) -> Target {
    let entry = pool.database.entry();
    let live = pool.shared.live();
    let hosts = entry.hosts(&live.config);
    let h = hosts.first().cloned().unwrap_or_default();
    let host = if h.starts_with('/') {
        Host::Unix {
            path: format!("{h}/.s.PGSQL.{}", entry.port),
        }
    } else {
        Host::Tcp {
            name: h,
            port: entry.port,
        }
    };
    Target {
        host,
        database: entry.server_database(&pool.database.name).to_owned(),
        user: pool.user.to_string(),
        startup: vec![],
    }
}

impl Pool {
    /// Where a cancel request for one of this pool's servers goes.
    pub fn cancel_target(&self, _server: &crate::stats::ServerSlot) -> Target {
        target_of(self)
    }
}
