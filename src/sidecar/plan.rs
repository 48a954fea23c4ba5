//! Which servers there are, as whom to ask them, and which databases of theirs are ours.
//!
//! Owns nothing. Mirrors: `host` (lists, Unix sockets), `port`, `dbname` of `[databases]`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::session::Door;
use crate::config::{CustomQuery, DatabaseConfig, Secret};
use crate::pool::Live;
use crate::server::{Dialing, Host};

/// Where the kept connection goes: every cluster has it, and nobody drops it.
pub const HOME: &str = "postgres";

/// What the sidecar does on one server.
#[derive(Clone, Debug)]
pub struct Plan {
    /// As the configuration names it.
    pub server: Arc<str>,
    /// Where and as whom.
    pub door: Door,
    /// Entries of `[databases]` that lead here, with their names on the server.
    pub databases: BTreeMap<String, String>,
    /// Whether `*` leads here: any database of the server may be asked for.
    pub is_any: bool,
    /// The operator's queries.
    pub queries: Vec<CustomQuery>,
    /// `server_tls_*` and `tcp_*`, to notice their change.
    mark: String,
}

impl PartialEq for Plan {
    fn eq(&self, other: &Self) -> bool {
        let key = |plan: &Self| {
            let door = &plan.door;
            (
                door.server.clone(),
                door.host.clone(),
                door.user.clone(),
                door.password.clone(),
                plan.databases.clone(),
                plan.is_any,
                plan.mark.clone(),
            )
        };
        key(self) == key(other) && self.queries == other.queries
    }
}

impl Plan {
    /// Whether a client of this entry of `[databases]` may be on this server.
    pub fn serves(&self, entry: &str, is_named: bool) -> bool {
        match is_named {
            true => self.databases.contains_key(entry),
            false => self.is_any,
        }
    }

    /// The database on the server that a custom query names: an entry of `[databases]` first.
    pub fn database_of<'a>(&'a self, named: &'a str) -> Option<&'a str> {
        match self.databases.get(named) {
            Some(name) => Some(name),
            None if self.is_any || self.databases.values().any(|name| name == named) => Some(named),
            None => None,
        }
    }
}

/// The servers to ask; and those that are not asked, because there is no `monitor_user`.
pub fn plans(dialing: &Dialing, live: &Live) -> (Vec<Plan>, Vec<Arc<str>>) {
    let config = &live.config;
    let named = config.databases.iter().map(|(n, d)| (Some(n.as_str()), d));
    let any = config.auto_database.iter().map(|d| (None, d));
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    for (name, database) in named.chain(any) {
        for host in database.hosts(config) {
            let server = found.entry(database.server_name(&host)).or_default();
            server.add(name, database, &host);
        }
    }
    if config.own.monitor_user.is_empty() {
        let names = found.into_keys().map(Arc::from).collect();
        return (Vec::new(), names);
    }
    let door = |server: &Arc<str>, host: Host| Door {
        server: Arc::clone(server),
        host,
        dialing: dialing.clone(),
        user: config.own.monitor_user.clone(),
        password: password(live),
    };
    let plans = found.into_iter().filter_map(|(server, found)| {
        let server = Arc::from(server);
        Some(Plan {
            door: door(&server, found.host?),
            server,
            databases: found.databases,
            is_any: found.is_any,
            queries: config.custom_queries.clone(),
            mark: format!("{:?} {:?}", live.server_tls, live.socket_options),
        })
    });
    (plans.collect(), Vec::new())
}

/// A server in the making.
#[derive(Default)]
struct Found {
    host: Option<Host>,
    databases: BTreeMap<String, String>,
    is_any: bool,
}

impl Found {
    fn add(&mut self, name: Option<&str>, database: &DatabaseConfig, host: &str) {
        self.host = Some(Host::parse(host, database.port));
        match name {
            Some(name) => {
                let on_server = database.server_database(name).to_owned();
                self.databases.insert(name.to_owned(), on_server);
            }
            None => self.is_any = true,
        }
    }
}

/// `monitor_password`, else the clear text that auth_file has.
pub fn password(live: &Live) -> Option<String> {
    let own = &live.config.own;
    if !own.monitor_password.is_empty() {
        return Some(own.monitor_password.reveal().to_owned());
    }
    match live.userlist.get(&own.monitor_user) {
        Some(Secret::Plain(text)) => Some(text.clone()),
        _ => None,
    }
}

/// Databases to look into: those of the entries, and with `*` all that `listed` names.
pub fn databases(plan: &Plan, listed: &[String]) -> BTreeSet<String> {
    let exists = |name: &&String| listed.iter().any(|listed| listed == *name);
    let ours = plan.databases.values().filter(exists).cloned();
    match plan.is_any {
        true => listed.iter().cloned().collect(),
        false => ours.collect(),
    }
}
