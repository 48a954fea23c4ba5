//! Flags of lock waits: who is blocked, who blocks, since when, and what to say when it begins and
//! ends.
//!
//! Owns the episodes and their counts, fed with pictures. Never logs or asks. A root is one episode
//! from the first wait over a limit until nobody waits for it any more.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::locks::{Behind, LockPicture, LockState, LockedSession, Proxied, tree};

/// How bad a wait is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Over `lock_wait_warn_ms`.
    Warning,
    /// Over `lock_wait_crit_ms`.
    Critical,
}

impl Severity {
    /// As in labels and log lines.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

/// Waits from which on a flag is raised, seconds; `None` = off.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// `lock_wait_warn_ms`.
    pub warn_s: Option<f64>,
    /// `lock_wait_crit_ms`.
    pub crit_s: Option<f64>,
}

impl Limits {
    /// How bad a wait is, if it is.
    pub fn severity(&self, wait_s: f64) -> Option<Severity> {
        let is_over = |limit: Option<f64>| limit.is_some_and(|limit| wait_s >= limit);
        if is_over(self.crit_s) {
            Some(Severity::Critical)
        } else {
            is_over(self.warn_s).then_some(Severity::Warning)
        }
    }

    /// Time until one of the waits passes its next limit.
    pub fn until_next(&self, sessions: &[LockedSession]) -> Option<std::time::Duration> {
        let waits = sessions.iter().filter_map(|session| session.wait_s);
        let until = waits.flat_map(|wait| {
            let limits = [self.warn_s, self.crit_s].into_iter().flatten();
            limits
                .map(move |limit| limit - wait)
                .filter(|left| *left > 0.0)
        });
        let least = until.min_by(f64::total_cmp)?;
        std::time::Duration::try_from_secs_f64(least).ok()
    }
}

/// What is flagged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flag {
    /// Waits for a lock.
    Blocked,
    /// Is waited for, and waits for nobody.
    Blocking,
}

impl Flag {
    /// As in labels.
    pub fn word(self) -> &'static str {
        match self {
            Flag::Blocked => "blocked",
            Flag::Blocking => "blocking",
        }
    }
}

/// Database, flag, severity.
pub type FlagKey = (Arc<str>, Flag, Severity);

/// One root and what it did so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// The server.
    pub server: Arc<str>,
    /// The root's backend.
    pub pid: i32,
    /// The root's client, when it came through us.
    pub client: Option<u64>,
    /// Client, database, user, address, application of the root, in words.
    pub root: String,
    /// What the root was doing when it began, in words.
    pub doing: String,
    /// The one that waited longest when it began, in words.
    pub first: String,
    /// What that one waited for, in words.
    pub lock: String,
    /// The most sessions behind it.
    pub sessions: usize,
    /// The longest wait, seconds.
    pub longest_s: f64,
    /// How bad it got.
    pub severity: Severity,
}

/// What to say.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// Somebody waits for it longer than a limit.
    Began(Episode),
    /// Nobody waits for it any more.
    Ended(Episode),
}

#[derive(Debug)]
struct Flagged {
    database: Arc<str>,
    severity: Severity,
}

/// (server, backend).
type Key = (Arc<str>, i32);

#[derive(Debug, Default)]
struct State {
    episodes: HashMap<Key, Episode>,
    flagged: HashMap<(Flag, Arc<str>, i32), Flagged>,
    begun: BTreeMap<FlagKey, u64>,
    /// Longest wait by server and database, seconds.
    oldest: BTreeMap<Arc<str>, BTreeMap<Arc<str>, f64>>,
}

/// All flags of lock waits.
#[derive(Debug, Default)]
pub struct Blocking {
    state: Mutex<State>,
}

impl Blocking {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a picture over; what began and ended by it. An unknown picture ends everything of its
    /// server in silence: nobody knows.
    pub fn observe(
        &self,
        picture: &LockPicture,
        proxied: &HashMap<i32, Proxied>,
        limits: Limits,
    ) -> Vec<News> {
        let mut state = self.lock();
        if matches!(picture.state, LockState::Unknown(_)) {
            state.forget(&picture.server);
            return Vec::new();
        }
        let scene = Scene {
            picture,
            proxied,
            limits,
        };
        state.note_waits(&scene);
        let roots = scene.roots();
        state.note_flags(&scene, &roots);
        state.note_episodes(&scene, &roots)
    }

