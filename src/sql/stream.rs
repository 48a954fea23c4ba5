//! Texts that arrive in pieces.
//!
//! Owns: at most [`CAP`](super::CAP) bytes of the statement that is being received (and the one byte that shows
//! it is longer); behind the cap it only looks for the statement's end. What it finds equals what
//! `each_statement` finds in the whole text, wherever the cuts fell.

use super::bytes::is_blank;
use super::split::Splitter;
use super::statements::{Limits, Reading, Step, begin, empty, opaque, read};
use super::{Rules, Statement, Touches};

/// Receives a text piece by piece and tells its statements.
#[derive(Debug)]
pub struct Stream {
    limits: Limits,
    /// What was received and not yet told.
    kept: Vec<u8>,
    /// Where `kept` begins in the whole text.
    base: usize,
    /// A statement longer than the cap, whose end is awaited.
    long: Option<(Statement, Splitter)>,
    told: u32,
    received: usize,
    /// Behind the last byte that is not blank, in the whole text.
    end: usize,
    /// A NUL ended the text.
    is_over: bool,
}

impl Stream {
    /// Nothing received yet; nothing is allocated before the first piece.
    pub fn new(rules: Rules) -> Self {
        Self::within(Limits::from(rules))
    }

    /// As `new`, with another cap.
    pub(super) fn within(limits: Limits) -> Self {
        Self {
            limits,
            kept: Vec::new(),
            base: 0,
            long: None,
            told: 0,
            received: 0,
            end: 0,
            is_over: false,
        }
    }

    /// Takes the next piece; statements may be told now or later.
    pub fn push(&mut self, bytes: &[u8], visit: &mut dyn FnMut(&Statement)) {
        if self.is_over {
            return;
        }
        let end = memchr::memchr(0, bytes);
        self.is_over = end.is_some();
        let mut bytes = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
        if let Some(last) = bytes.iter().rposition(|b| !is_blank(*b)) {
            self.end = self.received + last + 1;
        }
        self.received += bytes.len();
        if self.limits.rules.opaque_encoding {
            // The first words are all that counts.
            let room = self.limits.cap.saturating_sub(self.kept.len());
            self.kept
                .extend_from_slice(bytes.get(..room).unwrap_or(bytes));
            return;
        }
        while !bytes.is_empty() {
            bytes = self.skip_long(bytes, visit);
            let room = (self.limits.cap + 1).saturating_sub(self.kept.len());
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.kept.extend_from_slice(now);
            bytes = later;
            if self.kept.len() > self.limits.cap {
                self.tell(visit);
            }
        }
    }

    /// The text is complete: tells what is left, and gives the memory back.
    pub fn finish(&mut self, visit: &mut dyn FnMut(&Statement)) {
        self.tell_rest(visit);
        self.end_long(visit);
        if self.told == 0 {
            visit(&empty());
        }
        *self = Self::within(self.limits);
    }

    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.kept.capacity()
    }

    /// What is kept is no longer than the cap, and nothing follows.
    fn tell_rest(&mut self, visit: &mut dyn FnMut(&Statement)) {
        let kept = std::mem::take(&mut self.kept);
        if self.limits.rules.opaque_encoding {
            if let Some(mut statement) = opaque(&kept, self.limits) {
                statement.span.end = self.end;
                if self.received > self.limits.cap {
                    statement.touches = Touches::ALL;
                }
                self.say(&statement, visit);
            }
            return;
        }
        let mut at = begin(&kept, 0);
        while at < kept.len() {
            at = match read(&kept, at, self.limits, ()) {
                Reading::Nothing(next, _) => next,
                Reading::One(step) | Reading::Long(step) => {
                    let mut statement = step.statement;
                    shift(&mut statement, self.base);
                    self.say(&statement, visit);
                    step.next
                }
            };
            at = begin(&kept, at);
        }
    }

    fn say(&mut self, statement: &Statement, visit: &mut dyn FnMut(&Statement)) {
        self.told = self.told.saturating_add(1);
        visit(statement);
    }

    /// Gives bytes to the long statement, if there is one; what is behind it comes back.
    fn skip_long<'b>(&mut self, bytes: &'b [u8], visit: &mut dyn FnMut(&Statement)) -> &'b [u8] {
        let Some((_, splitter)) = &mut self.long else {
            return bytes;
        };
        let taken = splitter.push(bytes);
        let is_done = splitter.is_done();
        self.base += taken;
        if is_done {
            self.end_long(visit);
        }
        bytes.get(taken..).unwrap_or_default()
    }

    fn end_long(&mut self, visit: &mut dyn FnMut(&Statement)) {
        if let Some((mut statement, splitter)) = self.long.take() {
            let start = statement.span.start;
            splitter.describe(&mut statement, start);
            if splitter.has_tokens() {
                self.say(&statement, visit);
            }
        }
    }

    /// More than the cap was kept: tells the statements that end in it, or finds one too long.
    fn tell(&mut self, visit: &mut dyn FnMut(&Statement)) {
        let kept = std::mem::take(&mut self.kept);
        let mut at = begin(&kept, 0);
        while at < kept.len() {
            match read(&kept, at, self.limits, ()) {
                Reading::Long(step) => {
                    let rest = kept.get(at..).unwrap_or_default();
                    let mut statement = step.statement;
                    shift(&mut statement, self.base);
                    let mut splitter = Splitter::new(self.limits);
                    at += splitter.push(rest);
                    let is_done = splitter.is_done();
                    self.long = Some((statement, splitter));
                    if is_done {
                        self.end_long(visit);
                    }
                }
                // Its end was not seen: the next piece may go on with it.
                Reading::One(Step {
                    is_closed: false, ..
                })
                | Reading::Nothing(_, false) => break,
                Reading::One(step) => {
                    let mut statement = step.statement;
                    shift(&mut statement, self.base);
                    self.say(&statement, visit);
                    at = step.next;
                }
                Reading::Nothing(next, true) => at = next,
            }
            at = begin(&kept, at);
        }
        self.base += at.min(kept.len());
        self.kept = kept.get(at..).unwrap_or_default().to_vec();
    }
}

/// Places in `kept` as places in the whole text.
fn shift(statement: &mut Statement, base: usize) {
    let ranges = [
        Some(&mut statement.span),
        statement.tags.as_mut(),
        statement.name.as_mut(),
    ];
    for range in ranges.into_iter().flatten() {
        range.start += base;
        range.end += base;
    }
}
