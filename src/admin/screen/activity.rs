//! SHOW ACTIVITY: every client that is not idle, or keeps its server; who holds up the most comes first.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::knots::{Knot, Knots};
use super::sessions::{Session, State, sessions};
use super::{Cell, Column, Context, Rows};
use crate::admin::show::head;
use crate::insight::{Insight, View};
use crate::sql::Class;

pub const COLUMNS: &[Column] = head![
    id Q, state T, state_s F, xact_s F, behind I, blocked_by T, flags T, user T, app T, client T,
    pid I, statement T, pinned T, pinned_s F,
];

/// Rows and notice.
pub fn show(context: &Context<'_>) -> (Rows, String) {
    let options = context.options;
    let mut all = sessions(context.directory);
    let knots = Knots::of(context.directory);
    for session in &mut all {
        session.tie(knot_of(session, &knots));
    }
    let held_up = queued_behind(&all);
    let is_wanted = |session: &&Session| {
        options.wants(&session.database, &session.user) && options.wants_app(&session.app)
    };
    let mut shown: Vec<_> = all.iter().filter(is_wanted).collect();
    let behind = |session: &Session| {
        let queued = held_up.get(&session.slot.id).copied().unwrap_or(0);
        queued + knot_of(session, &knots).map_or(0, |knot| knot.behind)
    };
    shown.sort_by_key(|session| Reverse((behind(session), session.xact_us, session.state_us)));
    let scene = Scene {
        context,
        view: &context.insight.read(),
        knots: &knots,
    };
    let rows = shown
        .iter()
        .map(|session| scene.row(session, behind(session)));
    (rows.collect(), notice(&shown, &knots))
}

fn knot_of<'a>(session: &Session, knots: &'a Knots) -> Option<&'a Knot> {
    knots.by_server.get(&session.server.as_ref()?.id)
}

struct Scene<'a> {
    context: &'a Context<'a>,
    view: &'a View<'a>,
    knots: &'a Knots,
}

impl Scene<'_> {
    fn row(&self, session: &Session, behind: u64) -> Vec<Cell> {
        let pid = session.pid().and_then(|pid| u64::try_from(pid).ok());
        let knot = knot_of(session, self.knots);
        let pinned = session.pins.text();
        let pinned_s = match session.pins.is_empty() {
            true => Cell::Null,
            false => Cell::seconds(session.pinned_us),
        };
        vec![
            session.slot.id.into(),
            session.state.as_str().into(),
            Cell::seconds(session.state_us),
            session.xact_us.map_or(Cell::Null, Cell::seconds),
            behind.into(),
            self.blocked_by(session, knot).into(),
            self.flags(session, knot).into(),
            (*session.user).into(),
            (*session.app).into(),
            session.client().into(),
            pid.map_or(Cell::Null, Cell::from),
            self.statement(session),
            pinned.into(),
            pinned_s,
        ]
    }

    /// `unknown` for one that may wait for a lock without our knowing.
    fn blocked_by(&self, session: &Session, knot: Option<&Knot>) -> String {
        match (session.state, knot) {
            (State::LockWait, Some(knot)) => knot.blocked_by.clone(),
            (State::Executing, _) if self.knots.unknown.is_some() => "unknown".to_owned(),
            _ => String::new(),
        }
    }

    /// S slow, B blocked, b blocking, I idle in transaction, Q queued, L long transaction, P pinned.
    fn flags(&self, session: &Session, knot: Option<&Knot>) -> String {
        let insight = self.context.insight;
        let is_running = matches!(session.state, State::Executing | State::LockWait);
        let is_long = |us: u64| us > insight.slow_transaction_us();
        let facts = [
            ('S', is_running && is_slow(session, insight, self.view)),
            ('I', session.state == State::IdleInTransaction),
            ('Q', session.state == State::Queued),
            ('L', session.xact_us.is_some_and(is_long)),
            ('B', session.state == State::LockWait),
            ('b', knot.is_some_and(|knot| knot.behind > 0)),
            ('P', !session.pins.is_empty()),
        ];
        let raised = facts.iter().filter(|(_, is_so)| *is_so);
        raised.map(|(letter, _)| *letter).collect()
    }

    /// One that is idle in its transaction is shown with what it did last; so is a queued one in its
    /// first moments, as what it asks for is not looked at before it has waited for 0.1 s.
    fn statement(&self, session: &Session) -> Cell {
        let fingerprint = session.fingerprint();
        let text = match fingerprint {
            0 => return Cell::Null,
            named => self.view.text(named),
        };
        let text = text.unwrap_or_else(|| format!("({fingerprint:016x})").into());
        match session.is_past() {
            true => self.context.reader.line(&format!("after {text}")),
            false => self.context.reader.line(&text),
        }
    }
}

/// Maintenance, COPY and the users of slow_ignore_users take their time and are never slow.
fn is_slow(session: &Session, insight: &Insight, view: &View<'_>) -> bool {
    let is_long = session.state_us > insight.slow_us();
    let class = || view.class(session.fingerprint());
    is_long
        && !insight.ignores_slow(&session.slot)
        && !matches!(class(), Some(Class::Copy | Class::Maintenance))
}

/// Queued clients by the id of the client they are counted behind: in their pool the one that has
/// been idle in its transaction for longest, else the one whose transaction is oldest.
fn queued_behind(all: &[Session]) -> HashMap<u64, u64> {
    let mut queued: HashMap<(&str, &str), u64> = HashMap::new();
    for session in all.iter().filter(|s| s.state == State::Queued) {
        *queued.entry(session.pool()).or_default() += 1;
    }
    let mut behind = HashMap::new();
    for (pool, count) in queued {
        let holders = all
            .iter()
            .filter(|s| s.pool() == pool && s.state != State::Queued);
        let guilt = |s: &&Session| {
            let is_idle = matches!(s.state, State::IdleInTransaction | State::Pinned);
            let age = if is_idle { Some(s.state_us) } else { s.xact_us };
            (is_idle, age.unwrap_or(s.state_us))
        };
        if let Some(holder) = holders.max_by_key(guilt) {
            behind.insert(holder.slot.id, count);
        }
    }
    behind
}

fn notice(shown: &[&Session], knots: &Knots) -> String {
    let count = |state| shown.iter().filter(|s| s.state == state).count();
    let pinned = match shown.iter().filter(|s| !s.pins.is_empty()).count() {
        0 => String::new(),
        count => format!(", {count} pinned"),
    };
    let notice = format!(
        "{} executing, {} lock-waiting, {} sending, {} queued, {} idle in transaction{pinned}",
        count(State::Executing),
        count(State::LockWait),
        count(State::Sending),
        count(State::Queued),
        count(State::IdleInTransaction),
    );
    match &knots.unknown {
        Some(why) => format!("{notice}; lock waits are unknown ({why})"),
        None => notice,
    }
}
