//! SHOW BLOCKED: the tree of who waits for whose lock, with the client behind each session.
//!
//! Sessions that did not come through us are `(direct)`; what is no client names itself. A root is
//! shown with the last statement of its transaction that wrote, since that one holds the locks.

use std::collections::HashMap;
use std::sync::Arc;

use super::knots::why_unknown;
use super::{Cell, Column, Context, Rows};
use crate::admin::show::head;
use crate::insight::View;
use crate::insight::locks::{Branch, LockPicture, LockState, LockedSession, Proxied, tree};
use crate::sql;
use crate::stats::clock::now_us;
use crate::stats::{ClientSlot, ClientState};

pub const COLUMNS: &[Column] = head![
    tree T, id Q, pid I, state T, wait_s F, behind I, lock T, app T, client T, statement T, end_it T,
];

/// Rows and notice.
pub fn show(context: &Context<'_>) -> (Rows, String) {
    let directory = context.directory;
    let pictures = directory.shared.insight.locks.all();
    let view = context.insight.read();
    let mut scene = Scene {
        context,
        view: &view,
        rows: Rows::new(),
        blocked: 0,
        roots: 0,
    };
    for picture in pictures.iter() {
        match &picture.state {
            LockState::Known(_) => scene.draw(picture),
            LockState::Unknown(why) => scene.unknown(&picture.server, why),
        }
    }
    let unknown = why_unknown(&pictures, directory);
    if let (true, Some(why)) = (pictures.is_empty(), &unknown) {
        scene.unknown("", why);
    }
    let mut notice = format!(
        "{} blocked behind {} root{}",
        scene.blocked,
        scene.roots,
        if scene.roots == 1 { "" } else { "s" }
    );
    if let Some(oldest) = pictures.iter().map(|picture| picture.polled_us).min() {
        let age = now_us().saturating_sub(oldest) as f64 / 1e6;
        notice += &format!("; polled {age:.1} s ago");
    }
    if let Some(why) = unknown {
        notice += &format!("; unknown where {why}");
    }
    (scene.rows, notice)
}

struct Scene<'a> {
    context: &'a Context<'a>,
    view: &'a View<'a>,
    rows: Rows,
    blocked: usize,
    roots: usize,
}

/// One picture and who of it is ours.
struct Cast<'a> {
    sessions: &'a [LockedSession],
    proxied: HashMap<i32, Proxied>,
}

impl Cast<'_> {
    fn client(&self, session: &LockedSession) -> Option<&Arc<ClientSlot>> {
        self.proxied.get(&session.pid)?.client.as_ref()
    }
}

impl Scene<'_> {
    fn unknown(&mut self, server: &str, why: &str) {
        let mut row = vec![Cell::Null; COLUMNS.len()];
        row[0] = "unknown".into();
        row[3] = "unknown".into();
        row[8] = server.into();
        row[9] = why.into();
        row[10] = "".into();
        self.rows.push(row);
    }

    fn draw(&mut self, picture: &LockPicture) {
        let sessions = picture.sessions();
        let cast = Cast {
            sessions,
            proxied: picture.proxied(&self.context.directory.shared.registry),
        };
        let lines = tree(sessions);
        let is_wanted = |line: &Branch| {
            let of_tree = lines.iter().filter(|other| other.root == line.root);
            let mut of_tree = of_tree.map(|other| &sessions[other.at]);
            of_tree.any(|session| self.wants(&cast, session))
        };
        let lines: Vec<_> = lines.iter().filter(|line| is_wanted(line)).collect();
        self.blocked += lines.iter().filter(|l| sessions[l.at].is_waiting()).count();
        self.roots += lines.iter().filter(|line| line.depth == 0).count();
        for line in lines {
            let row = self.row(&cast, line);
            self.rows.push(row);
        }
    }

    fn wants(&self, cast: &Cast<'_>, session: &LockedSession) -> bool {
        let options = self.context.options;
        let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
        let client = cast.client(session);
        let app = match client {
            Some(client) => client.application_name().unwrap_or_default().to_string(),
            None => or_empty(&session.application_name),
        };
        let is_whose = match client.and_then(|client| client.identity()) {
            Some(who) => options.wants(&who.database, &who.user),
            None => options.wants(&or_empty(&session.datname), &or_empty(&session.usename)),
        };
        is_whose && options.wants_app(&app)
    }

    fn row(&self, cast: &Cast<'_>, line: &Branch) -> Vec<Cell> {
        let session = &cast.sessions[line.at];
        let client = cast.client(session);
        let name = match client {
            Some(client) => client.id.to_string(),
            None => stranger(session),
        };
        let (app, address) = match client {
            Some(client) => (
                client.application_name().as_deref().map(str::to_owned),
                Some(client.remote.host()),
            ),
            None => (
                session.application_name.clone(),
                session.client_addr.map(|address| address.to_string()),
            ),
        };
        let wait = session.wait_s.filter(|_| session.is_waiting());
        vec![
            (branch_sign(line.depth) + &name).into(),
            client.map_or(Cell::Null, |client| client.id.into()),
            u64::try_from(session.pid)
                .ok()
                .filter(|pid| *pid != 0)
                .map_or(Cell::Null, Cell::from),
            state(session, client.map(|client| client.state())).into(),
            wait.map_or(Cell::Null, |s| Cell::seconds((s * 1e6) as u64)),
            (line.behind.sessions as u64).into(),
            lock(session, cast.sessions).into(),
            app.unwrap_or_default().into(),
            address.unwrap_or_default().into(),
            self.statement(session, client),
            end_it(session, client).into(),
        ]
    }

    /// From the proxy's own knowledge where there is any: PostgreSQL shows the last statement of an
    /// idle session, which need not be the one that took the lock.
    fn statement(&self, session: &LockedSession, client: Option<&Arc<ClientSlot>>) -> Cell {
        let known = client.and_then(|client| {
            let activity = &client.activity;
            let writer = if session.is_waiting() {
                0
            } else {
                activity.writer()
            };
            let candidates = [writer, activity.statement()];
            let named = candidates
                .into_iter()
                .find(|fingerprint| *fingerprint != 0)?;
            self.view.text(named)
        });
        let text = match (known, &session.query) {
            (Some(text), _) => text.to_string(),
            // With its constants taken out: those are nobody's business here.
            (None, Some(query)) => sql::normalise(query.as_bytes(), sql::Rules::default()),
            (None, None) => return Cell::Null,
        };
        self.context.reader.line(&text)
    }
}

