//! What `--check` asks the servers: how many connections each allows.
//!
//! Owns: as whom to log in for it, and one query. Bounded by `LIMIT`; a server that cannot be asked
//! gives a reason, never an error of the check.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::auth::SecretKind;
use crate::auth::scram::KeyCache;
use crate::config::{DatabaseConfig, Demand, Secret};
use crate::net::Stream;
use crate::net::dns::{DnsTimes, Resolver};
use crate::pool::Live;
use crate::server::{Dialing, Host, OpenError, ServerSecret, Target, open};
use crate::sidecar;
use crate::wire::backend::tag;
use crate::wire::frame::{self, HEADER, Peeked};
use crate::wire::frontend;

/// Longest for one server, logins that fail included.
const LIMIT: Duration = Duration::from_secs(3);
/// Names tried on one server before giving up.
const MAX_TRIES: usize = 5;
/// Where a `*` line leads when it names no database; every cluster has it.
const MAINTENANCE_DATABASE: &str = "postgres";
/// Longest frame of an answer to `SHOW`, in bytes: an error text at worst.
const MAX_FRAME: u32 = 64 * 1024;

/// Why a server did not say.
#[derive(Debug, thiserror::Error)]
enum AskError {
    /// Nobody to log in as.
    #[error("no name with a usable secret in auth_file, no forced user and no monitor_user")]
    Nobody,
    /// No connection.
    #[error("{0}")]
    Open(#[from] OpenError),
    /// The connection broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// An answer that is none.
    #[error("the server did not answer SHOW max_connections")]
    Answer,
    /// `LIMIT`.
    #[error("no answer within {} s", LIMIT.as_secs())]
    Timeout,
}

/// `max_connections` per `Demand::server`, or why it is not known.
pub fn max_connections(live: &Live, demands: &[Demand]) -> BTreeMap<String, Result<u32, String>> {
    let all = demands.iter().map(|demand| demand.server.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let (runtime, keys) = match (runtime, KeyCache::open()) {
        (Ok(runtime), Ok(keys)) => (runtime, keys),
        (Err(error), _) => return all.map(|server| (server, Err(error.to_string()))).collect(),
        (_, Err(error)) => return all.map(|server| (server, Err(error.to_string()))).collect(),
    };
    let dialing = dialing(live, keys);
    runtime.block_on(async {
        let mut asking = JoinSet::new();
        for server in all {
            let targets = targets(live, &server, &dialing);
            asking.spawn(async move {
                let answer = timeout(LIMIT, ask_any(targets)).await;
                let answer = answer.unwrap_or(Err(AskError::Timeout));
                (server, answer.map_err(|error| error.to_string()))
            });
        }
        asking.join_all().await.into_iter().collect()
    })
}

fn dialing(live: &Live, keys: KeyCache) -> Dialing {
    Dialing {
        tls: Arc::clone(&live.server_tls),
        options: live.socket_options,
        dns: DnsTimes::from(&live.config.settings),
        resolver: Arc::new(Resolver::default()),
        keys: Arc::new(keys),
    }
}

/// Whether `monitor_user` can do its work on each server, one line each.
pub fn monitor(live: &Live) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match (runtime, KeyCache::open()) {
        (Ok(runtime), Ok(keys)) => {
            runtime.block_on(sidecar::check::report(live, &dialing(live, keys)))
        }
        (Err(error), _) => vec![error.to_string()],
        (_, Err(error)) => vec![error.to_string()],
    }
}

/// Everything that might get us in, best first.
fn targets(live: &Live, server: &str, dialing: &Dialing) -> Vec<Target> {
    let config = &live.config;
    let named = config.databases.iter().map(|(n, d)| (n.as_str(), d));
    let any = config
        .auto_database
        .iter()
        .map(|d| (MAINTENANCE_DATABASE, d));
    let mut targets = Vec::new();
    for (name, database) in named.chain(any) {
        let hosts = database.hosts(config);
        let Some(host) = hosts
            .iter()
            .find(|host| database.server_name(host) == server)
        else {
            continue;
        };
        for (user, secret) in logins(live, database) {
            targets.push(Target {
                host: Host::parse(host, database.port),
                database: database.server_database(name).to_owned(),
                user,
                secret,
                startup: Vec::new(),
                dialing: dialing.clone(),
            });
        }
    }
    targets.truncate(MAX_TRIES);
    targets
}

/// The monitor, the forced user, then whoever has a clear-text entry; last those with md5 ones.
fn logins(live: &Live, database: &DatabaseConfig) -> Vec<(String, ServerSecret)> {
    let own = &live.config.own;
    let mut logins = Vec::new();
    let mut add = |user: &str, password: &str| {
        let kind = match (password, live.userlist.get(user)) {
            ("", Some(Secret::Plain(text) | Secret::Md5(text))) => SecretKind::parse(text),
            (password, _) => SecretKind::parse(password),
        };
        logins.push((user.to_owned(), ServerSecret::from_stored(&kind, None)));
    };
    if !own.monitor_user.is_empty() {
        add(&own.monitor_user, own.monitor_password.reveal());
    }
    if let Some(forced) = &database.user {
        add(forced, database.password.reveal());
    }
    let entries = || live.userlist.entries.iter();
    for (user, _) in entries().filter(|(_, secret)| matches!(secret, Secret::Plain(_))) {
        add(user, "");
    }
    for (user, _) in entries().filter(|(_, secret)| matches!(secret, Secret::Md5(_))) {
        add(user, "");
    }
    logins
}

async fn ask_any(targets: Vec<Target>) -> Result<u32, AskError> {
    let mut last = AskError::Nobody;
    for target in targets {
        match ask(&target).await {
            Ok(limit) => return Ok(limit),
            Err(error @ AskError::Open(OpenError::Unreachable(_))) => return Err(error),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// One login and one query. Not cancel safe; the connection is closed with it.
async fn ask(target: &Target) -> Result<u32, AskError> {
    let mut stream = open(target).await?.stream;
    let mut request = Vec::new();
    frontend::query(&mut request, b"SHOW max_connections");
    stream.write_all(&request).await?;
    let limit = answer(&mut stream).await?;
    stream.write_all(&[b'X', 0, 0, 0, 4]).await?;
    Ok(limit)
}

async fn answer(stream: &mut Stream) -> Result<u32, AskError> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        match frame::peek(&bytes, MAX_FRAME) {
            Peeked::Bad => return Err(AskError::Answer),
            Peeked::Header(header) if bytes.len() >= header.total => {
                match header.tag {
                    tag::DATA_ROW => {
                        return number(&bytes[HEADER..header.total]).ok_or(AskError::Answer);
                    }
                    tag::ERROR | tag::READY_FOR_QUERY => return Err(AskError::Answer),
                    _ => {}
                }
                bytes.drain(..header.total);
            }
            Peeked::Header(_) | Peeked::Short => match stream.read_some(&mut chunk).await? {
                0 => return Err(AskError::Answer),
                count => bytes.extend_from_slice(&chunk[..count]),
            },
        }
    }
}

/// The only column of a DataRow: a count of columns, a length, text.
fn number(body: &[u8]) -> Option<u32> {
    std::str::from_utf8(body.get(6..)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn a_row_holds_a_number_or_nothing() {
        assert_eq!(number(b"\0\x01\0\0\0\x03100"), Some(100));
        assert_eq!(number(b"\0\x01\0\0\0\x03ten"), None);
        assert_eq!(number(b"\0\x01"), None);
    }
}
