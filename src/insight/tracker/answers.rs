//! HOT. What came back from a server, in order.

use super::{Done, Running, Tracker};
use crate::insight::figures::{Parts, SUCCESS, SqlState};
use crate::stats::clock::now_us;

/// Which request of the extended protocol failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// A simple Query or a FunctionCall.
    Query,
    /// A step of the extended protocol, Execute or one that leads to it; with it go so many
    /// Executes up to the next Sync.
    Extended {
        /// Executes that will not be answered, the failed one included.
        executes: usize,
        /// Queries and FunctionCalls among them.
        others: usize,
    },
    /// Sync itself: the commit did not work.
    Sync,
    /// Nothing was asked: the server says it of its own accord.
    Unasked,
}

impl Tracker {
    /// HOT. A row for the client.
    #[inline]
    pub fn row(&mut self, bytes: usize) {
        self.rows += 1;
        self.reply_bytes += bytes as u64;
    }

    /// HOT. Another reply for the client.
    #[inline]
    pub fn reply(&mut self, bytes: usize) {
        self.reply_bytes += bytes as u64;
    }

    /// HOT. CommandComplete: the tag without its NUL.
    pub fn completed(&mut self, tag: &[u8]) {
        let rows = rows_of(tag);
        // A SELECT's number is that of the last portion of its portal; CREATE TABLE AS sends none.
        let rows = if tag.starts_with(b"SELECT") {
            rows.max(self.rows)
        } else {
            rows
        };
        self.transaction.completed(tag);
        self.finish(SUCCESS, rows);
    }

    /// EmptyQueryResponse.
    pub fn completed_empty(&mut self) {
        self.finish(SUCCESS, 0);
    }

    /// PortalSuspended.
    pub fn suspended(&mut self) {
        let rows = self.rows;
        self.finish(SUCCESS, rows);
    }

    /// The result of a FunctionCall.
    pub fn function_returned(&mut self) {
        self.finish(SUCCESS, 1);
    }

    fn finish(&mut self, sqlstate: SqlState, rows: u64) {
        let result_bytes = std::mem::take(&mut self.reply_bytes);
        self.rows = 0;
        let copy_since_us = std::mem::take(&mut self.copy_since_us);
        if copy_since_us != 0 && sqlstate != SUCCESS {
            // Refused before its data ended: up to here it was the client's time.
            self.stall_us += now_us().saturating_sub(copy_since_us);
        }
        let Some(mut run) = self.running.pop_front() else {
            // More answers than statements were seen in the text: an addition to the last.
            if let Some(last) = self.done.last_mut() {
                last.rows += rows;
                last.result_bytes += result_bytes;
            }
            return;
        };
        self.answered = run.request;
        if run.more > 0 && sqlstate == SUCCESS {
            self.running.push_front(run.next_alike());
        }
        let mut done = Done {
            run,
            sqlstate,
            rows,
            result_bytes,
            is_shared: false,
            is_abandoned: false,
        };
        if !done.is_error() && done.run.extra.is_some() {
            self.follow_names(&mut done);
        }
        self.done.push(done);
    }

    /// ErrorResponse.
    pub fn failed(&mut self, what: Failed, sqlstate: SqlState) {
        self.transaction.failed();
        match what {
            Failed::Query => {
                let request = self.running.front().map(|run| run.request);
                self.finish(sqlstate, 0);
                if self.running.front().map(|run| run.request) == request {
                    self.skip_requests(1);
                }
            }
            Failed::Extended { executes, others } => {
                match executes {
                    0 => self.failed_before_execute(sqlstate),
                    _ => self.finish(sqlstate, 0),
                }
                self.skip_requests(executes.saturating_sub(1) + others);
            }
            Failed::Sync => {
                if let Some(last) = self.done.last_mut() {
                    last.sqlstate = sqlstate;
                }
            }
            Failed::Unasked => self.unasked_error(sqlstate),
        }
    }

    /// So many requests have failed and nobody hears of it: they are sent again.
    pub fn taken_back(&mut self, requests: usize) {
        self.skip_requests(requests);
    }

