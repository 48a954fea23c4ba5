//! Nested transactions of one process: it holds a server inside a transaction and waits for another
//! one, which nobody will give back.
//!
//! Owns: recognising this within one tick, and what is done about it. Runs on the control thread,
//! for pools with waiting clients only. May touch slots and the queue. Never: a server in use.
//!
//! ```text
//! recognised   every server of the pool is held by a client that is idle in its transaction (or
//!              keeps it pinned); one of these and the first waiter are the same process; nothing of
//!              that process has asked anything since the waiter began to wait
//! reserve      at once: a connection from the reserve, for that waiter, whatever
//!              reserve_pool_timeout says
//! error        where the reserve gives nothing: when it has lasted for nested_transactions_ms (for a
//!              second where nobody but that process holds servers, and the kernel says so), and no
//!              other client of the process waits or runs a statement (a process that does two
//!              things at a time may still end the transaction by itself)
//! ```
//!
//! An application_name is no proof: Odoo's HTTP workers all have that of the process which loaded the
//! registry before they were forked. Hence the patience.
//!
//! The same process: over TCP the same address and an application_name that ends in its number, as
//! `odoo-4711`; over a Unix socket the process that the kernel names and the same application_name
//! (there may be a pooler of its own behind a socket). The login user is the same in both.

use std::net::IpAddr;
use std::sync::Arc;

use super::Pool;
use super::launch::Allowance;
use super::state::{Grant, State, Waiter};
use crate::config::{NestedTransactions, PoolMode};
use crate::error::ClientError;
use crate::net::Endpoint;
use crate::stats::events::Event;
use crate::stats::{ClientSlot, ClientState, ServerState};

/// How long it must have lasted before a client is refused, µs, where the kernel names the process and
/// it holds everything: that all of its threads are at work in Python for so long, inside their
/// transactions, is rare.
const CERTAIN_AFTER_US: u64 = 1_000_000;
/// How much later than the answer itself a holder may be seen to have it, µs: its process asks on
/// another lane at the same moment.
const SLACK_US: u64 = 20_000;
/// Waiters that are looked at in one round, the first ones of each lane.
const MOST_WAITERS: usize = 64;

/// A process that has connected, as far as can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Process {
    origin: Origin,
    user: Arc<str>,
    application: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Address(IpAddr),
    Pid(i32),
}

impl Process {
    /// `None` when nothing says which process it is.
    fn of(client: &ClientSlot) -> Option<Self> {
        let application = client.application_name().filter(|name| !name.is_empty())?;
        let origin = match client.remote {
            Endpoint::Tcp(address) if names_process(&application) => Origin::Address(address.ip()),
            Endpoint::Unix { pid: Some(pid), .. } if pid > 0 => Origin::Pid(pid),
            Endpoint::Tcp(_) | Endpoint::Unix { .. } => return None,
        };
        Some(Self {
            origin,
            user: Arc::clone(&client.identity()?.user),
            application,
        })
    }
}

/// `name-digits`.
fn names_process(application: &str) -> bool {
    let digits = application.bytes().rev().take_while(u8::is_ascii_digit);
    let count = digits.count();
    count > 0 && application[..application.len() - count].ends_with('-')
}

/// Since when a client keeps a server without asking anything of it, µs; `None` when it does ask,
/// or may.
fn parked_since(client: &ClientSlot) -> Option<u64> {
    match client.state() {
        ClientState::IdleInTransaction => {}
        ClientState::Idle if !client.pin.reasons().is_empty() => {}
        _ => return None,
    }
    Some(client.request_us().max(client.activity.thinking_us()))
}

/// A pool in which everybody waits, or holds a server.
struct Stuck {
    /// The first ones.
    waiters: Vec<Arc<Waiter>>,
    /// Servers.
    total: usize,
    action: NestedTransactions,
    /// How long it must have lasted before a client is refused, µs.
    patience_us: u64,
}

/// The first waiter that its own process keeps from a server.
struct Knot {
    waiter: Arc<Waiter>,
    process: Process,
    /// Clients of the process that wait or run a statement, the waiter too.
    busy: usize,
    /// The kernel names the process, and all servers are held by it.
    is_proved: bool,
}

impl Pool {
    /// One look, and one remedy at most.
    pub(super) fn untie_nested(self: &Arc<Self>, now: u64) {
        let Some(stuck) = self.stuck() else {
            return;
        };
        let Some(knot) = self.knot(&stuck.waiters, stuck.total) else {
            return;
        };
        if self.launch_for(&knot.waiter) {
            self.count_nested("reserve", &knot);
            return;
        }
        let waited = now.saturating_sub(knot.waiter.since_us);
        let patience_us = match knot.is_proved {
            true => stuck.patience_us.min(CERTAIN_AFTER_US),
            false => stuck.patience_us,
        };
        let is_certain = waited > patience_us && knot.busy == 1;
        if stuck.action == NestedTransactions::Error && is_certain && self.refuse(&knot.waiter) {
            self.count_nested("error", &knot);
            knot.waiter.client.wake();
        }
    }

