//! A pool's listening connections.
//!
//! Owns: one hub per client_encoding that listening clients use (nearly always one), since
//! notifications are passed on as PostgreSQL encodes them. They are opened with the pool's own
//! target and secret, and stand beside the pool: pool_size, max_db_connections and
//! max_user_connections count none of them, so that LISTEN cannot fail, or take the last server,
//! because a pool is full. PAUSE keeps them, RECONNECT and a changed connect string open them anew.

use std::sync::{Arc, PoisonError, Weak};

use super::{Pool, target};
use crate::lane::Lane;
use crate::listen::{Hub, Subscription, Times, Upstream};
use crate::server::Target;
use crate::stats::ClientSlot;

/// Used where a client has not got one.
const DEFAULT_ENCODING: &str = "UTF8";

/// What a hub may ask of its pool. Weak, since the pool owns the hub.
#[derive(Debug)]
struct Side(Weak<Pool>);

impl Upstream for Side {
    fn target(&self) -> Option<Target> {
        let pool = self.0.upgrade()?;
        let is_gone = pool.lock().removed;
        (!is_gone).then(|| target::target_of(&pool))
    }

    fn times(&self) -> Times {
        let limits = self.0.upgrade().map(|pool| pool.limits());
        Times {
            connect: limits
                .as_ref()
                .map_or(std::time::Duration::ZERO, |l| l.connect_timeout),
            retry: std::time::Duration::from_micros(limits.map_or(0, |l| l.login_retry_us)),
        }
    }

    fn is_paused(&self) -> bool {
        self.0.upgrade().is_some_and(|pool| pool.lock().paused)
    }

    fn lane(&self) -> Option<Arc<Lane>> {
        let pool = self.0.upgrade()?;
        let lanes = pool.shared.lanes.iter();
        lanes.min_by_key(|lane| lane.clients()).cloned()
    }
}

impl Pool {
    /// A client begins to listen. `encoding`: its client_encoding.
    pub fn subscribe(
        self: &Arc<Self>,
        slot: &Arc<ClientSlot>,
        encoding: Option<&str>,
    ) -> Subscription {
        let limit = self.shared.live().config.own.listen_buffer as usize;
        let hub = self.hub(encoding.unwrap_or(DEFAULT_ENCODING));
        Subscription::open(hub, Arc::clone(slot), limit)
    }

    /// Channels that one client may listen to.
    pub fn max_listen_channels(&self) -> usize {
        self.shared.live().config.own.max_listen_channels as usize
    }

    fn hub(self: &Arc<Self>, encoding: &str) -> Arc<Hub> {
        let mut hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hub) = hubs.iter().find(|hub| &*hub.encoding == encoding) {
            return Arc::clone(hub);
        }
        let side = Box::new(Side(Arc::downgrade(self)));
        let hub = Hub::with_upstream(self.log_name(), encoding, side);
        hubs.push(Arc::clone(&hub));
        hub
    }

    /// Its hubs; empty until a client has listened.
    pub fn hubs(&self) -> Vec<Arc<Hub>> {
        let hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        hubs.clone()
    }
}
