//! Flags on sessions: who is slow, queued, long or idle in a transaction right now. Waits for locks
//! have theirs in `blocking`, since PostgreSQL has to be asked and strangers take part.
//!
//! Once a second one pass over the clients' slots and the lock pictures. A flag is one log line when
//! it begins and one when it ends, and metrics. Owns the flags that are up. May touch `stats`
//! (slots), never a lane; decides nothing about a client. Thresholds: insight.md 5.5.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, MutexGuard, PoisonError};

use super::locks::roots;
use super::{Insight, View};
use crate::sql::Class;
use crate::stats::slots::Identity;
use crate::stats::{ClientSlot, ClientState, Registry};

const SECOND: u64 = 1_000_000;
/// A running statement is critical, µs.
const STATEMENT_CRITICAL: u64 = 300 * SECOND;
/// A client waits for a server, µs.
const QUEUED: (u64, u64) = (SECOND, 5 * SECOND);
/// A client is idle in its transaction, µs.
const IDLE: (u64, u64) = (300 * SECOND, 3600 * SECOND);
/// The same while others wait because of it.
const IDLE_AND_IN_THE_WAY: u64 = 5 * SECOND;
/// Log lines of one pass; more are counted.
const LINES: usize = 20;
/// Bytes of a statement in a log line.
const TEXT: usize = 100;

/// What is wrong with a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flag {
    /// Its statement runs longer than `slow_statement_ms`; never COPY or maintenance.
    Slow,
    /// It waits for a server.
    Queued,
    /// It holds a server and is silent.
    IdleInTransaction,
    /// Its transaction is longer than `slow_transaction_ms`.
    LongTransaction,
}

impl Flag {
    /// Its label.
    pub fn as_str(self) -> &'static str {
        match self {
            Flag::Slow => "slow",
            Flag::Queued => "queued",
            Flag::IdleInTransaction => "idle_in_transaction",
            Flag::LongTransaction => "long_transaction",
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Over the first threshold.
    Warning,
    /// Over the second.
    Critical,
}

impl Severity {
    /// Its label.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }

    fn of(us: u64, (warning, critical): (u64, u64)) -> Option<Self> {
        if us > critical {
            return Some(Severity::Critical);
        }
        (us > warning).then_some(Severity::Warning)
    }
}

/// Sessions flagged now, and how many flags have begun, by database, flag and severity.
type Counts = BTreeMap<(Arc<str>, Flag, Severity), (u64, u64)>;

/// The flags that are up, and what was counted.
#[derive(Debug, Default)]
pub struct Flags {
    up: HashMap<(u64, Flag), Up>,
    /// Flagged now, and begun since the start.
    pub(super) counts: Counts,
}

#[derive(Debug)]
struct Up {
    severity: Severity,
    since_us: u64,
    /// For the line at its end, when the client may be gone.
    prefix: String,
}

/// A session that a flag is due for.
struct Raised {
    flag: Flag,
    severity: Severity,
    since_us: u64,
    client: Arc<ClientSlot>,
    database: Arc<str>,
    /// Who waits because of it.
    behind: u64,
}

/// One pass.
struct Pass<'a> {
    insight: &'a Insight,
    now: u64,
    raised: Vec<Raised>,
    /// Sessions that wait for a client's locks, by client.
    locked_out: HashMap<u64, u64>,
}

impl Insight {
    /// Looks at all sessions. `pool_of`: the pool's user of a client, since its queue is its pool's.
    pub fn scan(&self, registry: &Registry, now: u64, pool_of: &dyn Fn(&Identity) -> Arc<str>) {
        let mut pass = Pass {
            insight: self,
            now,
            raised: Vec::new(),
            locked_out: HashMap::new(),
        };
        pass.look_at_locks(registry);
        pass.look_at_clients(registry, pool_of);
        let raised = pass.raised;
        // Before the flags, as whoever exports them does.
        let view = self.read();
        let raised = without_exempt(&view, raised);
        let mut flags = self.flags();
        flags.settle(&view, &raised, now);
    }

    /// The flags; for the control thread only.
    pub(super) fn flags(&self) -> MutexGuard<'_, Flags> {
        self.flags.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// COPY and maintenance take their time and are never slow.
fn without_exempt(view: &View<'_>, mut raised: Vec<Raised>) -> Vec<Raised> {
    raised.retain(|raised| {
        let class = || view.class(raised.client.activity.statement());
        raised.flag != Flag::Slow || !matches!(class(), Some(Class::Copy | Class::Maintenance))
    });
    raised
}

impl Pass<'_> {
    fn raise(&mut self, flag: Flag, age: u64, limits: (u64, u64), client: &Arc<ClientSlot>) {
        let behind = self.locked_out.get(&client.id).copied().unwrap_or(0);
        self.raise_with(flag, age, limits, (client, behind));
    }

