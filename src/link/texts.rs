//! HOT. SQL texts as they go out: read once, for insight and for the client's session.
//!
//! Owns the reading of texts, whole or in pieces. Changes nothing on the wire; with `insight = 0`
//! and `session_state = pgbouncer` nothing is read.

use std::sync::Arc;

use super::Link;
use super::functions::Asking;
use super::pins::{makes_table, may_unpin};
use crate::insight::tracker::{Text, Tracker};
use crate::session::deed::{Deed, Deeds, Watch};
use crate::session::functions::Functions;
use crate::session::prepared::Statement;
use crate::session::sequences::Seen;
use crate::sql::{self, Rules, Stream, Summary, Touches};
use crate::stats::Activity;
use crate::stats::clock::now_us;
use crate::wire::frame::{HEADER, Header};

/// Bytes of a text in pieces that are kept for those who want to read it: of its first statement what
/// counts and one byte more, behind a line or two of blanks and comments.
const TEXT_HEAD: usize = sql::CAP + (4 << 10);

/// What a statement may do for good, whether its block commits or not.
const ENDURES: Touches = Touches::TRANSACTION.or(Touches::CODE).or(Touches::FUNCTION);

/// A text in pieces.
#[derive(Debug)]
pub(super) struct Streaming {
    stream: Stream,
    head: Vec<u8>,
    is_query: bool,
    /// When it began to arrive, µs.
    began: u64,
    found: Found,
}

/// What the statements of a text amount to for the session.
#[derive(Debug, Default)]
struct Found {
    statements: u32,
    touches: Touches,
    deeds: Deeds,
    sequences: Seen,
}

/// What is known of the client's unnamed statement.
#[derive(Debug, Default)]
pub struct UnnamedSummary {
    /// What it does; `None`: there is none, or nobody has read it.
    pub what: Option<Summary>,
    /// What it will have done to the session.
    pub deed: Option<Arc<Deed>>,
}

impl UnnamedSummary {
    /// Of a statement that clients share.
    pub fn of(statement: &Statement) -> Self {
        Self {
            what: Some(statement.what),
            deed: statement.deed.clone(),
        }
    }
}

