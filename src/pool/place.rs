//! What a pool has counted for one server, and for the attempt to connect it: given back however
//! either ends, also by a panic or when a lane stops.

use std::sync::Arc;

use super::Pool;
use super::caps::Permit;
use super::state::{Failure, State};

/// A server's part of `total` and of the caps.
#[derive(Debug)]
pub(super) struct Place {
    pub pool: Arc<Pool>,
    permit: Option<Permit>,
    is_counted: bool,
}

impl Place {
    fn uncount(&mut self, state: &mut State) {
        if std::mem::take(&mut self.is_counted) {
            state.total = state.total.saturating_sub(1);
        }
    }
}

impl Drop for Place {
    /// The count goes first, then the caps, whose drop serves the pools they have refused, and only
    /// then this pool may connect anew: it evicts nobody for a place that is free.
    fn drop(&mut self) {
        if self.is_counted {
            let pool = Arc::clone(&self.pool);
            self.uncount(&mut pool.lock());
        }
        drop(self.permit.take());
        self.pool.launch_if_wanted();
    }
}

/// The one attempt to connect that a pool has under way.
#[derive(Debug)]
pub(super) struct Attempt {
    // Before `place`, whose drop may launch the next.
    under_way: UnderWay,
    place: Place,
}

#[derive(Debug)]
struct UnderWay(Option<Arc<Pool>>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(pool) = self.0.take() {
            let mut state = pool.lock();
            state.login = false;
            // Not again at once, whatever it was.
            let text = "login was broken off".to_owned();
            state.failure = Some(Failure::because(text));
        }
    }
}

impl Attempt {
    /// Counts a server and marks the pool as connecting.
    pub fn begin(pool: &Arc<Pool>, state: &mut State, permit: Permit) -> Self {
        state.login = true;
        state.total += 1;
        Self {
            under_way: UnderWay(Some(Arc::clone(pool))),
            place: Place {
                pool: Arc::clone(pool),
                permit: Some(permit),
                is_counted: true,
            },
        }
    }

    /// It has failed: nothing is counted any more; the caps get theirs back when it is dropped.
    pub fn failed(&mut self, state: &mut State) {
        state.login = false;
        self.under_way.0 = None;
        self.place.uncount(state);
    }

    /// There is a connection: its place, and what is left of the attempt.
    pub fn connected(self) -> (Place, Greeting) {
        (self.place, Greeting(self.under_way))
    }
}

/// A connection that has logged in and is still the pool's attempt (connect_query).
#[derive(Debug)]
pub(super) struct Greeting(UnderWay);

impl Greeting {
    /// The attempt is over.
    pub fn end(mut self, state: &mut State) {
        state.login = false;
        self.0.0 = None;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::auth::scram::KeyCache;
    use crate::config::{Userlist, parse};
    use crate::net::SocketOptions;
    use crate::net::tls::ServerTls;
    use crate::pool::{Directory, Live, NewShared, Shared};

    fn a_pool() -> Arc<Pool> {
        let ini = b"[databases]\na = host=127.0.0.1\n[pgbouncer]\nmax_db_connections = 1\n";
        let live = Live {
            config: parse(std::path::Path::new("t.ini"), ini).unwrap(),
            userlist: Userlist::default(),
            client_tls: None,
            server_tls: Arc::new(ServerTls::disabled()),
            socket_options: SocketOptions::default(),
        };
        let directory = Directory::open(Shared::assemble(NewShared {
            lanes: Vec::new(),
            live,
            key_cache: Arc::new(KeyCache::open().unwrap()),
            resolver: Arc::default(),
        }));
        let database = directory.find("a").unwrap();
        directory.pool(&database, &"u".into())
    }

    fn begin(pool: &Arc<Pool>) -> Attempt {
        let permit = pool.acquire().unwrap();
        Attempt::begin(pool, &mut pool.lock(), permit)
    }

    #[test]
    fn a_login_that_panics_gives_back_its_place() {
        let pool = a_pool();
        for is_connected in [false, true] {
            let attempt = begin(&pool);
            assert!(pool.acquire().is_err());
            let task = std::thread::spawn(move || {
                let _held: Box<dyn std::any::Any> = match is_connected {
                    true => Box::new(attempt.connected()),
                    false => Box::new(attempt),
                };
                std::panic::resume_unwind(Box::new("the login task's"));
            });
            assert!(task.join().is_err());
            let figures = pool.figures();
            assert_eq!((figures.servers, figures.login), (0, false));
            assert!(pool.lock().failure.is_some());
            assert!(pool.acquire().is_ok());
        }
    }

    #[test]
    fn an_attempt_that_ended_does_not_end_the_next() {
        let pool = a_pool();
        let mut first = begin(&pool);
        first.failed(&mut pool.lock());
        pool.lock().login = true;
        drop(first);
        assert!(pool.lock().login);
        assert_eq!(pool.figures().servers, 0);
    }
}
