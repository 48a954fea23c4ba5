//! HOT. Whose time an arrival is (insight.md 4.2).
//!
//! PostgreSQL sends when its buffer is full or when it is ready: the ends of several statements
//! arrive together, and what each of them took cannot be seen. The time between two arrivals goes
//! to the one statement that ended in between; where there were several, to the only one that is not
//! transaction control; where all are the same statement, in equal parts; else to a group of its
//! own, composed of them. All but the first case are marked as shared.
//!
//! A SET of ours that goes ahead of a client's first statement is part of that statement's time (30
//! to 50 µs): when its answer was read is not when the server had done it, and a server's time must
//! never be told too short.

use super::{Done, Tracker};
use crate::insight::figures::{Parts, SUCCESS};
use crate::insight::lane::NewText;
use crate::insight::tracker::Running;
use crate::sql::{Class, Summary};

/// Members that a composed group is told by.
const MEMBERS: usize = 8;

impl Tracker {
    /// HOT. Whether an arrival is still without its time.
    #[inline]
    pub fn needs_clock(&self) -> bool {
        self.is_on
            && (self.settled < self.done.len()
                || (self.reply_bytes > 0 && self.running.front().is_some_and(|r| r.first_us == 0)))
    }

    /// HOT. Everything read by `now` has been told.
    #[inline]
    pub fn arrived(&mut self, now: u64) {
        if self.settled < self.done.len() {
            self.settle(now);
            self.awaits_ready = true;
        }
        if self.reply_bytes > 0
            && let Some(run) = self.running.front_mut()
            && run.first_us == 0
        {
            run.first_us = now;
        }
    }

    /// HOT. Whether a ReadyForQuery is late.
    #[inline]
    pub fn awaits_ready(&self) -> bool {
        self.awaits_ready
    }

    /// ReadyForQuery came in a later read than the statement's end: the commit took that long.
    pub fn ready_late(&mut self, now: u64) {
        if !std::mem::take(&mut self.awaits_ready) {
            return;
        }
        let late = now.saturating_sub(self.free_since_us);
        self.free_since_us = now;
        if let Some(last) = self.done.last_mut() {
            last.run.parts.server += late;
            if last.run.is_extended {
                last.run.parts.commit += late;
            }
        }
    }

    fn settle(&mut self, now: u64) {
        if self.stalled_since_us != 0 {
            self.stall_us += now.saturating_sub(self.stalled_since_us);
            self.stalled_since_us = now;
        }
        let first = self.settled;
        let group = &mut self.done[first..];
        self.settled += group.len();
        let run = &group[0].run;
        let began = run.start_us.max(self.free_since_us);
        let elapsed = now.saturating_sub(began);
        let stall = std::mem::take(&mut self.stall_us).min(elapsed);
        let to_first = match run.first_us {
            0 => elapsed - stall,
            at => at.saturating_sub(began).min(elapsed - stall),
        };
        self.free_since_us = now;
        group[0].run.parts.transfer += stall;
        let server = elapsed - stall;
        if group.len() == 1 {
            group[0].run.parts.server = server;
            group[0].run.parts.first = to_first;
            return;
        }
        for done in group.iter_mut() {
            done.is_shared = true;
        }
        match sharing(group) {
            Sharing::One(at) => {
                group[at].run.parts.server = server;
                group[at].run.parts.first = to_first;
            }
            Sharing::Equal => {
                let n = group.len() as u64;
                for done in group.iter_mut() {
                    done.run.parts.server = server / n;
                }
                group[0].run.parts.server += server % n;
                group[0].run.parts.first = to_first;
            }
            Sharing::Composed => self.compose(first, server, to_first),
        }
    }

    /// A group of its own for statements whose times cannot be told apart.
    fn compose(&mut self, first: usize, server: u64, to_first: u64) {
        let mut members: Vec<u64> = Vec::with_capacity(MEMBERS);
        for done in &self.done[first..] {
            let fingerprint = done.run.what.fingerprint;
            if members.len() < MEMBERS && !members.contains(&fingerprint) {
                members.push(fingerprint);
            }
        }
        let fingerprint = members
            .iter()
            .fold(0x70_67_77_65_69_72, |hash: u64, member| {
                (hash.rotate_left(7) ^ member).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            });
        let run = Running {
            what: Summary {
                fingerprint,
                class: Class::Composite,
                ..Summary::default()
            },
            request: self.requests,
            is_extended: self.done[first].run.is_extended,
            continues: false,
            more: 0,
            start_us: 0,
            first_us: 0,
            parts: Parts {
                server,
                first: to_first,
                ..Parts::default()
            },
            request_bytes: 0,
            text_hash: 0,
            extra: None,
        };
        if !self.insight.known.has(fingerprint) {
            self.composed
                .push((fingerprint, NewText::Members(members.into())));
        }
        self.done.push(Done {
            run,
            sqlstate: SUCCESS,
            rows: 0,
            result_bytes: 0,
            is_shared: false,
            is_abandoned: false,
        });
        self.settled += 1;
    }
}

enum Sharing {
    /// Only this one can have taken the time.
    One(usize),
    /// All are the same statement.
    Equal,
    /// Nobody can say.
    Composed,
}

fn sharing(group: &[Done]) -> Sharing {
    let is_light = |done: &Done| matches!(done.run.what.class, Class::Control | Class::Empty);
    let mut heavy = group.iter().enumerate().filter(|(_, done)| !is_light(done));
    match (heavy.next(), heavy.next()) {
        (Some((at, _)), None) => return Sharing::One(at),
        (None, _) => return Sharing::One(group.len() - 1),
        _ => {}
    }
    let first = group[0].run.what.fingerprint;
    if group.iter().all(|done| done.run.what.fingerprint == first) {
        return Sharing::Equal;
    }
    Sharing::Composed
}
