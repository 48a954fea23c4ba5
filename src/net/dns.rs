//! Host names to addresses, cached.
//!
//! Owns: the name cache of the process. May touch: the system's resolver, off the lane. Never: keeps
//! a caller from the cache while another looks something else up.
//! Mirrors: `dns_max_ttl`, `dns_nxdomain_ttl`, SHOW DNS_HOSTS; the record's own TTL is not looked at,
//! as in PgBouncer.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Mutex as AsyncMutex;

/// Why a name has no address.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DnsError {
    /// The resolver said so.
    #[error("cannot resolve \"{name}\": {error}")]
    Failed {
        /// The name.
        name: String,
        /// The resolver's answer.
        error: Arc<std::io::Error>,
    },
    /// An answer without addresses.
    #[error("\"{0}\" has no address")]
    Empty(String),
}

/// How long answers are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DnsTimes {
    /// `dns_max_ttl`.
    pub found: Duration,
    /// `dns_nxdomain_ttl`.
    pub failed: Duration,
}

impl From<&crate::config::Settings> for DnsTimes {
    fn from(settings: &crate::config::Settings) -> Self {
        Self {
            found: settings.dns_max_ttl,
            failed: settings.dns_nxdomain_ttl,
        }
    }
}

/// One cached name, for SHOW DNS_HOSTS.
#[derive(Clone, Debug)]
pub struct DnsRow {
    /// The name as asked for.
    pub name: String,
    /// How much longer the answer is believed.
    pub ttl: Duration,
    /// The addresses; none when the lookup failed.
    pub addresses: Vec<IpAddr>,
}

/// What a later lookup of a name no longer gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The name as asked for.
    pub name: String,
    /// Addresses that are gone.
    pub addresses: Vec<IpAddr>,
}

/// The cache: one for the process, shared by all lanes.
#[derive(Debug, Default)]
pub struct Resolver {
    dropped: Mutex<Vec<Dropped>>,
    /// As many names as the configuration has hosts.
    names: Mutex<HashMap<String, Arc<Name>>>,
}

#[derive(Debug, Default)]
struct Name {
    /// Held during a lookup: whoever asks for the same name waits for that one.
    answer: AsyncMutex<Option<Answer>>,
    /// Which address is first next time.
    turn: AtomicUsize,
}

#[derive(Clone, Debug)]
struct Answer {
    result: Result<Arc<[IpAddr]>, DnsError>,
    until: Instant,
}

impl Resolver {
    /// The addresses of `host` in the order to try them: each call begins with the next one, so
    /// that connections spread. Cancel safe.
    pub async fn resolve(&self, host: &str, times: DnsTimes) -> Result<Vec<IpAddr>, DnsError> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let name = Arc::clone(self.lock().entry(host.to_owned()).or_default());
        let mut answer = name.answer.lock().await;
        let found = match &*answer {
            Some(known) if known.until > Instant::now() => known.result.clone(),
            _ => {
                let result = look_up(host).await;
                if let (
                    Some(Answer {
                        result: Ok(old), ..
                    }),
                    Ok(new),
                ) = (&*answer, &result)
                {
                    self.note_dropped(host, old, new);
                }
                let ttl = if result.is_ok() {
                    times.found
                } else {
                    times.failed
                };
                *answer = Some(Answer {
                    result: result.clone(),
                    until: Instant::now() + ttl,
                });
                result
            }
        };
        drop(answer);
        let mut addresses = found?.to_vec();
        let turn = name.turn.fetch_add(1, Ordering::Relaxed);
        let first = turn % addresses.len();
        addresses.rotate_left(first);
        Ok(addresses)
    }

    /// A lookup that fails drops nothing: the servers it would cut off still work.
    fn note_dropped(&self, name: &str, old: &[IpAddr], new: &[IpAddr]) {
        let gone = old.iter().filter(|address| !new.contains(address));
        let addresses: Vec<IpAddr> = gone.copied().collect();
        if !addresses.is_empty() {
            let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
            dropped.push(Dropped {
                name: name.to_owned(),
                addresses,
            });
        }
    }

    /// Addresses that names have lost since the last call.
    pub fn take_dropped(&self) -> Vec<Dropped> {
        std::mem::take(&mut *self.dropped.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is cached now; names being looked up are left out.
    pub fn rows(&self) -> Vec<DnsRow> {
        let names = self.lock();
        let rows = names.iter().filter_map(|(host, name)| {
            let answer = name.answer.try_lock().ok()?.clone()?;
            Some(DnsRow {
                name: host.clone(),
                ttl: answer.until.saturating_duration_since(Instant::now()),
                addresses: answer.result.map_or(Vec::new(), |found| found.to_vec()),
            })
        });
        rows.collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Name>>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn look_up(host: &str) -> Result<Arc<[IpAddr]>, DnsError> {
    let found = tokio::net::lookup_host((host, 0)).await;
    let found = found.map_err(|error| DnsError::Failed {
        name: host.to_owned(),
        error: Arc::new(error),
    })?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in found.map(|address: SocketAddr| address.ip()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(DnsError::Empty(host.to_owned()));
    }
    Ok(addresses.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TIMES: DnsTimes = DnsTimes {
        found: Duration::from_secs(60),
        failed: Duration::from_secs(60),
    };

    #[tokio::test]
    async fn addresses_need_no_lookup_and_answers_are_kept() {
        let resolver = Resolver::default();
        let v6 = resolver.resolve("::1", TIMES).await.unwrap();
        assert_eq!(v6, ["::1".parse::<IpAddr>().unwrap()]);
        assert!(resolver.rows().is_empty());
        let found = resolver.resolve("localhost", TIMES).await.unwrap();
        assert!(found.iter().all(IpAddr::is_loopback));
        let rows = resolver.rows();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].addresses.len(), found.len());
        assert!(rows[0].ttl > Duration::from_secs(50));
    }

    #[tokio::test]
    async fn an_address_that_a_later_lookup_lacks_is_dropped_once() {
        let resolver = Resolver::default();
        let old: Arc<[IpAddr]> = Arc::from(["192.0.2.1".parse().unwrap()]);
        let name = Arc::new(Name::default());
        *name.answer.lock().await = Some(Answer {
            result: Ok(Arc::clone(&old)),
            until: Instant::now(),
        });
        resolver.lock().insert("localhost".to_owned(), name);
        resolver.resolve("localhost", TIMES).await.unwrap();
        let dropped = Dropped {
            name: "localhost".to_owned(),
            addresses: old.to_vec(),
        };
        assert_eq!(resolver.take_dropped(), [dropped]);
        assert_eq!(resolver.take_dropped(), []);
    }

    #[tokio::test]
    async fn addresses_take_turns() {
        let resolver = Resolver::default();
        let both: Arc<[IpAddr]> =
            Arc::from(["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()]);
        let name = Arc::new(Name::default());
        *name.answer.lock().await = Some(Answer {
            result: Ok(Arc::clone(&both)),
            until: Instant::now() + TIMES.found,
        });
        resolver.lock().insert("db".to_owned(), name);
        let mut firsts = Vec::new();
        for _ in 0..3 {
            firsts.push(resolver.resolve("db", TIMES).await.unwrap()[0]);
        }
        assert_eq!(firsts, [both[0], both[1], both[0]]);
    }
}