    fn raise_with(
        &mut self,
        flag: Flag,
        age: u64,
        limits: (u64, u64),
        (client, behind): (&Arc<ClientSlot>, u64),
    ) {
        let (Some(severity), Some(who)) = (Severity::of(age, limits), client.identity()) else {
            return;
        };
        self.raised.push(Raised {
            flag,
            severity,
            since_us: self.now.saturating_sub(age),
            client: Arc::clone(client),
            database: Arc::clone(&who.database),
            behind,
        });
    }

    /// Who holds up how many with its locks.
    fn look_at_locks(&mut self, registry: &Registry) {
        for picture in self.insight.locks.all().iter() {
            let proxied = picture.proxied(registry);
            for (at, behind) in roots(picture.sessions()) {
                let ours = proxied.get(&picture.sessions()[at].pid);
                if let Some(client) = ours.and_then(|ours| ours.client.as_ref()) {
                    self.locked_out.insert(client.id, behind.sessions as u64);
                }
            }
        }
    }

    fn look_at_clients(&mut self, registry: &Registry, pool_of: &dyn Fn(&Identity) -> Arc<str>) {
        let mut clients = Vec::new();
        registry.each_client(|slot| {
            let is_idle = matches!(slot.state(), ClientState::Idle | ClientState::Login);
            if !is_idle && slot.identity().is_some() {
                clients.push(Arc::clone(slot));
            }
        });
        let mut queued: HashMap<(Arc<str>, Arc<str>), u64> = HashMap::new();
        for client in clients.iter().filter(|c| c.state() == ClientState::Waiting) {
            if let Some(who) = client.identity() {
                let pool = (Arc::clone(&who.database), pool_of(who));
                *queued.entry(pool).or_default() += 1;
            }
        }
        for client in &clients {
            if let Some(who) = client.identity() {
                let pool = (Arc::clone(&who.database), pool_of(who));
                let queued = queued.get(&pool).copied().unwrap_or(0);
                self.look_at(client, queued);
            }
        }
    }

    fn look_at(&mut self, client: &Arc<ClientSlot>, queued: u64) {
        let now = self.now;
        let age = |at: u64| if at == 0 { 0 } else { now.saturating_sub(at) };
        let activity = &client.activity;
        match client.state() {
            ClientState::Waiting => {
                let waited = age(client.waiting_since_us());
                return self.raise(Flag::Queued, waited, QUEUED, client);
            }
            ClientState::Active if activity.stalled_us() == 0 => {
                let running = age(client.request_us());
                let slow = self.insight.slow_us();
                if running > slow && !self.insight.ignores_slow(client) {
                    let limits = (slow, STATEMENT_CRITICAL.max(slow));
                    self.raise(Flag::Slow, running, limits, client);
                }
            }
            ClientState::IdleInTransaction => {
                let idle = age(activity.thinking_us());
                let behind = queued + self.locked_out.get(&client.id).copied().unwrap_or(0);
                let limits = match behind {
                    0 => IDLE,
                    _ => (IDLE_AND_IN_THE_WAY, IDLE.1),
                };
                self.raise_with(Flag::IdleInTransaction, idle, limits, (client, behind));
            }
            _ => {}
        }
        let transaction = age(activity.transaction_us());
        let limits = (self.insight.slow_transaction_us(), u64::MAX);
        self.raise(Flag::LongTransaction, transaction, limits, client);
    }
}

