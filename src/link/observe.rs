//! HOT. What the relay tells insight: statements as they go out, answers as they come back.
//!
//! Owns the clock between a query's first message and
//! its last answer. Changes nothing on the wire: with `insight = 0` all of this is one test of a
//! flag.

use super::Link;
use super::texts::{Streaming, UnnamedSummary};
use crate::insight::tracker::{Failed, Owner};
use crate::server::pending::Answering;
use crate::session::prepared::{SentParse, Statement};
use crate::sql::{self, Summary};
use crate::stats::clock::now_us;
use crate::wire::backend::{self, tag};
use crate::wire::frame::{self, HEADER, Header};
use crate::wire::frontend;

/// What a link observes beside its server's tracker.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// A text that arrives in pieces.
    pub(super) streaming: Option<Box<Streaming>>,
    /// The clock when the bytes at hand came; 0 before it was read.
    pub(super) batch_us: u64,
    /// COPY data that the server does not take: since, and in all, µs.
    server_stalled_since_us: u64,
    server_stall_us: u64,
}

impl Link<'_> {
    /// HOT. Bytes came: whatever they ask for came now.
    #[inline]
    pub(super) fn new_batch(&mut self) {
        self.observed.batch_us = 0;
    }

    /// HOT. The clock, read once for all the messages of a read, and not at all for the first.
    #[inline]
    pub(super) fn batch_now(&mut self) -> u64 {
        if self.observed.batch_us == 0 {
            // Behind a Flush a query may go on after any silence.
            let is_first = self.timing.is_first_read() && !self.server.tracker.is_busy();
            self.observed.batch_us = if is_first {
                self.timing
                    .query_since()
                    .max(self.server.tracker.free_since_us())
            } else {
                now_us()
            };
        }
        self.observed.batch_us
    }

    /// HOT. A Parse of a statement that clients share is about to be sent, or answered by us.
    pub(super) fn observe_shared_parse(&mut self, header: Header, statement: &Statement) {
        if self.server.tracker.is_on() {
            self.batch_now();
            self.server.tracker.add_request_bytes(header.total);
            self.server.tracker.parsed(b"s", statement.what, b"");
        }
    }

    /// HOT. An unnamed Parse is about to be sent that the client has sent before.
    pub(super) fn observe_same_parse(&mut self, header: Header, sent: &SentParse) {
        self.client.unnamed = UnnamedSummary {
            what: sent.what,
            deed: sent.deed.clone(),
        };
        let (true, Some(what)) = (self.server.tracker.is_on(), sent.what) else {
            return;
        };
        self.batch_now();
        let unparsed = self.client.inbound.unparsed();
        let text = unparsed.get(HEADER + 1..header.total).unwrap_or_default();
        let text = frame::cstr(text).map_or(text, |(text, _)| text);
        self.server.tracker.add_request_bytes(header.total);
        self.server.tracker.parsed(b"", what, text.trim_ascii());
    }

    /// A message about names that go to the server as they are.
    pub(super) fn observe_as_it_is(&mut self, header: Header) {
        if self.server.pending.is_skipping() {
            return;
        }
        let is_unnamed_parse = header.tag == frontend::tag::PARSE
            && self.client.inbound.unparsed().get(HEADER) == Some(&0);
        match header.tag {
            _ if is_unnamed_parse => self.read_unnamed_parse(header),
            frontend::tag::BIND => self.observe_bind_as_it_is(header),
            _ if self.server.tracker.is_on() => self.observe_names(header),
            _ => {}
        }
    }

    /// A Parse of a name, or a Close or Describe, that goes to the server as it is.
    fn observe_names(&mut self, header: Header) {
        self.batch_now();
        let unparsed = self.client.inbound.unparsed();
        let seen = &unparsed[..unparsed.len().min(header.total)];
        match header.tag {
            frontend::tag::PARSE => {
                if let Some((name, body)) = frontend::split_parse(seen) {
                    let statement = sql::single(body, self.client.params.rules());
                    let what = Summary::from(&statement);
                    let text = body.get(statement.span).unwrap_or_default();
                    self.server.tracker.parsed_by_name(name, what, text);
                    self.server.tracker.parsed(name, what, b"");
                } else if let Some((name, _)) = frame::cstr(&seen[HEADER..]) {
                    // Too long to be read: the name is not what it was.
                    self.server.tracker.closed_by_name(name);
                }
            }
            frontend::tag::CLOSE => {
                if let Some((b'S', name)) = frontend::described(seen) {
                    self.server.tracker.closed_by_name(name);
                }
            }
            _ => {}
        }
        self.server.tracker.add_request_bytes(header.total);
    }

    fn observe_bind_as_it_is(&mut self, header: Header) {
        let unparsed = self.client.inbound.unparsed();
        let seen = &unparsed[..unparsed.len().min(header.total)];
        let Ok(Some(range)) = frontend::bind_statement(seen, header.total) else {
            return;
        };
        let (unnamed, deed) = match range.is_empty() {
            true => (self.client.unnamed.what, self.client.unnamed.deed.clone()),
            false => (None, None),
        };
        let name = seen[range.clone()].to_vec();
        self.note_portal(&range, (unnamed, None), deed);
        if self.server.tracker.is_on() {
            self.batch_now();
            let what = self.server.tracker.named(&name);
            self.observe_bind(header, range, what, None);
        }
    }

    /// HOT. A Bind is about to be sent; `name`: where the statement's name stands.
    pub(super) fn observe_bind(
        &mut self,
        header: Header,
        name: std::ops::Range<usize>,
        what: Option<Summary>,
        shared: Option<&Statement>,
    ) {
        let tracker = &mut self.server.tracker;
        if !tracker.is_on() {
            return;
        }
        tracker.add_request_bytes(header.total);
        let what = if name.is_empty() {
            self.client.unnamed.what
        } else {
            what
        };
        let unparsed = self.client.inbound.unparsed();
        let portal = unparsed.get(HEADER..name.start.saturating_sub(1));
        if let (Some(what), Some(portal)) = (what, portal) {
            tracker.bound(portal, what, |tracker| match shared {
                Some(statement) => Some(statement.text().into()),
                None if name.is_empty() => tracker.unnamed_text(),
                None => tracker.named_text(unparsed.get(name)?),
            });
        }
    }

    /// HOT. An Execute is about to be sent, whole.
    pub(super) fn observe_execute(&mut self, header: Header) {
        if !self.server.tracker.is_on() || self.server.pending.is_skipping() {
            return;
        }
        let now = self.batch_now();
        let unparsed = self.client.inbound.unparsed();
        let seen = &unparsed[HEADER..unparsed.len().min(header.total)];
        let portal = seen.split(|byte| *byte == 0).next().unwrap_or_default();
        let tracker = &mut self.server.tracker;
        tracker.add_request_bytes(header.total);
        let (fingerprint, writes) = tracker.execute(portal, now);
        self.client.slot.activity.begin(fingerprint, writes);
    }

    /// A message that only counts by its bytes.
    #[inline]
    pub(super) fn observe_bytes(&mut self, header: Header) {
        self.server.tracker.add_request_bytes(header.total);
    }

    /// A FunctionCall is about to be sent.
    pub(super) fn observe_function_call(&mut self, header: Header) {
        if self.server.tracker.is_on() && !self.server.pending.is_skipping() {
            let now = self.batch_now();
            self.server.tracker.add_request_bytes(header.total);
            self.server.tracker.next_request();
            self.server.tracker.function_call(now);
        }
    }

    /// CopyDone or CopyFail is about to be sent.
    pub(super) fn observe_copy_end(&mut self, header: Header) {
        if self.server.tracker.is_on() {
            self.server_takes_again();
            let stall = std::mem::take(&mut self.observed.server_stall_us);
            self.server.tracker.add_request_bytes(header.total);
            self.server.tracker.copy_ends(now_us(), stall);
        }
    }

    /// The server does not take what is there for it.
    pub(super) fn server_stalls(&mut self) {
        if self.server.pending.in_copy() && self.observed.server_stalled_since_us == 0 {
            self.observed.server_stalled_since_us = now_us();
        }
    }

    /// HOT. The server takes bytes.
    #[inline]
    pub(super) fn server_takes_again(&mut self) {
        if self.observed.server_stalled_since_us != 0 {
            let since = std::mem::take(&mut self.observed.server_stalled_since_us);
            self.observed.server_stall_us += now_us().saturating_sub(since);
        }
    }

    /// The client does not take what is there for it.
    pub(super) fn client_stalls(&mut self) {
        let tracker = &mut self.server.tracker;
        if tracker.is_on() && !tracker.is_stalled() {
            let now = now_us();
            tracker.stalled(now);
            self.client.slot.activity.set_stalled_us(now);
        }
    }

    /// HOT. The client takes bytes.
    #[inline]
    pub(super) fn client_takes_again(&mut self) {
        if self.server.tracker.is_stalled() {
            self.server.tracker.resumed(now_us());
            self.client.slot.activity.set_stalled_us(0);
        }
    }

    /// HOT. A reply that is neither a row nor judged; before the queue of requests hears of it.
    pub(super) fn observe_reply(&mut self, header: Header) {
        let answering = self.server.pending.answering();
        let tracker = &mut self.server.tracker;
        if !tracker.is_on() || answering == Answering::Ours {
            return;
        }
        tracker.reply(header.total);
        let is_statement = matches!(answering, Answering::Query | Answering::Execute);
        match header.tag {
            tag::EMPTY_QUERY if is_statement => tracker.completed_empty(),
            tag::PORTAL_SUSPENDED if is_statement => tracker.suspended(),
            tag::FUNCTION_RESULT => tracker.function_returned(),
            tag::COPY_IN => {
                tracker.copy_begins(now_us());
                self.observed.server_stall_us = 0;
            }
            _ => {}
        }
    }

    /// HOT. CommandComplete, whole; before the queue of requests hears of it.
    #[inline]
    pub(super) fn observe_command(&mut self, header: Header) {
        let answering = self.server.pending.answering();
        let tracker = &mut self.server.tracker;
        if !tracker.is_on() {
            return;
        }
        if let Answering::Query | Answering::Execute = answering {
            let command = &self.client.outbound.unparsed()[HEADER..header.total];
            tracker.reply(header.total);
            tracker.completed(command.strip_suffix(b"\0").unwrap_or(command));
        }
    }

    /// ErrorResponse; before the queue of requests hears of it.
    pub(super) fn observe_error(&mut self, header: Header) {
        if !self.server.tracker.is_on() {
            return;
        }
        let failed = match self.server.pending.answering() {
            Answering::Ours => return,
            Answering::Nothing => Failed::Unasked,
            Answering::Query => Failed::Query,
            Answering::Sync => Failed::Sync,
            Answering::Execute | Answering::Step => {
                let (executes, others) = self.server.pending.runs_to_sync();
                Failed::Extended { executes, others }
            }
        };
        let unparsed = self.client.outbound.unparsed();
        let seen = &unparsed[..unparsed.len().min(header.total)];
        let sqlstate = backend::error_fields(seen).sqlstate;
        let sqlstate = sqlstate.try_into().unwrap_or(*b"XX000");
        self.server.tracker.reply(header.total);
        self.server.tracker.failed(failed, sqlstate);
    }

    /// HOT. ReadyForQuery, told after the queue of requests; `ends_query`: of a simple Query. The
    /// clock, where somebody asks for it.
    #[inline]
    pub(super) fn observe_ready(&mut self, header: Header, ends_query: bool) -> u64 {
        let is_last = self.server.pending.is_empty();
        let tracker = &mut self.server.tracker;
        let now = if is_last || tracker.awaits_ready() {
            now_us()
        } else {
            0
        };
        if tracker.is_on() {
            tracker.reply(header.total);
            tracker.ready(ends_query, is_last);
            tracker.ready_late(now);
        }
        now
    }

    /// HOT. Everything that was read has been told.
    #[inline]
    pub(super) fn observe_arrival(&mut self) {
        if !self.server.tracker.needs_clock() {
            return;
        }
        let now = now_us();
        self.server.tracker.arrived(now);
        if self.server.tracker.is_full() {
            self.record(now, false);
        }
    }

    /// HOT. Every request is answered.
    #[inline]
    pub(super) fn record(&mut self, now: u64, is_idle: bool) {
        if self.server.tracker.is_on() {
            let server = &mut *self.server;
            let owner = Owner {
                slot: &self.client.slot,
                backend_pid: server.slot.backend_pid,
                blocked_us: server.slot.take_blocked_us(),
            };
            server.tracker.record(now, is_idle, owner);
        }
    }

    /// The link is over.
    pub(super) fn observe_end(&mut self, now: u64, is_idle: bool) {
        let server = &mut *self.server;
        let owner = Owner {
            slot: &self.client.slot,
            backend_pid: server.slot.backend_pid,
            blocked_us: server.slot.take_blocked_us(),
        };
        server.tracker.end(now, is_idle, owner);
    }
}