    /// The server cannot be asked any more.
    pub fn forget(&self, server: &Arc<str>) {
        self.lock().forget(server);
    }

    /// Forgets servers for which `stays` is false.
    pub fn retain(&self, stays: impl Fn(&str) -> bool) {
        let mut state = self.lock();
        state.episodes.retain(|(server, _), _| stays(server));
        state.flagged.retain(|(_, server, _), _| stays(server));
        state.oldest.retain(|server, _| stays(server));
    }

    /// Sessions flagged now.
    pub fn flagged(&self) -> BTreeMap<FlagKey, u64> {
        let state = self.lock();
        let mut counts = BTreeMap::new();
        for ((flag, ..), flagged) in &state.flagged {
            let key = (Arc::clone(&flagged.database), *flag, flagged.severity);
            *counts.entry(key).or_default() += 1;
        }
        counts
    }

    /// How often flags were raised since the start.
    pub fn begun(&self) -> BTreeMap<FlagKey, u64> {
        self.lock().begun.clone()
    }

    /// The longest wait for a lock by database, seconds; 0 where somebody waited before.
    pub fn oldest_waits(&self) -> BTreeMap<Arc<str>, f64> {
        let state = self.lock();
        let mut longest: BTreeMap<Arc<str>, f64> = BTreeMap::new();
        for (database, wait) in state.oldest.values().flatten() {
            let known = longest.entry(Arc::clone(database)).or_default();
            *known = known.max(*wait);
        }
        longest
    }

    /// The flag of a backend, for screens.
    pub fn of_backend(&self, flag: Flag, server: &Arc<str>, pid: i32) -> Option<Severity> {
        let state = self.lock();
        let flagged = state.flagged.get(&(flag, Arc::clone(server), pid));
        flagged.map(|flagged| flagged.severity)
    }
}

/// A picture and what is needed to understand it.
struct Scene<'a> {
    picture: &'a LockPicture,
    proxied: &'a HashMap<i32, Proxied>,
    limits: Limits,
}

impl Scene<'_> {
    fn key(&self, pid: i32) -> Key {
        (Arc::clone(&self.picture.server), pid)
    }

    /// As the client named it; the server's own name for sessions that are not ours.
    fn database(&self, session: &LockedSession) -> Arc<str> {
        match self.proxied.get(&session.pid) {
            Some(ours) => Arc::clone(&ours.server.database),
            None => session.datname.as_deref().unwrap_or_default().into(),
        }
    }

    /// Roots by index, with what is behind them and who of those waits longest.
    fn roots(&self) -> Vec<(usize, Behind, usize)> {
        let sessions = self.picture.sessions();
        let lines = tree(sessions);
        let starts = lines.iter().filter(|line| line.depth == 0);
        let roots = starts.filter(|line| line.behind.sessions > 0).map(|start| {
            let below = lines
                .iter()
                .filter(|line| line.root == start.at && line.depth > 0);
            let wait = |at: usize| sessions[at].wait_s.unwrap_or_default();
            let longest = below.max_by(|a, b| wait(a.at).total_cmp(&wait(b.at)));
            (
                start.at,
                start.behind,
                longest.map_or(start.at, |line| line.at),
            )
        });
        roots.collect()
    }

    fn describe(&self, session: &LockedSession) -> String {
        let pid = session.pid;
        match self.proxied.get(&pid) {
            Some(Proxied {
                client: Some(client),
                server,
            }) => {
                let user = client.identity().map(|who| Arc::clone(&who.user));
                let user = user.unwrap_or_else(|| Arc::clone(&server.user));
                let application = match client.application_name() {
                    Some(name) if !name.is_empty() => format!("{name}, "),
                    _ => String::new(),
                };
                format!(
                    "client {} {}/{user}@{} ({application}backend {pid})",
                    client.id, server.database, client.remote
                )
            }
            _ => {
                let word = |text: &Option<String>| text.clone().unwrap_or_default();
                let address = session.client_addr.map(|a| a.to_string());
                format!(
                    "{} {}/{}@{} ({}, backend {pid}), not through pgweir",
                    session.backend_type.as_deref().unwrap_or("session"),
                    word(&session.datname),
                    word(&session.usename),
                    address.as_deref().unwrap_or("local"),
                    word(&session.application_name),
                )
            }
        }
    }

    fn begin(&self, root: usize, behind: Behind, longest: usize, severity: Severity) -> Episode {
        let sessions = self.picture.sessions();
        let (session, first) = (&sessions[root], &sessions[longest]);
        let state = session.state.as_deref().unwrap_or("unknown state");
        let client = self.proxied.get(&session.pid);
        let client = client.and_then(|ours| ours.client.as_ref());
        Episode {
            server: Arc::clone(&self.picture.server),
            pid: session.pid,
            client: client.map(|client| client.id),
            root: self.describe(session),
            doing: match session.state_age_s {
                Some(age) => format!("{state} for {age:.1} s"),
                None => state.to_owned(),
            },
            first: self.describe(first),
            lock: first.lock_name(),
            sessions: behind.sessions,
            longest_s: behind.longest_s,
            severity,
        }
    }
}