impl Flags {
    /// Flags begin, stay and end.
    fn settle(&mut self, view: &View<'_>, raised: &[Raised], now: u64) {
        let mut lines = Lines::default();
        let mut still: BTreeSet<(u64, Flag)> = BTreeSet::new();
        for (flagged, _) in self.counts.values_mut() {
            *flagged = 0;
        }
        for one in raised {
            let key = (one.client.id, one.flag);
            if !still.insert(key) {
                continue;
            }
            let place = (Arc::clone(&one.database), one.flag, one.severity);
            let (flagged, begun) = self.counts.entry(place).or_default();
            *flagged += 1;
            match self.up.get_mut(&key) {
                Some(up) if up.severity >= one.severity => {}
                Some(up) => {
                    up.severity = one.severity;
                    *begun += 1;
                }
                None => {
                    *begun += 1;
                    let prefix = one.client.log_prefix();
                    lines.say(|| format!("{prefix}{}", one.says(view, now)));
                    let up = Up {
                        severity: one.severity,
                        since_us: one.since_us,
                        prefix,
                    };
                    self.up.insert(key, up);
                }
            }
        }
        self.up.retain(|key, up| {
            let stays = still.contains(key);
            if !stays {
                let lasted = now.saturating_sub(up.since_us) as f64 / 1e6;
                let (prefix, flag) = (&up.prefix, key.1.as_str());
                lines.say(|| format!("{prefix}no longer {flag}, after {lasted:.1} s at most"));
            }
            stays
        });
        lines.end();
    }
}

impl Raised {
    fn says(&self, view: &View<'_>, now: u64) -> String {
        let seconds = now.saturating_sub(self.since_us) as f64 / 1e6;
        let activity = &self.client.activity;
        // What a queued client did before is not what it waits with.
        let fingerprint = match (self.flag, activity.writer()) {
            (Flag::IdleInTransaction, writer) if writer != 0 => writer,
            (Flag::Queued, _) => activity.queued(),
            _ => activity.statement(),
        };
        let mut line = format!("{} for {seconds:.1} s", self.flag.as_str());
        if self.behind > 0 {
            line += &format!(", {} waiting because of it", self.behind);
        }
        if fingerprint != 0 {
            let text = view.text(fingerprint).unwrap_or_default();
            let text = &text[..text.floor_char_boundary(TEXT)];
            // A quoted name may hold anything, and a terminal obeys it.
            let text = text.replace(char::is_control, " ");
            line += &format!(": {fingerprint:016x} {text}");
        }
        line
    }
}

/// The log lines of one pass.
#[derive(Default)]
struct Lines {
    said: usize,
    unsaid: usize,
}

impl Lines {
    fn say(&mut self, line: impl FnOnce() -> String) {
        if self.said < LINES {
            self.said += 1;
            log::warn!("{}", line());
        } else {
            self.unsaid += 1;
        }
    }

    fn end(self) {
        if self.unsaid > 0 {
            log::warn!("{} more flags began or ended", self.unsaid);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::net::Endpoint;

    fn client(registry: &Registry, state: ClientState) -> Arc<ClientSlot> {
        let address: std::net::SocketAddr = "10.0.0.1:5000".parse().unwrap();
        let slot = registry.add_client(Endpoint::Tcp(address), Endpoint::Tcp(address), 0);
        slot.identify(Identity {
            database: "db".into(),
            user: "odoo".into(),
            tls: None,
        });
        slot.set_state(state);
        slot
    }

    fn count(insight: &Insight, flag: Flag, severity: Severity) -> (u64, u64) {
        let flags = insight.flags();
        let key = (Arc::from("db"), flag, severity);
        flags.counts.get(&key).copied().unwrap_or_default()
    }

    #[test]
    fn flags_begin_worsen_and_end() {
        let (insight, registry) = (Insight::with_writers(1, 100), Registry::default());
        let start = 1_000 * SECOND;
        let pool_of = |_: &Identity| Arc::from("odoo");
        let scan = |seconds: u64| insight.scan(&registry, start + seconds * SECOND, &pool_of);
        let idle = client(&registry, ClientState::IdleInTransaction);
        idle.activity.set_thinking_us(start);
        scan(10);
        let warning = |flag| count(&insight, flag, Severity::Warning);
        assert_eq!(warning(Flag::IdleInTransaction), (0, 0), "nobody waits");

        let queued = client(&registry, ClientState::Waiting);
        queued.set_waiting_since_us(start + 10 * SECOND);
        scan(12);
        assert_eq!(warning(Flag::IdleInTransaction), (1, 1));
        assert_eq!(warning(Flag::Queued), (1, 1));
        scan(13);
        assert_eq!(warning(Flag::Queued), (1, 1), "it is the same flag");
        scan(16);
        assert_eq!(warning(Flag::Queued), (0, 1));
        assert_eq!(count(&insight, Flag::Queued, Severity::Critical), (1, 1));

        for slot in [&idle, &queued] {
            slot.set_state(ClientState::Idle);
        }
        scan(17);
        assert!(insight.flags().up.is_empty());
        assert_eq!(count(&insight, Flag::Queued, Severity::Critical), (0, 1));
    }
}
