//! An answer of ours in a server's place.
//!
//! Owns: the frames of a Query that no server sees, and that it is counted like any other.

use super::{ClientSide, UnnamedSummary};
use crate::insight::answered::Answered;
use crate::session::prepared::Unnamed;
use crate::sql::Summary;
use crate::stats::Count;
use crate::wire::backend::{self, Status};
use crate::wire::frame::{HEADER, Header};

impl ClientSide {
    /// Answers the Query that waits at `header` and takes it away. `what`: how it is counted; `between`: what is told between
    /// the command's end and ReadyForQuery, as PostgreSQL does with settings that are other ones
    /// now. `now`: monotonic µs.
    pub fn answer(
        &mut self,
        header: Header,
        (command, status): (&str, Status),
        what: Summary,
        now: u64,
        between: impl FnOnce(&mut Self),
    ) {
        // A simple Query ends the unnamed statement.
        self.unnamed = UnnamedSummary::default();
        self.unnamed_statement = Unnamed::None;
        let before = self.outbound.unsent().len();
        let complete = backend::command_complete(command);
        self.outbound.insert_parsed(&complete);
        between(self);
        let ready = backend::ready_for_query(status);
        self.outbound.insert_parsed(&ready);
        let sent = self.outbound.unsent().len() - before;
        let counters = self.pool.counters.lane(self.lane);
        counters.add(Count::Queries, 1);
        counters.add(Count::Sent, sent as u64);
        counters.add(Count::Transactions, u64::from(status == Status::Idle));
        self.tell_insight((header.total, sent), what, now);
        self.inbound.discard(header.total);
    }

    /// `bytes`: of the request and of the reply.
    fn tell_insight(&self, bytes: (usize, usize), what: Summary, now: u64) {
        let insight = &self.pool.shared.insight;
        if !insight.is_enabled() {
            return;
        }
        let unparsed = self.inbound.unparsed();
        let text = unparsed.get(HEADER..bytes.0).unwrap_or_default();
        insight.answered(Answered {
            lane: self.lane,
            pool: self.pool.insight_id,
            app: self.slot.activity.app(),
            what,
            text: text.strip_suffix(b"\0").unwrap_or(text),
            bytes,
            now,
        });
    }
}