    /// What is known of the pool when it can only go on if a server comes back.
    fn stuck(&self) -> Option<Stuck> {
        if self.mode() == PoolMode::Session {
            return None;
        }
        let state = self.lock();
        let action = state.limits.nested_transactions;
        let is_full = state.limits.size > 0 && state.total >= state.limits.size;
        let is_stuck = state.waiting() > 0 && is_full && !state.login && state.figures().idle == 0;
        if action == NestedTransactions::Wait || !is_stuck || state.paused || state.removed {
            return None;
        }
        Some(Stuck {
            waiters: state.first_waiters(MOST_WAITERS),
            total: state.total,
            action,
            patience_us: state.limits.nested_after_us,
        })
    }

    fn knot(&self, waiters: &[Arc<Waiter>], total: usize) -> Option<Knot> {
        let holders = self.parked_holders(total)?;
        waiters.iter().find_map(|waiter| {
            let process = Process::of(&waiter.client)?;
            let is_own = |holder: &(Arc<ClientSlot>, u64)| {
                Process::of(&holder.0).is_some_and(|other| other == process)
            };
            let is_parked_before = holders
                .iter()
                .all(|(_, since)| *since <= waiter.since_us + SLACK_US);
            if !is_parked_before || !holders.iter().any(is_own) {
                return None;
            }
            let busy = self.busy_clients(&process, waiter)?;
            let is_alone = holders.iter().all(is_own);
            Some(Knot {
                waiter: Arc::clone(waiter),
                is_proved: is_alone && matches!(process.origin, Origin::Pid(_)),
                process,
                busy,
            })
        })
    }

    /// The clients that hold the pool's `total` servers, and since when; `None` when one of the
    /// servers is at work, or between two clients.
    fn parked_holders(&self, total: usize) -> Option<Vec<(Arc<ClientSlot>, u64)>> {
        let servers = self.slots();
        if servers.len() != total {
            return None;
        }
        let holder = |server: &Arc<crate::stats::ServerSlot>| {
            if server.state() != ServerState::Active {
                return None;
            }
            let client = self.shared.registry.client(server.client_id())?;
            let since = parked_since(&client)?;
            Some((client, since))
        };
        servers.iter().map(holder).collect()
    }

    /// How many clients of the process wait or run a statement; `None` when one of those that do not
    /// has asked something since the waiter began to wait.
    fn busy_clients(&self, process: &Process, waiter: &Waiter) -> Option<usize> {
        let (mut busy, mut is_quiet) = (0, true);
        self.shared.registry.each_client(|client| {
            if Process::of(client).as_ref() != Some(process) {
                return;
            }
            match client.state() {
                ClientState::Waiting | ClientState::Active => busy += 1,
                _ => is_quiet &= client.request_us() <= waiter.since_us,
            }
        });
        is_quiet.then_some(busy)
    }

    /// Takes a connection from the reserve for one waiter; false when there is none to take.
    fn launch_for(self: &Arc<Self>, waiter: &Arc<Waiter>) -> bool {
        if !self.lock().prefer(waiter) {
            return false;
        }
        self.launch_when(|state, now| {
            (state.has_reserve() && state.may_launch(now)).then_some(Allowance::Reserve)
        });
        let mut state = self.lock();
        let is_launching = state.login;
        if !is_launching {
            state.prefer_nobody();
        }
        is_launching
    }

    /// Sends the waiter away; false when it has been served meanwhile.
    fn refuse(&self, waiter: &Arc<Waiter>) -> bool {
        let mut state = self.lock();
        if !state.is_queued(waiter) {
            return false;
        }
        *waiter.grant() = Grant::Refused(ClientError::nested_transaction());
        state.forget_waiter(waiter);
        true
    }

    fn count_nested(&self, result: &'static str, knot: &Knot) {
        let events = &self.shared.events;
        events.count(Event::Nested, &self.database.name, result);
        log::warn!(
            "{}nested transactions: {} holds a server of {} idle in transaction and waits for another ({result})",
            knot.waiter.client.log_prefix(),
            knot.process.application,
            self.log_name(),
        );
    }
}

impl State {
    /// Whether the reserve has a connection left, whatever reserve_pool_timeout says (0 shuts it).
    fn has_reserve(&self) -> bool {
        self.limits.reserve_timeout_us > 0 && self.total < self.limits.size + self.limits.reserve
    }

    /// The next server is for this waiter; false when it does not wait any more, or the reserve has
    /// nothing for it.
    fn prefer(&mut self, waiter: &Arc<Waiter>) -> bool {
        let is_possible = self.has_reserve() && self.is_queued(waiter);
        if is_possible {
            self.preferred = Some(Arc::clone(waiter));
        }
        is_possible
    }

    fn prefer_nobody(&mut self) {
        self.preferred = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_process_number() {
        for name in ["odoo-4711", "odoo-1", "a-b-2", "-7"] {
            assert!(names_process(name), "{name}");
        }
        for name in [
            "odoo", "odoo-", "4711", "odoo4711", "odoo-47x", "odoo 47", "",
        ] {
            assert!(!names_process(name), "{name}");
        }
    }
}
