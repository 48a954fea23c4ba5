//! Who waits for whom: the lock picture of each PostgreSQL server, as the sidecar last saw it.
//!
//! Owns the published pictures, the tree made of one, and the way from a backend to its client. May
//! touch `stats` (slots). Never asks PostgreSQL. Source: pg_locks, pg_stat_activity,
//! pg_blocking_pids().

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::net::Endpoint;
use crate::stats::{ClientSlot, Registry, ServerSlot};

/// A backend that waits for a lock, or that one waits for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LockedSession {
    /// Process id; 0 is a prepared transaction, which has no process.
    pub pid: i32,
    /// Whom it waits for, each once, ascending; empty for a root.
    pub blocked_by: Vec<i32>,
    /// Database.
    pub datname: Option<String>,
    /// Role.
    pub usename: Option<String>,
    /// As the session set it.
    pub application_name: Option<String>,
    /// The address PostgreSQL sees: pgweir's own for sessions that came through it.
    pub client_addr: Option<IpAddr>,
    /// The port PostgreSQL sees; -1 for a Unix socket.
    pub client_port: Option<i32>,
    /// `client backend`, `autovacuum worker` and so on; `prepared transaction` for pid 0.
    pub backend_type: Option<String>,
    /// `active`, `idle in transaction` and so on.
    pub state: Option<String>,
    /// Class of what it waits for.
    pub wait_event_type: Option<String>,
    /// What it waits for.
    pub wait_event: Option<String>,
    /// Kind of the lock it waits for: `transactionid` (a row), `tuple`, `relation`, `advisory`.
    pub locktype: Option<String>,
    /// Mode it asks for: `AccessExclusiveLock` and so on.
    pub mode: Option<String>,
    /// How long it has waited, seconds; `None` for a root.
    pub wait_s: Option<f64>,
    /// The table in question, as a name, or as `oid N` where the sidecar cannot see the name.
    pub relation: Option<String>,
    /// Block of the row in question.
    pub page: Option<i32>,
    /// Position of the row in its block.
    pub tuple: Option<i32>,
    /// Age of the transaction, seconds.
    pub xact_age_s: Option<f64>,
    /// Time in this state, seconds.
    pub state_age_s: Option<f64>,
    /// The running statement, or the last one (which need not be the one that took the lock), with
    /// its constants: never in a log or a metric.
    pub query: Option<String>,
}

impl LockedSession {
    /// Whether it waits for a lock itself.
    pub fn is_waiting(&self) -> bool {
        !self.blocked_by.is_empty()
    }

    /// What it waits for, in words: `row of stock_quant`, `AccessExclusive stock_quant`, `advisory`.
    pub fn lock_name(&self) -> String {
        let relation = self.relation.as_deref();
        let mode = self.mode.as_deref().unwrap_or_default();
        match (self.locktype.as_deref().unwrap_or_default(), relation) {
            ("transactionid" | "tuple", Some(relation)) => format!("row of {relation}"),
            ("transactionid" | "tuple", None) => "row".to_owned(),
            ("relation" | "extend" | "page", Some(relation)) => {
                format!("{} {relation}", mode.trim_end_matches("Lock"))
            }
            (other, _) => other.to_owned(),
        }
    }
}

/// What is known of a server's locks.
#[derive(Clone, Debug, PartialEq)]
pub enum LockState {
    /// Everybody who waits, and everybody waited for. Empty when nobody waits, and while no
    /// statement is old enough to be looked at: then PostgreSQL is not asked.
    Known(Vec<LockedSession>),
    /// Why it is not known, and what to do about it.
    Unknown(String),
}

/// The locks of one server at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct LockPicture {
    /// The server as the configuration names it: `host:port`, or the path of its socket.
    pub server: Arc<str>,
    /// The address that was asked, to tell our backends from others.
    pub remote: Option<Endpoint>,
    /// When it was asked, monotonic µs.
    pub polled_us: u64,
    /// What it said.
    pub state: LockState,
}

