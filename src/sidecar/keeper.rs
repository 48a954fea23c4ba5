//! The kept connection to one server: opened at start, opened again after a loss, asked about locks
//! while something is old and about health every quarter of a minute.
//!
//! Owns the connection, the back-off, and the words in the log about both. One question at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::cadence::Cadence;
use super::health::Questions;
use super::locks::{self, Names, number};
use super::plan::{HOME, Plan};
use super::scan::Wanted;
use super::session::{ASK_LIMIT, AskError, Session};
use super::{publish_unknown, report};
use crate::insight::locks::{LockPicture, LockState, LockedSession};
use crate::pool::Shared;
use crate::stats::clock::{as_us, now_us};

/// From one look at health to the next.
const HEALTH_EVERY: Duration = Duration::from_secs(15);
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(30);
/// How much younger than its wait a statement may look before it is taken for another one: the two
/// clocks are read at different moments.
const SLACK_US: u64 = 50_000;

/// Asks one server.
pub struct Keeper {
    shared: Arc<Shared>,
    plan: Arc<Plan>,
    wanted: watch::Receiver<Wanted>,
    /// Tells the errands which databases there are.
    list: watch::Sender<Vec<String>>,
    questions: Questions,
    names: Names,
    retry: Duration,
    /// The last complaint in the log, so that it stands there once.
    complaint: Option<String>,
    may_see: bool,
    /// Somebody waits who did not come through us.
    must_look: bool,
    /// The sessions of the last picture, to see a change.
    last: Vec<LockedSession>,
}

impl Keeper {
    /// `list` is where the names of the server's databases go.
    pub fn of(
        shared: Arc<Shared>,
        plan: Arc<Plan>,
        wanted: watch::Receiver<Wanted>,
        list: watch::Sender<Vec<String>>,
    ) -> Self {
        Self {
            questions: Questions::of(Arc::clone(&shared), Arc::clone(&plan)),
            shared,
            plan,
            wanted,
            list,
            names: Names::default(),
            retry: FIRST_RETRY,
            complaint: None,
            may_see: false,
            must_look: false,
            last: Vec::new(),
        }
    }

    /// Never ends by itself.
    pub async fn run(mut self) {
        loop {
            let error = match Session::open(&self.plan.door, HOME).await {
                Ok(session) => {
                    self.retry = FIRST_RETRY;
                    self.serve(&session).await
                }
                Err(error) => error,
            };
            self.on_lost(&error);
            sleep(self.retry).await;
            self.retry = (self.retry * 2).min(LAST_RETRY);
        }
    }

    /// Until the connection is lost. An answer that PostgreSQL refuses loses nothing.
    async fn serve(&mut self, session: &Session) -> AskError {
        let mut cadence = Cadence::default();
        let mut next_health = Instant::now();
        let mut next_look = None;
        loop {
            let now = Instant::now();
            let asked = if next_health <= now {
                next_health = now + HEALTH_EVERY;
                let asked = self.health(session).await;
                asked.map(|is_blocked| {
                    if is_blocked && self.last.is_empty() {
                        self.must_look = true;
                        next_look = Some(now);
                    }
                })
            } else if next_look.is_some_and(|at| at <= now) {
                let looked = self.look(session, &mut cadence).await;
                looked.map(|pause| next_look = pause.map(|pause| Instant::now() + pause))
            } else {
                let until = next_look.map_or(next_health, |at| at.min(next_health));
                tokio::select! {
                    () = session.ended() => {}
                    () = sleep_until(until) => {}
                    Ok(()) = self.wanted.changed() => {
                        self.on_wanted(&mut next_look);
                    }
                }
                Ok(())
            };
            match asked {
                Err(error) if session.is_ended() => return error,
                Err(error) => self.on_refused(&error),
                Ok(()) if session.is_ended() => return AskError::Gone,
                Ok(()) => {}
            }
        }
    }

    /// What is old has changed: look at once, unless a look is due anyway and nobody is blocked.
    fn on_wanted(&mut self, next_look: &mut Option<Instant>) {
        let is_old = self.wanted.borrow_and_update().is_old;
        if (is_old && next_look.is_none()) || !self.last.is_empty() {
            *next_look = Some(Instant::now());
        }
    }

