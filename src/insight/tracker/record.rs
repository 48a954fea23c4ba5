//! HOT. Into the lane's table, once per answered query.

use super::{Done, Extra, MAX_DONE, Tracker};
use crate::insight::figures::{APPS, Figures, OVER_US, POOL_APPS, POOL_SQLSTATES, SQLSTATES};
use crate::insight::labels;
use crate::insight::lane::{GroupKey, LaneRecords, NewText, SlowStatement, TransactionKey};
use crate::sql::Class;
use crate::stats::ClientSlot;

/// Longest time a group of figures counts one value for, so that sums cannot overflow: a year.
const LONGEST_US: u64 = 365 * 86_400 * 1_000_000;
/// Cancelled, by a request or by a timeout.
const CANCELLED: &[u8; 5] = b"57014";
const SYNTAX_ERROR: &[u8; 5] = b"42601";
/// How a slow statement is shown whose client was gone before it ended: connection_failure.
const ABANDONED: &[u8; 5] = b"08006";

/// Whose statements these are.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// The client.
    pub slot: &'a ClientSlot,
    /// The backend that ran them.
    pub backend_pid: i32,
    /// How long it was seen waiting for a lock, µs.
    pub blocked_us: u64,
}

impl Tracker {
    /// HOT. Whether so much is answered that it should be recorded without waiting for the end.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.settled >= MAX_DONE
    }

    /// HOT. Records everything answered. `is_idle`: the transaction is over.
    pub fn record(&mut self, now: u64, is_idle: bool, owner: Owner<'_>) {
        self.arrived(now);
        self.awaits_ready = false;
        self.book_blocked(owner.blocked_us);
        let insight = std::sync::Arc::clone(&self.insight);
        let mut records = insight.recorder(self.lane).lock();
        self.record_think(&mut records);
        let mut done = std::mem::take(&mut self.done);
        for one in &mut done {
            self.record_one(&mut records, one, now, owner);
        }
        if let Some(last) = done.last() {
            self.last = Some((last.run.what.fingerprint, last.run.what.class));
        }
        done.clear();
        self.done = done;
        self.settled = 0;
        for (fingerprint, text) in self.composed.drain(..) {
            if records.push_text(fingerprint, text) {
                insight.known.insert(fingerprint);
            }
        }
        if is_idle {
            self.end_transaction(&mut records, now, false);
        }
    }

    /// A lock wait seen from outside lies inside the longest statement.
    fn book_blocked(&mut self, blocked_us: u64) {
        if blocked_us == 0 {
            return;
        }
        let longest = self
            .done
            .iter_mut()
            .max_by_key(|done| done.run.parts.server);
        if let Some(done) = longest {
            done.run.parts.blocked = blocked_us.min(done.run.parts.server);
        }
    }

    fn record_think(&mut self, records: &mut LaneRecords) {
        let think = std::mem::take(&mut self.think_us).min(LONGEST_US);
        if let (true, Some((fingerprint, class))) = (think > 0, self.last) {
            let key = self.key(fingerprint);
            records.group(key, class).parts.think += think;
            records.pool(self.pool).parts.think += think;
        }
    }

    fn key(&self, fingerprint: u64) -> GroupKey {
        GroupKey {
            fingerprint,
            pool: self.pool,
        }
    }

    /// HOT.
    fn record_one(
        &mut self,
        records: &mut LaneRecords,
        done: &mut Done,
        now: u64,
        owner: Owner<'_>,
    ) {
        let what = done.run.what;
        let fingerprint = self.admitted(records, done);
        let class = what.class;
        let figures = records.group(self.key(fingerprint), class);
        add_counts(figures, done, now);
        if !done.is_abandoned {
            add_times(figures, done, now, owner.slot.id);
        }
        figures.apps.add(self.app, 1, APPS);
        let is_slow = done.run.parts.server >= self.insight.slow_us()
            && can_be_slow(class)
            && !self.insight.ignores_slow(owner.slot);
        figures.slow += u64::from(is_slow);
        if let Some(cursor) = done.run.extra.as_ref().and_then(|extra| extra.cursor) {
            let declared = records.group(self.key(cursor), Class::Select);
            declared.fetched.add(done.rows, done.run.parts.server);
        }
        self.add_to_pool(records, done);
        if is_slow {
            records.push_slow(self.slow(fingerprint, done, now, owner));
        }
        if !matches!(class, Class::Control | Class::Empty | Class::Composite) {
            let server = done.run.parts.server;
            self.transaction
                .add(fingerprint, server, done.run.text_hash);
        }
    }

    /// The group a statement is booked in. One that was never seen to work and fails for its text
    /// gets none of its own: texts that are not SQL would fill the table. Its own text goes with it.
    fn admitted(&self, records: &mut LaneRecords, done: &mut Done) -> u64 {
        let fingerprint = done.run.what.fingerprint;
        let is_first = |extra: &Extra| extra.has_brought_text || extra.text.is_some();
        let Some(extra) = done.run.extra.as_mut().filter(|extra| is_first(extra)) else {
            return fingerprint;
        };
        let text = extra.text.take();
        if done.sqlstate.starts_with(b"42") {
            self.insight.known.remove(fingerprint);
            return if done.sqlstate == *SYNTAX_ERROR {
                labels::SYNTAX_ERROR
            } else {
                labels::NAME_ERROR
            };
        }
        if let Some(text) = text
            && !records.push_text(fingerprint, NewText::Raw(text))
        {
            self.insight.known.remove(fingerprint);
        }
        fingerprint
    }

    /// HOT.
    fn add_to_pool(&self, records: &mut LaneRecords, done: &Done) {
        let pool = records.pool(self.pool);
        let run = &done.run;
        pool.parts.merge(&run.parts);
        if done.is_abandoned {
            return;
        }
        pool.apps.add(self.app, run.parts.server, POOL_APPS);
        if is_timed(done) && !matches!(run.what.class, Class::Control | Class::Empty) {
            pool.statements.add(run.parts.server);
            pool.statement_histogram.add(run.parts.server, 1);
        }
        if run.what.class == Class::Composite {
            return;
        }
        if !run.continues {
            pool.classes[run.what.class as usize] += 1;
            let server = run.parts.server;
            self.insight.targets.count(run.what.fingerprint, server);
        }
        pool.rows += done.rows;
        if done.is_error() {
            pool.sqlstates.add(done.sqlstate, 1, POOL_SQLSTATES);
        }
    }

    fn slow(&self, fingerprint: u64, done: &mut Done, now: u64, owner: Owner<'_>) -> SlowStatement {
        let extra = done.run.extra.as_mut();
        let (sample, tags) = match extra {
            Some(extra) => (extra.sample.take(), extra.tags.take()),
            None => (None, None),
        };
        SlowStatement {
            key: self.key(fingerprint),
            class: done.run.what.class,
            ended_us: now,
            parts: done.run.parts,
            rows: done.rows,
            sqlstate: match done.is_abandoned {
                true => *ABANDONED,
                false => done.sqlstate,
            },
            client: owner.slot.id,
            login: owner
                .slot
                .identity()
                .map_or_else(|| "".into(), |who| std::sync::Arc::clone(&who.user)),
            application: owner.slot.application_name(),
            remote: owner.slot.remote,
            backend_pid: owner.backend_pid,
            sample,
            tags,
        }
    }

    /// PostgreSQL said something that nobody asked for.
    pub(super) fn unasked_error(&mut self, sqlstate: super::SqlState) {
        let insight = std::sync::Arc::clone(&self.insight);
        let mut records = insight.recorder(self.lane).lock();
        let pool = records.pool(self.pool);
        pool.sqlstates.add(sqlstate, 1, POOL_SQLSTATES);
    }

    /// The link is over. What is in flight is lost with its client.
    pub fn end(&mut self, now: u64, is_idle: bool, owner: Owner<'_>) {
        if !self.is_on {
            return;
        }
        let lost = self.running.len();
        while let Some(run) = self.running.pop_front() {
            self.done.push(Done {
                run,
                sqlstate: super::SUCCESS,
                rows: 0,
                result_bytes: 0,
                is_shared: true,
                is_abandoned: true,
            });
        }
        if !self.done.is_empty() || self.think_us > 0 {
            self.record(now, is_idle, owner);
        }
        if !is_idle && (lost > 0 || self.transaction.is_open()) {
            // One that left in the middle was silent up to now, and never asked again.
            let silent_since = owner.slot.activity.thinking_us();
            if lost == 0 && silent_since != 0 {
                self.transaction.thought(now.saturating_sub(silent_since));
            }
            let insight = std::sync::Arc::clone(&self.insight);
            let mut records = insight.recorder(self.lane).lock();
            self.end_transaction(&mut records, now, true);
        }
        self.forget_portals();
        self.cursors.clear();
        self.stalled_since_us = 0;
        self.stall_us = 0;
        self.copy_since_us = 0;
        owner.slot.activity.set_transaction_us(0);
        owner.slot.activity.set_thinking_us(0);
        owner.slot.activity.set_writer(0);
        owner.slot.activity.set_stalled_us(0);
    }

    /// HOT. Portals do not outlive their transaction.
    #[inline]
    fn forget_portals(&mut self) {
        self.portals.clear();
        self.unnamed_portal = None;
    }

    /// HOT. The whole transaction.
    fn end_transaction(&mut self, records: &mut LaneRecords, now: u64, is_abandoned: bool) {
        let outcome = self.transaction.outcome();
        let held = now.saturating_sub(outcome.began_us).min(LONGEST_US);
        self.cursors
            .end_transaction(outcome.is_committed && !is_abandoned);
        let pool = records.pool(self.pool);
        pool.transactions.add(held);
        pool.transaction_histogram.add(held, 1);
        if outcome.is_profiled {
            let key = TransactionKey {
                heaviest: outcome.heaviest,
                pool: self.pool,
                app: self.app,
            };
            let figures = records.transaction(key);
            figures.transactions += 1;
            figures.abandoned += u64::from(is_abandoned);
            let is_committed = outcome.is_committed && !is_abandoned;
            figures.commits += u64::from(is_committed);
            figures.rollbacks += u64::from(!is_committed && !is_abandoned);
            figures.silent_rollbacks += u64::from(outcome.is_silent_rollback);
            figures.statements += outcome.statements;
            figures.hold_us += held;
            figures.server_us += outcome.server_us;
            figures.think_us += outcome.think_us;
            figures.histogram.add(held, 1);
            if outcome.repeat.count > figures.repeat.count {
                figures.repeat = outcome.repeat;
            }
        }
        self.forget_portals();
        self.transaction.begin(now);
        self.last = None;
    }
}