impl LockPicture {
    /// The sessions; none when unknown.
    pub fn sessions(&self) -> &[LockedSession] {
        match &self.state {
            LockState::Known(sessions) => sessions,
            LockState::Unknown(_) => &[],
        }
    }

    /// Which of the sessions came through us, by pid.
    pub fn proxied(&self, registry: &Registry) -> HashMap<i32, Proxied> {
        if self.sessions().is_empty() {
            return HashMap::new();
        }
        let servers = registry.servers();
        let found = self.sessions().iter().filter_map(|session| {
            let is_it = |server: &&Arc<ServerSlot>| self.is_backend(session, server);
            let server = Arc::clone(servers.iter().find(is_it)?);
            let client = registry.client(server.client_id());
            Some((session.pid, Proxied { server, client }))
        });
        found.collect()
    }

    /// Process ids repeat from server to server: the address has to agree as well, either the one
    /// that was dialled or the one PostgreSQL sees of us.
    fn is_backend(&self, session: &LockedSession, server: &ServerSlot) -> bool {
        let is_dialled = || self.remote == Some(server.remote);
        let is_seen = || match (server.local, session.client_addr) {
            (Endpoint::Tcp(local), Some(address)) => {
                local.ip() == address && session.client_port == Some(i32::from(local.port()))
            }
            _ => false,
        };
        session.pid != 0 && session.pid == server.backend_pid && (is_dialled() || is_seen())
    }
}

/// The way from a backend to who is behind it.
#[derive(Clone, Debug)]
pub struct Proxied {
    /// Our connection to the backend.
    pub server: Arc<ServerSlot>,
    /// Who uses it; `None` when the client has just left.
    pub client: Option<Arc<ClientSlot>>,
}

/// What stands behind a session.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Behind {
    /// Sessions that wait for it, directly or not; each counts once.
    pub sessions: usize,
    /// Their waits together, seconds.
    pub summed_s: f64,
    /// The longest of their waits, seconds.
    pub longest_s: f64,
}

/// A line of the tree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Branch {
    /// Index into the sessions.
    pub at: usize,
    /// 0 for a root. A session that waits for several stands below the one nearest to a root.
    pub depth: usize,
    /// Index of the root above it; its own for a root.
    pub root: usize,
    /// What it holds up.
    pub behind: Behind,
}

/// The tree, line by line as it is drawn: roots with most behind them first, then everybody below
/// the one they wait for, longest wait first. A ring (a deadlock that PostgreSQL has not broken yet)
/// begins with its longest wait.
pub fn tree(sessions: &[LockedSession]) -> Vec<Branch> {
    let graph = Graph::of(sessions);
    let mut starts: Vec<usize> = (0..sessions.len())
        .filter(|&at| !sessions[at].is_waiting())
        .collect();
    let mut parents = vec![None; sessions.len()];
    let mut is_placed = vec![false; sessions.len()];
    graph.place(&starts, &mut parents, &mut is_placed);
    while let Some(at) = longest_unplaced(sessions, &is_placed) {
        starts.push(at);
        graph.place(&[at], &mut parents, &mut is_placed);
    }
    let behind: Vec<Behind> = (0..sessions.len()).map(|at| graph.behind(at)).collect();
    starts.sort_by_key(|&at| (std::cmp::Reverse(behind[at].sessions), at));
    let mut children = vec![Vec::new(); sessions.len()];
    for (at, parent) in parents.iter().enumerate() {
        if let Some(parent) = parent {
            children[*parent].push(at);
        }
    }
    for below in &mut children {
        // Drawn from the end of a stack: the longest wait goes last.
        below.sort_by(|&a, &b| waited(&sessions[a]).total_cmp(&waited(&sessions[b])));
    }
    let mut lines = Vec::with_capacity(sessions.len());
    for root in starts {
        let mut stack = vec![(root, 0)];
        while let Some((at, depth)) = stack.pop() {
            lines.push(Branch {
                at,
                depth,
                root,
                behind: behind[at],
            });
            stack.extend(children[at].iter().map(|&below| (below, depth + 1)));
        }
    }
    lines
}