    /// PostgreSQL skips so many requests.
    fn skip_requests(&mut self, count: usize) {
        for _ in 0..count {
            let Some(request) = self.running.front().map(|run| run.request) else {
                return;
            };
            while self
                .running
                .front()
                .is_some_and(|run| run.request == request)
            {
                self.skip_front();
            }
        }
    }

    /// PostgreSQL skips it: it never ran.
    fn skip_front(&mut self) {
        if let Some(run) = self.running.pop_front() {
            self.wait_us += run.parts.wait;
            if run.extra.is_some_and(|extra| extra.text.is_some()) {
                self.insight.known.remove(run.what.fingerprint);
            }
        }
    }

    /// A Parse or Describe without an Execute behind it failed.
    fn failed_before_execute(&mut self, sqlstate: SqlState) {
        let Some(what) = self.last_parsed else {
            return self.unasked_error(sqlstate);
        };
        let text = self.unnamed_text.take();
        if text.is_some() {
            self.insight.known.insert(what.fingerprint);
        }
        let run = Running {
            what,
            request: self.requests,
            is_extended: true,
            continues: false,
            more: 0,
            start_us: self.free_since_us,
            first_us: 0,
            parts: Parts {
                wait: std::mem::take(&mut self.wait_us),
                ..Parts::default()
            },
            request_bytes: std::mem::take(&mut self.request_bytes),
            text_hash: 0,
            extra: text.map(|text| {
                Box::new(super::Extra {
                    text: Some(text),
                    ..super::Extra::default()
                })
            }),
        };
        self.running.push_front(run);
        self.finish(sqlstate, 0);
    }

    /// HOT. ReadyForQuery of a request, or of the last one: what it left unanswered never ran.
    #[inline]
    pub fn ready(&mut self, ends_query: bool, is_last: bool) {
        if is_last {
            while !self.running.is_empty() {
                self.skip_front();
            }
            self.last_parsed = None;
        } else if ends_query && !self.running.is_empty() {
            self.drop_unanswered();
        }
        if let Some(last) = self.done.last_mut() {
            last.result_bytes += std::mem::take(&mut self.reply_bytes);
        }
    }

    /// The lexer saw more statements in a Query than were answered.
    fn drop_unanswered(&mut self) {
        let answered = self.answered;
        let is_left = |run: &Running| !run.is_extended && run.request == answered;
        while self.running.front().is_some_and(is_left) {
            self.skip_front();
        }
    }

    /// The client does not take its bytes.
    pub fn stalled(&mut self, now: u64) {
        if self.stalled_since_us == 0 {
            self.stalled_since_us = now;
        }
    }

    /// HOT. Whether the client does not take its bytes.
    #[inline]
    pub fn is_stalled(&self) -> bool {
        self.stalled_since_us != 0
    }

    /// The client takes its bytes again.
    pub fn resumed(&mut self, now: u64) {
        let since = std::mem::take(&mut self.stalled_since_us);
        self.stall_us += now.saturating_sub(since);
    }
}

/// The number at the end of a command tag, for commands that have rows; 0 for MOVE as
/// pg_stat_statements counts it.
fn rows_of(tag: &[u8]) -> u64 {
    if tag.starts_with(b"MOVE") {
        return 0;
    }
    let digits = tag.iter().rev().take_while(|byte| byte.is_ascii_digit());
    let mut rows = 0u64;
    let mut unit = 1u64;
    for digit in digits {
        rows = rows.saturating_add(u64::from(digit - b'0').saturating_mul(unit));
        unit = unit.saturating_mul(10);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_the_last_number_of_the_tag() {
        for (tag, rows) in [
            (&b"INSERT 0 5"[..], 5),
            (b"SELECT 12", 12),
            (b"COPY 100", 100),
            (b"MOVE 7", 0),
            (b"CREATE TABLE", 0),
            (b"", 0),
            (b"SELECT 99999999999999999999999", u64::MAX),
        ] {
            assert_eq!(rows_of(tag), rows, "{}", String::from_utf8_lossy(tag));
        }
    }
}