impl State {
    fn forget(&mut self, server: &Arc<str>) {
        self.episodes.retain(|(of, _), _| of != server);
        self.flagged.retain(|(_, of, _), _| of != server);
        self.oldest.remove(server);
    }

    fn note_waits(&mut self, scene: &Scene<'_>) {
        let server = Arc::clone(&scene.picture.server);
        let oldest = self.oldest.entry(server).or_default();
        for wait in oldest.values_mut() {
            *wait = 0.0;
        }
        for session in scene.picture.sessions() {
            if let Some(wait) = session.wait_s {
                let known = oldest.entry(scene.database(session)).or_default();
                *known = known.max(wait);
            }
        }
    }

    fn note_flags(&mut self, scene: &Scene<'_>, roots: &[(usize, Behind, usize)]) {
        let sessions = scene.picture.sessions();
        let blocked = sessions.iter().filter_map(|session| {
            let severity = scene.limits.severity(session.wait_s?)?;
            Some((Flag::Blocked, session, severity))
        });
        let blocking = roots.iter().filter_map(|(at, behind, _)| {
            let severity = scene.limits.severity(behind.longest_s)?;
            Some((Flag::Blocking, &sessions[*at], severity))
        });
        let mut after = HashMap::new();
        for (flag, session, severity) in blocked.chain(blocking) {
            let key = (flag, Arc::clone(&scene.picture.server), session.pid);
            let database = scene.database(session);
            let before = self.flagged.get(&key).map(|flagged| flagged.severity);
            if before != Some(severity) {
                let key = (Arc::clone(&database), flag, severity);
                *self.begun.entry(key).or_default() += 1;
            }
            after.insert(key, Flagged { database, severity });
        }
        let server = &scene.picture.server;
        self.flagged.retain(|(_, of, _), _| of != server);
        self.flagged.extend(after);
    }

    fn note_episodes(&mut self, scene: &Scene<'_>, roots: &[(usize, Behind, usize)]) -> Vec<News> {
        let sessions = scene.picture.sessions();
        let mut news = Vec::new();
        let mut present = Vec::new();
        for &(at, behind, longest) in roots {
            let key = scene.key(sessions[at].pid);
            present.push(key.clone());
            let severity = scene.limits.severity(behind.longest_s);
            if let Some(episode) = self.episodes.get_mut(&key) {
                episode.sessions = episode.sessions.max(behind.sessions);
                episode.longest_s = episode.longest_s.max(behind.longest_s);
                episode.severity = episode.severity.max(severity.unwrap_or(Severity::Warning));
            } else if let Some(severity) = severity {
                let episode = scene.begin(at, behind, longest, severity);
                news.push(News::Began(episode.clone()));
                self.episodes.insert(key, episode);
            }
        }
        let server = &scene.picture.server;
        let is_over = |key: &Key| key.0 == *server && !present.contains(key);
        let over: Vec<Key> = self
            .episodes
            .keys()
            .filter(|key| is_over(key))
            .cloned()
            .collect();
        let ended = over.iter().filter_map(|key| self.episodes.remove(key));
        news.extend(ended.map(News::Ended));
        news
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