/// The roots and what stands behind each: sessions that are waited for and wait for nobody.
pub fn roots(sessions: &[LockedSession]) -> Vec<(usize, Behind)> {
    let graph = Graph::of(sessions);
    (0..sessions.len())
        .filter(|&at| !sessions[at].is_waiting())
        .map(|at| (at, graph.behind(at)))
        .collect()
}

fn waited(session: &LockedSession) -> f64 {
    session.wait_s.unwrap_or_default()
}

fn longest_unplaced(sessions: &[LockedSession], is_placed: &[bool]) -> Option<usize> {
    (0..sessions.len())
        .filter(|&at| !is_placed[at])
        .max_by(|&a, &b| waited(&sessions[a]).total_cmp(&waited(&sessions[b])))
}

/// From who is waited for to who waits, by index.
struct Graph<'a> {
    sessions: &'a [LockedSession],
    waiters: Vec<Vec<usize>>,
}

impl<'a> Graph<'a> {
    fn of(sessions: &'a [LockedSession]) -> Self {
        let by_pid: HashMap<i32, usize> = sessions
            .iter()
            .enumerate()
            .map(|(at, session)| (session.pid, at))
            .collect();
        let mut waiters = vec![Vec::new(); sessions.len()];
        for (at, session) in sessions.iter().enumerate() {
            let blockers: BTreeSet<i32> = session.blocked_by.iter().copied().collect();
            for blocker in blockers.iter().filter_map(|pid| by_pid.get(pid)) {
                waiters[*blocker].push(at);
            }
        }
        Self { sessions, waiters }
    }

    /// Breadth first, so that everybody gets the parent nearest to a start.
    fn place(&self, starts: &[usize], parents: &mut [Option<usize>], is_placed: &mut [bool]) {
        let mut queue: VecDeque<usize> = starts.iter().copied().collect();
        for &start in starts {
            is_placed[start] = true;
        }
        while let Some(at) = queue.pop_front() {
            for &waiter in &self.waiters[at] {
                if !is_placed[waiter] {
                    is_placed[waiter] = true;
                    parents[waiter] = Some(at);
                    queue.push_back(waiter);
                }
            }
        }
    }

    fn behind(&self, start: usize) -> Behind {
        let mut is_seen = vec![false; self.sessions.len()];
        is_seen[start] = true;
        let mut queue = vec![start];
        let mut behind = Behind::default();
        while let Some(at) = queue.pop() {
            for &waiter in &self.waiters[at] {
                if !is_seen[waiter] {
                    is_seen[waiter] = true;
                    let wait = waited(&self.sessions[waiter]);
                    behind.sessions += 1;
                    behind.summed_s += wait;
                    behind.longest_s = behind.longest_s.max(wait);
                    queue.push(waiter);
                }
            }
        }
        behind
    }
}

/// The pictures of all servers; written by the sidecar, read by anybody.
#[derive(Debug, Default)]
pub struct Locks {
    pictures: ArcSwap<Vec<Arc<LockPicture>>>,
}

impl Locks {
    /// One picture per server, by name. Empty until the sidecar has looked at the configuration.
    pub fn all(&self) -> Arc<Vec<Arc<LockPicture>>> {
        self.pictures.load_full()
    }

    /// Takes the place of the server's last picture.
    pub fn publish(&self, picture: LockPicture) {
        let picture = Arc::new(picture);
        self.pictures.rcu(|before| {
            let others = before.iter().filter(|other| other.server != picture.server);
            let mut after: Vec<_> = others.cloned().chain([Arc::clone(&picture)]).collect();
            after.sort_by(|a, b| a.server.cmp(&b.server));
            after
        });
    }

    /// Forgets the servers for which `stays` is false: the configuration has lost them.
    pub fn retain(&self, stays: impl Fn(&str) -> bool) {
        self.pictures.rcu(|before| {
            let kept = before.iter().filter(|picture| stays(&picture.server));
            kept.cloned().collect::<Vec<_>>()
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