fn can_be_slow(class: Class) -> bool {
    !matches!(
        class,
        Class::Copy | Class::Maintenance | Class::Control | Class::Empty
    )
}

/// HOT. Everything but times.
fn add_counts(figures: &mut Figures, done: &Done, now: u64) {
    let is_composite = done.run.what.class == Class::Composite;
    if done.is_abandoned {
        figures.abandoned += 1;
    } else if done.is_error() {
        figures.errors += 1;
        figures.cancelled += u64::from(done.sqlstate == *CANCELLED);
        figures.sqlstates.add(done.sqlstate, 1, SQLSTATES);
    } else if !done.run.continues {
        figures.calls += 1;
    }
    figures.time_shared += u64::from(done.is_shared && !is_composite);
    figures.rows += done.rows;
    figures.request_bytes += done.run.request_bytes;
    figures.result_bytes += done.result_bytes;
    if figures.first_seen_us == 0 {
        figures.first_seen_us = now;
    }
    figures.last_seen_us = now;
}

/// Whether its time has a place in a distribution: a member of a composed group has no time of its
/// own, a later portion of a portal no call.
fn is_timed(done: &Done) -> bool {
    !done.run.continues && (done.run.parts.server > 0 || !done.is_shared)
}

/// HOT. The parts, and where the server's lies in the distribution.
fn add_times(figures: &mut Figures, done: &Done, now: u64, client: u64) {
    let parts = &done.run.parts;
    figures.parts.merge(parts);
    if !is_timed(done) {
        return;
    }
    let server = parts.server.min(LONGEST_US);
    figures.histogram.add(server, 1);
    figures.min_us = figures.min_us.min(server);
    if server >= figures.slowest.server_us {
        figures.slowest = crate::insight::figures::Slowest {
            server_us: server,
            at_us: now,
            client,
        };
    }
    figures.squares += (server as f64) * (server as f64);
    for (count, limit) in figures.over.iter_mut().zip(OVER_US) {
        *count += u64::from(server > limit);
    }
}