impl Link<'_> {
    /// HOT. A Query is about to be sent; what it will have done to the session.
    pub(super) fn read_query(&mut self, header: Header) -> Option<Box<Deeds>> {
        self.client.unnamed = UnnamedSummary::default();
        let is_counted = self.server.tracker.is_on();
        if !self.reads_texts() || self.server.pending.is_skipping() {
            return None;
        }
        let now = self.batch_now();
        if is_counted {
            self.server.tracker.add_request_bytes(header.total);
            self.server.tracker.next_request();
        }
        let rules = self.client.params.rules();
        let unparsed = self.client.inbound.unparsed();
        let Some(bytes) = unparsed.get(HEADER..header.total) else {
            self.read_pieces(HEADER, true);
            return None;
        };
        let is_pinned = !self.server.pins.is_empty();
        let mut reader = Reader {
            activity: &self.client.slot.activity,
            tracker: &mut self.server.tracker,
            is_counted,
            began: now,
            watch: self.watch,
            functions: &self.client.pool.database.functions,
            is_path_temporary: self.client.is_path_temporary(),
            asking: &mut self.asking,
            is_pinned,
            rules,
        };
        let mut found = Found::default();
        sql::each_statement(bytes, rules, |one| reader.query(one, bytes, &mut found));
        self.ledger.touched |= found.touches;
        self.note_sequences(found.sequences);
        if found.touches.has(ENDURES) {
            self.cannot_repeat();
        }
        (!found.deeds.is_empty()).then(|| Box::new(found.deeds))
    }

    /// HOT. Whether anybody wants to know what texts say.
    #[inline]
    fn reads_texts(&self) -> bool {
        self.server.tracker.is_on() || self.watch.is_on()
    }

    /// A text begins that is not here whole.
    fn read_pieces(&mut self, text_at: usize, is_query: bool) {
        let rules = self.client.params.rules();
        let mut streaming = Box::new(Streaming {
            stream: Stream::new(rules),
            head: Vec::new(),
            is_query,
            began: self.observed.batch_us,
            found: Found::default(),
        });
        let n = self.client.inbound.unparsed().len();
        self.feed(&mut streaming, text_at..n);
        self.observed.streaming = Some(streaming);
    }

    /// HOT. More of a request is about to be sent: its first `n` unparsed bytes; `is_last`: it is
    /// complete.
    #[inline]
    pub(super) fn read_rest(&mut self, n: usize, is_last: bool) {
        if self.observed.streaming.is_some() {
            self.read_piece(n, is_last);
        }
    }

    fn read_piece(&mut self, n: usize, is_last: bool) {
        let Some(mut streaming) = self.observed.streaming.take() else {
            return;
        };
        self.feed(&mut streaming, 0..n);
        if !is_last {
            self.observed.streaming = Some(streaming);
            return;
        }
        self.end_of_text(*streaming);
    }

    /// Gives a piece to the lexer.
    fn feed(&mut self, streaming: &mut Streaming, range: std::ops::Range<usize>) {
        let piece = self.client.inbound.unparsed().get(range);
        let piece = piece.unwrap_or_default();
        let room = TEXT_HEAD.saturating_sub(streaming.head.len());
        let kept = &piece[..room.min(piece.len())];
        streaming.head.extend_from_slice(kept);
        let is_pinned = !self.server.pins.is_empty();
        let mut reader = Reader {
            activity: &self.client.slot.activity,
            is_counted: self.server.tracker.is_on(),
            tracker: &mut self.server.tracker,
            began: streaming.began,
            watch: self.watch,
            functions: &self.client.pool.database.functions,
            is_path_temporary: self.client.is_path_temporary(),
            asking: &mut self.asking,
            is_pinned,
            rules: self.client.params.rules(),
        };
        let Streaming {
            stream,
            head,
            is_query,
            found,
            ..
        } = streaming;
        stream.push(piece, &mut |one| {
            if *is_query {
                reader.query(one, head, found);
            } else {
                self.client.unnamed = reader.parse(one, head);
            }
        });
    }

    fn end_of_text(&mut self, streaming: Streaming) {
        let Streaming {
            mut stream,
            head,
            is_query,
            began,
            mut found,
        } = streaming;
        let is_pinned = !self.server.pins.is_empty();
        let mut reader = Reader {
            activity: &self.client.slot.activity,
            is_counted: self.server.tracker.is_on(),
            tracker: &mut self.server.tracker,
            began,
            watch: self.watch,
            functions: &self.client.pool.database.functions,
            is_path_temporary: self.client.is_path_temporary(),
            asking: &mut self.asking,
            is_pinned,
            rules: self.client.params.rules(),
        };
        stream.finish(&mut |one| {
            if is_query {
                reader.query(one, &head, &mut found);
            } else {
                self.client.unnamed = reader.parse(one, &head);
            }
        });
        let now = now_us();
        if is_query {
            if self.server.tracker.is_on() {
                self.server.tracker.uploaded(now);
            }
            self.ledger.touched |= found.touches;
            self.note_sequences(found.sequences);
            // Too long to have our names put in.
            self.ledger.has_own_names |= found.touches.has(Touches::PREPARED);
            self.server.pending.set_deeds(found.deeds);
        }
        self.observed.batch_us = now;
    }

    /// HOT. A Parse of the unnamed statement is about to be sent.
    pub(super) fn read_unnamed_parse(&mut self, header: Header) {
        if !self.reads_texts() {
            return;
        }
        self.batch_now();
        let is_counted = self.server.tracker.is_on();
        if is_counted {
            self.server.tracker.add_request_bytes(header.total);
        }
        let unparsed = self.client.inbound.unparsed();
        let Some(bytes) = unparsed.get(HEADER + 1..header.total) else {
            return self.read_pieces(HEADER + 1, false);
        };
        let rules = self.client.params.rules();
        let statement = sql::single(bytes, rules);
        let is_pinned = !self.server.pins.is_empty();
        let mut reader = Reader {
            activity: &self.client.slot.activity,
            tracker: &mut self.server.tracker,
            is_counted,
            began: self.observed.batch_us,
            watch: self.watch,
            functions: &self.client.pool.database.functions,
            is_path_temporary: self.client.is_path_temporary(),
            asking: &mut self.asking,
            is_pinned,
            rules,
        };
        self.client.unnamed = reader.parse(&statement, bytes);
    }
}

