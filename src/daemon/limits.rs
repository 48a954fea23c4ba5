//! File descriptors: how many there are, how many may be needed.
//!
//! Owns RLIMIT_NOFILE of this process. Raises the soft limit to the hard one, which PgBouncer leaves
//! to the operator, and says when even that does not suffice. Source: surface 2.1 (boot line).

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors of the process itself: log, epoll and wake-up descriptors of the lanes, listeners,
/// HTTP, console; rounded up.
const OWN_DESCRIPTORS: u64 = 10;
/// Each lane: epoll, its wake-up, timers, signal pipe.
const PER_LANE: u64 = 4;

/// The limit in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorLimit {
    /// What the kernel allows now.
    pub soft: u64,
    /// What it could be raised to.
    pub hard: u64,
}

/// Raises the soft limit to the hard limit.
///
/// # Errors
/// The limit cannot be read. Failing to raise it is not an error: the old one is returned.
pub fn raise_descriptors() -> io::Result<DescriptorLimit> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    Ok(DescriptorLimit {
        soft: if raised { hard } else { soft },
        hard,
    })
}

/// One database's part in the largest number of server connections.
#[derive(Clone, Copy, Debug)]
pub struct PoolDemand {
    /// pool_size plus reserve_pool_size.
    pub size: u64,
    /// A forced user means one pool; otherwise each known user may have one.
    pub has_forced_user: bool,
}

/// The most descriptors that may be open at once: all clients, all pools full, and our own.
pub fn expected_use(
    max_client_conn: u64,
    users: u64,
    lanes: u64,
    pools: impl IntoIterator<Item = PoolDemand>,
) -> u64 {
    let servers = pools.into_iter().fold(0u64, |sum, pool| {
        let pools = if pool.has_forced_user {
            1
        } else {
            users.max(1)
        };
        sum.saturating_add(pool.size.saturating_mul(pools))
    });
    max_client_conn
        .saturating_add(servers)
        .saturating_add(OWN_DESCRIPTORS + PER_LANE.saturating_mul(lanes))
}

impl DescriptorLimit {
    /// The boot line, and a warning when the limit is too low for what the settings allow.
    pub fn report(&self, max_client_conn: u64, expected: u64) {
        log::info!("{}", self.boot_line(max_client_conn, expected));
        if let Some(text) = self.warning(expected) {
            log::warn!("{text}");
        }
    }

    fn boot_line(&self, max_client_conn: u64, expected: u64) -> String {
        format!(
            "kernel file descriptor limit: {} (hard: {}); max_client_conn: {max_client_conn}, \
             max expected fd use: {expected}",
            shown(self.soft),
            shown(self.hard)
        )
    }

    fn warning(&self, expected: u64) -> Option<String> {
        (self.soft < expected).then(|| {
            format!(
                "file descriptor limit {} is lower than the {expected} that max_client_conn and the \
                 pools may need; raise it (LimitNOFILE in the unit, ulimit -n) or lower max_client_conn",
                self.soft
            )
        })
    }
}

/// COMPAT: PgBouncer prints an unlimited limit as -1.
fn shown(limit: u64) -> i64 {
    i64::try_from(limit).unwrap_or(-1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn soft_follows_hard() {
        let limit = raise_descriptors().unwrap();
        assert_eq!(limit.soft, limit.hard);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap().0, limit.soft);
    }

    #[test]
    fn demand_counts_pools_per_user() {
        let forced = PoolDemand {
            size: 25,
            has_forced_user: true,
        };
        let open = PoolDemand {
            size: 20,
            has_forced_user: false,
        };
        assert_eq!(expected_use(100, 3, 2, [forced, open]), 100 + 25 + 60 + 18);
        assert_eq!(expected_use(100, 0, 1, [open]), 100 + 20 + 14);
        assert_eq!(expected_use(u64::MAX, 1, 1, [open]), u64::MAX);
    }

    #[test]
    fn report_texts() {
        let limit = DescriptorLimit {
            soft: 1024,
            hard: u64::MAX,
        };
        assert_eq!(
            limit.boot_line(100, 172),
            "kernel file descriptor limit: 1024 (hard: -1); max_client_conn: 100, max expected fd use: 172"
        );
        assert_eq!(limit.warning(1024), None);
        assert!(limit.warning(1025).unwrap().contains("1025"));
    }
}