/// `|- ` under the root, one bar more for each level.
fn branch_sign(depth: usize) -> String {
    match depth {
        0 => String::new(),
        depth => "|  ".repeat(depth - 1) + "|- ",
    }
}

/// A session that did not come through us.
fn stranger(session: &LockedSession) -> String {
    match session.backend_type.as_deref() {
        _ if session.pid == 0 => "(prepared transaction)".to_owned(),
        None | Some("client backend") => "(direct)".to_owned(),
        Some(other) => format!("({other})"),
    }
}

fn state(session: &LockedSession, client: Option<ClientState>) -> String {
    if session.is_waiting() {
        return "lock wait".to_owned();
    }
    if session.pid == 0 {
        return "prepared".to_owned();
    }
    match (client, session.state.as_deref()) {
        (Some(ClientState::IdleInTransaction), _) | (_, Some("idle in transaction")) => {
            "idle in tx".to_owned()
        }
        (_, Some("idle in transaction (aborted)")) => "failed tx".to_owned(),
        (_, Some("active")) => "executing".to_owned(),
        (_, other) => other.unwrap_or("unknown").to_owned(),
    }
}

/// What it waits for; of a root, what it holds: the first thing that is asked of it.
fn lock(session: &LockedSession, all: &[LockedSession]) -> String {
    if session.is_waiting() {
        return asked(session, true);
    }
    let waiter = all
        .iter()
        .find(|other| other.blocked_by.contains(&session.pid));
    waiter.map_or(String::new(), |waiter| {
        format!("holds {}", asked(waiter, false))
    })
}

fn asked(session: &LockedSession, with_mode: bool) -> String {
    let relation = session.relation.as_deref();
    let kind = session.locktype.as_deref().unwrap_or("lock");
    let what = match (kind, relation) {
        ("transactionid" | "tuple", Some(relation)) => return format!("row of {relation}"),
        ("transactionid" | "tuple", None) => return "a row".to_owned(),
        ("relation", Some(relation)) => relation.to_owned(),
        (kind, Some(relation)) => format!("{kind} of {relation}"),
        (kind, None) => kind.to_owned(),
    };
    let mode = session.mode.as_deref().unwrap_or_default();
    match mode.strip_suffix("Lock").unwrap_or(mode) {
        "" => what,
        _ if !with_mode => what,
        mode => format!("{mode} {what}"),
    }
}

/// What to type. A waiting or running session is cancelled, one that does nothing is ended.
fn end_it(session: &LockedSession, client: Option<&Arc<ClientSlot>>) -> String {
    let is_idle = session
        .state
        .as_deref()
        .is_some_and(|s| s.starts_with("idle"));
    match client {
        _ if session.pid == 0 => "ROLLBACK PREPARED ... (see pg_prepared_xacts)".to_owned(),
        Some(client) if is_idle && !session.is_waiting() => format!("KILL_CLIENT {}", client.id),
        Some(client) => format!("CANCEL {}", client.id),
        None if is_idle => format!("pg_terminate_backend({})", session.pid),
        None => format!("pg_cancel_backend({})", session.pid),
    }
}