    /// One look at the locks; the pause until the next, or none when nothing is old.
    async fn look(
        &mut self,
        session: &Session,
        cadence: &mut Cadence,
    ) -> Result<Option<Duration>, AskError> {
        let is_old = self.wanted.borrow().is_old;
        if !is_old && self.last.is_empty() && !std::mem::take(&mut self.must_look) {
            cadence.rest();
            return Ok(None);
        }
        if !self.may_see {
            self.check_privilege(session).await?;
        }
        if !self.may_see {
            return Ok(Some(cadence.next(false, None)));
        }
        let polled_us = now_us();
        let rows = match session.rows(locks::QUESTION, ASK_LIMIT).await {
            Ok(rows) => rows,
            Err(error) => {
                self.publish(session, polled_us, LockState::Unknown(error.to_string()));
                self.shared
                    .insight
                    .health
                    .count_error(&self.plan.server, "locks", error.reason());
                self.last.clear();
                self.on_refused(&error);
                return match session.is_ended() {
                    true => Err(error),
                    false => Ok(Some(cadence.next(false, None))),
                };
            }
        };
        self.complaint = None;
        let found = self
            .names
            .fill(&self.plan.door, locks::sessions(&rows))
            .await;
        // A wait that ends is known as long as the last look saw it: while there is one, look often.
        let is_lively = !found.is_empty() || !self.last.is_empty();
        self.last.clone_from(&found);
        let limit = self.publish(session, polled_us, LockState::Known(found));
        Ok(Some(cadence.next(is_lively, limit)))
    }

    /// Publishes a picture, tells the slots and the log; the time until the next limit.
    fn publish(&self, session: &Session, polled_us: u64, state: LockState) -> Option<Duration> {
        let picture = LockPicture {
            server: Arc::clone(&self.plan.server),
            remote: Some(session.remote),
            polled_us,
            state,
        };
        let proxied = picture.proxied(&self.shared.registry);
        for waiting in picture.sessions() {
            let (Some(wait), Some(ours)) = (waiting.wait_s, proxied.get(&waiting.pid)) else {
                continue;
            };
            let wait_us = as_us(Duration::try_from_secs_f64(wait).unwrap_or_default());
            // RACE: the statement may have ended since and another begun; that one is younger than
            // the wait.
            let age = |client: &crate::stats::ClientSlot| {
                polled_us.saturating_sub(client.request_us()) + SLACK_US
            };
            if ours
                .client
                .as_ref()
                .is_some_and(|client| age(client) >= wait_us)
            {
                ours.server.saw_blocked_us(wait_us);
            }
        }
        let limits = report::limits(&self.shared.insight);
        report::tell(&self.shared.insight.blocking, &picture, &proxied, limits);
        let until = limits.until_next(picture.sessions());
        self.shared.insight.locks.publish(picture);
        until
    }

    /// Asks about health; also whether the role may see others at all. True when somebody waits for
    /// a lock; when nobody does, the empty picture is as fresh as this answer.
    async fn health(&mut self, session: &Session) -> Result<bool, AskError> {
        self.check_privilege(session).await?;
        let asked_us = now_us();
        let found = self.questions.ask(session, self.may_see).await?;
        if found.locks_waiting == Some(0) && self.last.is_empty() {
            self.publish(session, asked_us, LockState::Known(Vec::new()));
        }
        let databases = found.databases;
        self.list.send_if_modified(|before| {
            let is_news = *before != databases;
            *before = databases;
            is_news
        });
        Ok(found.locks_waiting > Some(0))
    }

    async fn check_privilege(&mut self, session: &Session) -> Result<(), AskError> {
        let sql = "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')::int AS may_see, \
                   current_setting('server_version_num') AS version";
        let rows = session.rows(sql, ASK_LIMIT).await?;
        let may_see = rows.first().and_then(|row| number(row, "may_see")) == Some(1);
        let version = rows.first().and_then(|row| number(row, "version"));
        self.questions.set_version(version.unwrap_or_default());
        if !may_see {
            let need = format!("GRANT pg_monitor TO {}", self.plan.door.user);
            self.publish(session, now_us(), LockState::Unknown(need.clone()));
            self.complain(format!("it may not see other sessions: {need}"));
        } else if !self.may_see || self.complaint.is_some() {
            if self.complaint.take().is_some() {
                log::info!("sidecar of {}: asks again", self.plan.server);
            }
            if self.last.is_empty() {
                self.publish(session, now_us(), LockState::Known(Vec::new()));
            }
        }
        self.may_see = may_see;
        Ok(())
    }

    fn on_refused(&mut self, error: &AskError) {
        self.complain(error.to_string());
    }

    fn on_lost(&mut self, error: &AskError) {
        let text = error.to_string();
        let insight = &self.shared.insight;
        insight
            .health
            .count_error(&self.plan.server, "connect", error.reason());
        let reason = format!("sidecar: {text}");
        publish_unknown(&self.shared, &self.plan.server, &reason);
        report::forget(&insight.blocking, &self.plan.server);
        insight.health.drop_answers(&self.plan.server);
        self.last.clear();
        self.may_see = false;
        self.complain(text);
    }

    /// A warning, once until it is better or something else is wrong.
    fn complain(&mut self, text: String) {
        if self.complaint.as_ref() != Some(&text) {
            let (server, user) = (&self.plan.server, &self.plan.door.user);
            log::warn!("sidecar of {server} as {user}: {text}; pooling goes on without it");
            self.complaint = Some(text);
        }
    }
}
