//! How many connections a server may have to bear, and whether it can.
//!
//! Owns the arithmetic of `--check`. Asks nobody: `max_connections` is brought by the caller.
//! Why it exists: pool sizes are per database and user, so their sum is larger than it looks, and
//! PostgreSQL's refusal comes in the worst minute.

use super::{Config, DatabaseConfig, OwnSettings};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Connections of the sidecar to each server: one kept open, one opened and closed per question.
const SIDECAR_CONNECTIONS: u64 = 2;

/// The most connections one server can see from this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// `host:port`, or the path of the socket.
    pub server: String,
    /// Connections of all pools there; `None` = no setting bounds them.
    pub pools: Option<u64>,
    /// Connections that ask about locks and health.
    pub sidecar: u64,
    /// How the number of the pools comes about, one line per entry of `[databases]`.
    pub parts: Vec<String>,
}

impl Demand {
    /// Everything together; `None` = unbounded.
    pub fn total(&self) -> Option<u64> {
        self.pools.map(|pools| pools + self.sidecar)
    }

    /// Holds the demand against what the server allows. `Err` carries why it could not be asked.
    pub fn verdict(&self, max_connections: Result<u32, &str>) -> Verdict {
        match (self.total(), max_connections) {
            (_, Err(reason)) => Verdict::Unknown(reason.to_owned()),
            (None, Ok(limit)) => Verdict::Unbounded { limit },
            (Some(total), Ok(limit)) if total <= u64::from(limit) => Verdict::Fits { total, limit },
            (Some(total), Ok(limit)) => Verdict::TooMany { total, limit },
        }
    }
}

/// Does the demand fit?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Fits {
        /// Worst case.
        total: u64,
        /// `max_connections`.
        limit: u32,
    },
    /// No.
    TooMany {
        /// Worst case.
        total: u64,
        /// `max_connections`.
        limit: u32,
    },
    /// No setting keeps the pools below any number.
    Unbounded {
        /// `max_connections`.
        limit: u32,
    },
    /// The server could not be asked, and why.
    Unknown(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Fits { total, limit } => {
                write!(f, "fits: at most {total} of max_connections = {limit}")
            }
            Verdict::TooMany { total, limit } => {
                write!(f, "too many: up to {total}, but max_connections = {limit}")
            }
            Verdict::Unbounded { limit } => write!(
                f,
                "not bounded: set max_db_connections or max_user_connections below max_connections = {limit}"
            ),
            Verdict::Unknown(reason) => write!(f, "unknown: {reason}"),
        }
    }
}

/// One entry of `[databases]` in the sum.
struct Part {
    line: String,
    /// Most connections of this entry; `None` = no setting bounds it.
    bound: Option<u64>,
    /// Who may hold servers there; `None` = nobody knows.
    users: Option<BTreeSet<String>>,
}

/// The worst case per server. `users` are the names that can log in (those of auth_file); `None`
/// if they are not known, which leaves only limits per database to bound the pools.
pub fn server_demand(config: &Config, users: Option<&BTreeSet<String>>) -> Vec<Demand> {
    let mut servers: BTreeMap<String, Vec<Part>> = BTreeMap::new();
    let named = config.databases.iter();
    let lines = named
        .map(|(name, database)| (name.as_str(), database))
        .chain(config.auto_database.iter().map(|database| ("*", database)));
    for (name, database) in lines {
        for host in database.hosts(config) {
            let part = part(config, name, database, users);
            let server = database.server_name(&host);
            servers.entry(server).or_default().push(part);
        }
    }
    servers
        .into_iter()
        .map(|(server, parts)| total(config, server, &parts))
        .collect()
}

/// Limits are "0 = none" in the settings and `None` here.
fn cap(limit: u32) -> Option<u64> {
    (limit > 0).then_some(u64::from(limit))
}

fn least(left: Option<u64>, right: Option<u64>) -> Option<u64> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.min(right)),
        (bound, None) | (None, bound) => bound,
    }
}

fn shown(bound: Option<u64>) -> String {
    bound.map_or("no limit".to_owned(), |number| number.to_string())
}

fn part(
    config: &Config,
    name: &str,
    database: &DatabaseConfig,
    users: Option<&BTreeSet<String>>,
) -> Part {
    let users = match &database.user {
        Some(forced) => Some(BTreeSet::from([forced.clone()])),
        None => users.cloned(),
    };
    let pools: Option<u64> = users.as_ref().and_then(|users| {
        let sizes = users.iter().map(|user| {
            let pool = config.pool(database, user);
            Some(cap(pool.pool_size())? + u64::from(pool.reserve_pool_size()))
        });
        sizes.sum()
    });
    let db_cap = cap(config.max_db_connections(database));
    let count = users
        .as_ref()
        .map_or("any number of".to_owned(), |users| users.len().to_string());
    let line = format!(
        "{name}: {count} pools, together at most {}; max_db_connections: {}",
        shown(pools),
        shown(db_cap)
    );
    if name == "*" {
        // The line stands for any number of databases, so only limits per user bound it.
        let line = format!("{line}; for each database asked for");
        return Part {
            line,
            bound: None,
            users,
        };
    }
    Part {
        line,
        bound: least(pools, db_cap),
        users,
    }
}

fn total(config: &Config, server: String, parts: &[Part]) -> Demand {
    let by_database: Option<u64> = parts.iter().map(|part| part.bound).sum();
    let users: Option<Vec<_>> = parts.iter().map(|part| part.users.as_ref()).collect();
    let users: Option<BTreeSet<&String>> = users.map(|sets| sets.into_iter().flatten().collect());
    let by_user: Option<u64> = users.as_ref().and_then(|users| {
        let caps = users
            .iter()
            .map(|user| cap(config.max_user_connections(user)));
        caps.sum()
    });
    let mut lines: Vec<String> = parts.iter().map(|part| part.line.clone()).collect();
    if let (Some(users), Some(by_user)) = (&users, by_user) {
        lines.push(format!(
            "max_user_connections: together {by_user} for {} names",
            users.len()
        ));
    }
    Demand {
        server,
        pools: least(by_database, by_user),
        sidecar: sidecar(&config.own),
        parts: lines,
    }
}

fn sidecar(own: &OwnSettings) -> u64 {
    if own.monitor_user.is_empty() {
        0
    } else {
        SIDECAR_CONNECTIONS
    }
}
