//! What is asked in other databases of a server, and everything that may take long: a connection is
//! opened, asked and closed, one at a time. No database is held.
//!
//! Owns the timetable. Rests while the kept connection is down.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::plan::{self, HOME, Plan};
use super::session::{AskError, Session};
use super::{custom, tables};
use crate::config::CustomQuery;
use crate::insight::health::{Answer, Fact, Health};
use crate::pool::Shared;

/// From one look at the tables of a database to the next.
const TABLES_EVERY: Duration = Duration::from_secs(300);
/// How often the timetable is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Databases whose tables are looked at.
const MAX_DATABASES: usize = 50;

/// Something to do in one database.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Errand {
    /// Dead rows.
    Tables,
    /// The custom query of this index.
    Query(usize),
}

/// Where, and what.
type Place = (String, Errand);

/// Runs the errands of one server.
pub struct Errands {
    shared: Arc<Shared>,
    plan: Arc<Plan>,
    /// Databases that one can connect to.
    listed: watch::Receiver<Vec<String>>,
    last: HashMap<Place, Instant>,
    due_tables: HashMap<String, tables::Due>,
    /// What the log has been told of each.
    told: HashMap<Place, String>,
}

impl Errands {
    /// `listed` is filled once the server has been asked which databases it has.
    pub fn of(shared: Arc<Shared>, plan: Arc<Plan>, listed: watch::Receiver<Vec<String>>) -> Self {
        Self {
            shared,
            plan,
            listed,
            last: HashMap::new(),
            due_tables: HashMap::new(),
            told: HashMap::new(),
        }
    }

    /// Never ends by itself.
    pub async fn run(mut self) {
        loop {
            sleep(LOOK).await;
            let health = self.shared.insight.health.server(&self.plan.server);
            if !health.is_some_and(|health| health.is_up) {
                continue;
            }
            while let Some((database, errands)) = self.due() {
                self.visit(&database, errands).await;
            }
        }
    }

    /// Everything that is due in one database.
    fn due(&mut self) -> Option<(String, Vec<Errand>)> {
        let places = self.places();
        self.last.retain(|place, _| places.contains(place));
        self.told.retain(|place, _| places.contains(place));
        let is_due = |(database, errand): &&Place| {
            let every = match errand {
                Errand::Tables => TABLES_EVERY,
                Errand::Query(at) => self.plan.queries[*at].interval,
            };
            let last = self.last.get(&(database.clone(), errand.clone()));
            last.is_none_or(|last| last.elapsed() >= every)
        };
        let mut due = places.iter().filter(is_due);
        let (database, first) = due.next()?.clone();
        let more = due.filter(|(other, _)| *other == database);
        let errands = [first]
            .into_iter()
            .chain(more.map(|(_, errand)| errand.clone()));
        let errands: Vec<Errand> = errands.collect();
        Some((database, errands))
    }

    /// The whole timetable, by database.
    fn places(&self) -> Vec<Place> {
        let listed = self.listed.borrow().clone();
        let databases = plan::databases(&self.plan, &listed);
        let tables = databases.into_iter().take(MAX_DATABASES);
        let mut places: Vec<Place> = tables.map(|database| (database, Errand::Tables)).collect();
        for (at, query) in self.plan.queries.iter().enumerate() {
            let database = match &query.database {
                None => Some(HOME),
                Some(named) => self.plan.database_of(named),
            };
            places.extend(database.map(|database| (database.to_owned(), Errand::Query(at))));
        }
        places.sort();
        places
    }

    async fn visit(&mut self, database: &str, errands: Vec<Errand>) {
        let session = Session::open(&self.plan.door, database).await;
        for errand in errands {
            // Before it is asked: one that takes long must not be due again at once.
            let place = (database.to_owned(), errand);
            self.last.insert(place.clone(), Instant::now());
            let done = match &session {
                Ok(session) => self.run_one(session, &place).await,
                Err(error) => Err((error.reason(), error.to_string())),
            };
            match done {
                Ok(()) => drop(self.told.remove(&place)),
                Err((reason, text)) => self.on_failed(place, reason, text),
            }
        }
        if let Ok(session) = session {
            session.close().await;
        }
    }

    async fn run_one(
        &mut self,
        session: &Session,
        (database, errand): &Place,
    ) -> Result<(), (&'static str, String)> {
        let told = |error: AskError| (error.reason(), error.to_string());
        match errand {
            Errand::Tables => {
                let due = self.due_tables.entry(database.clone()).or_default();
                let tables = tables::ask(session, due).await.map_err(told)?;
                self.publish_tables(database, Fact::Known(tables));
            }
            Errand::Query(at) => {
                let query = &self.plan.queries[*at];
                let samples = custom::ask(session, query).await.map_err(told)?;
                self.shared.insight.health.publish_answer(Answer {
                    server: Arc::clone(&self.plan.server),
                    database: database.clone(),
                    query: query.name.clone(),
                    samples,
                });
            }
        }
        Ok(())
    }

    /// The databases that are not there any more lose their tables.
    fn publish_tables(
        &self,
        database: &str,
        tables: Fact<Vec<crate::insight::health::TableHealth>>,
    ) {
        let board = &self.shared.insight.health;
        if let Some(before) = board.server(&self.plan.server) {
            let mut health = Health::clone(&before);
            let listed = self.listed.borrow();
            health.tables.retain(|name, _| listed.contains(name));
            health.tables.insert(database.to_owned(), tables);
            board.publish(health);
        }
    }

    fn on_failed(&mut self, place: Place, reason: &'static str, text: String) {
        let (server, board) = (&self.plan.server, &self.shared.insight.health);
        let (database, errand) = &place;
        let (name, at) = match errand {
            Errand::Tables => ("tables", String::new()),
            Errand::Query(at) => {
                let CustomQuery { name, place, .. } = &self.plan.queries[*at];
                board.drop_answer(server, database, name);
                (name.as_str(), format!(" ({place})"))
            }
        };
        board.count_error(server, name, reason);
        if self.told.get(&place) != Some(&text) {
            log::warn!("sidecar of {server}: {name}{at} in database {database}: {text}");
            if *errand == Errand::Tables {
                self.publish_tables(database, Fact::unknown(&text));
            }
            self.told.insert(place, text);
        }
    }
}