/// Who hears of the statements of a text.
struct Reader<'a> {
    activity: &'a Activity,
    tracker: &'a mut Tracker,
    is_counted: bool,
    /// When the text began to arrive, µs.
    began: u64,
    watch: Watch,
    functions: &'a Functions,
    /// Tables are made in a temporary schema unless another is named.
    is_path_temporary: bool,
    asking: &'a mut Option<Box<Asking>>,
    /// The client keeps its server: what may end that matters too.
    is_pinned: bool,
    rules: Rules,
}

impl Reader<'_> {
    /// HOT. A statement of a Query.
    #[inline]
    fn query(&mut self, statement: &sql::Statement, bytes: &[u8], found: &mut Found) {
        if self.is_counted {
            let text = Text { bytes, offset: 0 };
            let fingerprint = self.tracker.statement(statement, text, self.began);
            self.activity.begin(fingerprint, statement.writes);
        }
        found.sequences.add(statement.class, statement.touches);
        let mut touches = self.watch.of_interest(statement.touches);
        if touches.has(Touches::FUNCTION)
            && let Some(known) = self.called(statement, bytes)
        {
            touches = touches.without(Touches::FUNCTION).or(known);
        }
        if self.is_path_temporary && makes_table(statement.class, statement.writes) {
            touches |= self.watch.of_interest(Touches::TEMPORARY);
        }
        if self.is_pinned {
            touches |= may_unpin(statement.class);
        }
        if !touches.is_empty() {
            found.touches |= touches;
            if let Some(deed) = self.deed(statement, bytes) {
                found.deeds.push((found.statements, deed));
            }
        }
        found.statements += 1;
    }

    /// The statement of a Parse.
    fn parse(&mut self, statement: &sql::Statement, bytes: &[u8]) -> UnnamedSummary {
        let mut what = Summary::from(statement);
        let end = statement.span.end.min(bytes.len());
        let start = statement.span.start.min(end);
        if self.is_counted {
            self.tracker.parsed(b"", what, &bytes[start..end]);
        }
        what.touches = self.watch.of_interest(what.touches);
        if what.touches.has(Touches::FUNCTION) {
            // What it is at its Bind is what counts.
            self.called(statement, bytes);
        }
        UnnamedSummary {
            what: Some(what),
            deed: self.deed(statement, bytes),
        }
    }

    /// What the functions that a statement calls touch; where nobody has asked about them, they are
    /// noted.
    fn called(&mut self, statement: &sql::Statement, bytes: &[u8]) -> Option<Touches> {
        let known = self.functions.touches(statement.fingerprint, self.began);
        if known.is_none() {
            let asking = self.asking.get_or_insert_default();
            asking.note(bytes, statement, self.rules);
        }
        known
    }

    /// What a statement will have done to the session.
    fn deed(&self, statement: &sql::Statement, bytes: &[u8]) -> Option<Arc<Deed>> {
        if self.watch.of_interest(statement.touches).is_empty() {
            return None;
        }
        if statement.span.end > bytes.len() {
            return Some(Deed::unknown());
        }
        Deed::of(bytes, statement, self.rules)
    }
}
