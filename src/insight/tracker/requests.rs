//! HOT. What was asked of a server.

use std::collections::HashMap;

use super::{
    Body, Extra, MAX_NAMES, MAX_RUNNING, MAX_TEXTS, NAME, Named, Portal, Running, Tracker,
};
use crate::insight::Insight;
use crate::insight::figures::Parts;
use crate::insight::labels;
use crate::insight::lane::{Mixer, NewText};
use crate::sql::{self, Class, Rules, Statement, Summary, Verb};

/// Longest sample kept, bytes.
const SAMPLE: usize = 4 << 10;
/// Bytes of a longer statement that are enough for its text: what counts of it, and one that shows that
/// it goes on.
const TELLING: usize = sql::CAP + 1;
/// Longest comment with tags kept, bytes.
const TAGS: usize = 1 << 10;

/// The bytes of a text that the lexer speaks of: `bytes[0]` is its byte number `offset`.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// What is there of it.
    pub bytes: &'a [u8],
    /// Bytes of the text that came before.
    pub offset: usize,
}

impl<'a> Text<'a> {
    /// A part of the text, as far as it is there.
    fn get(&self, span: &std::ops::Range<usize>) -> &'a [u8] {
        let start = span.start.saturating_sub(self.offset);
        let end = span.end.saturating_sub(self.offset);
        let end = end.min(self.bytes.len());
        self.bytes.get(start.min(end)..end).unwrap_or_default()
    }
}

/// A name as PostgreSQL takes it: without its quotes, or in lower case.
fn folded(name: &[u8]) -> Box<[u8]> {
    match name {
        [b'"', inner @ .., b'"'] => kept(inner).into(),
        plain => kept(plain).to_ascii_lowercase().into(),
    }
}

/// What PostgreSQL keeps of a name.
fn kept(name: &[u8]) -> &[u8] {
    &name[..name.len().min(NAME)]
}

/// The body of a PREPARE: what stands behind AS.
fn body_of(statement: &Statement, text: Text<'_>) -> Option<Box<[u8]>> {
    let name = statement.name.as_ref()?;
    let rest = text.get(&(name.end..statement.span.end)).trim_ascii_start();
    let rest = match rest.first() {
        Some(b'(') => &rest[rest.iter().position(|byte| *byte == b')')? + 1..],
        _ => rest,
    };
    let rest = rest.trim_ascii_start();
    let (word, body) = rest.split_at_checked(2)?;
    word.eq_ignore_ascii_case(b"as")
        .then(|| head(body.trim_ascii_start(), SAMPLE))
}

/// The cursor that a statement by itself names.
fn cursor_of(text: &[u8]) -> Option<Box<[u8]>> {
    let name = sql::single(text, Rules::default()).name?;
    text.get(name).map(folded)
}

fn head(bytes: &[u8], longest: usize) -> Box<[u8]> {
    bytes[..bytes.len().min(longest)].into()
}

impl Tracker {
    /// HOT. Bytes of a request, headers included; they count for the next statement, or for the one
    /// that runs when they are COPY data.
    #[inline]
    pub fn add_request_bytes(&mut self, bytes: usize) {
        self.request_bytes += bytes as u64;
    }

    /// HOT. A Query is about to be told; its statements come through `statement`.
    #[inline]
    pub fn next_request(&mut self) {
        self.requests = self.requests.wrapping_add(1);
        // Query destroys the unnamed portal and statement.
        self.unnamed_portal = None;
    }

    /// HOT. A statement of a simple Query; its fingerprint.
    pub fn statement(&mut self, statement: &Statement, text: Text<'_>, now: u64) -> u64 {
        if self.running.len() >= MAX_RUNNING {
            return self.one_more(now);
        }
        let mut what = Summary::from(statement);
        let mut extra = None;
        if what.verb != Verb::Other {
            self.resolve(&mut what, statement, text, &mut extra);
        }
        let raw = text.get(&statement.span);
        // Of a statement far behind in a long text too little is there: another brings it whole.
        if raw.len() >= statement.span.len().min(TELLING) && self.is_first(what.fingerprint) {
            let text = Some(head(raw, TELLING));
            extra.get_or_insert_with(Box::<Extra>::default).text = text;
        }
        if self.insight.keeps_samples() {
            extra.get_or_insert_with(Box::<Extra>::default).sample =
                Some(head(text.get(&statement.span), SAMPLE));
        }
        if let Some(tags) = &statement.tags {
            extra.get_or_insert_with(Box::<Extra>::default).tags = Some(head(text.get(tags), TAGS));
        }
        let text_hash = if self.transaction.has_seen(what.fingerprint) {
            hash(text.get(&statement.span))
        } else {
            0
        };
        self.push(what, false, now, text_hash, extra);
        what.fingerprint
    }

    /// A statement for which there is no room: one text can hold hundreds of millions.
    #[cold]
    fn one_more(&mut self, now: u64) -> u64 {
        let what = Summary {
            fingerprint: labels::UNSEEN,
            ..Summary::default()
        };
        match self.running.back_mut() {
            Some(last) if last.request == self.requests && last.what == what => last.more += 1,
            _ => self.push(what, false, now, 0, None),
        }
        what.fingerprint
    }

    /// HOT. Whether the statement shall bring the text of its fingerprint.
    #[inline]
    fn is_first(&self, fingerprint: u64) -> bool {
        is_first(&self.insight, fingerprint)
    }

    /// What PREPARE, EXECUTE and DEALLOCATE speak of.
    fn resolve(
        &mut self,
        what: &mut Summary,
        statement: &Statement,
        text: Text<'_>,
        extra: &mut Option<Box<Extra>>,
    ) {
        let name = statement.name.as_ref().map(|span| folded(text.get(span)));
        match what.verb {
            // As pg_stat_statements does: an EXECUTE is a call of the statement it names.
            Verb::Execute => {
                if let Some(body) = name.and_then(|name| self.prepared.get_mut(&name)) {
                    what.fingerprint = body.fingerprint;
                    what.class = body.class;
                    if let Some(body) = body.text.take()
                        && is_first(&self.insight, what.fingerprint)
                    {
                        extra.get_or_insert_with(Box::<Extra>::default).text = Some(body);
                    }
                }
            }
            Verb::Prepare | Verb::Deallocate => {
                let extra = extra.get_or_insert_with(Box::<Extra>::default);
                extra.name = name;
                extra.body = statement.body.map(|(fingerprint, class)| Body {
                    fingerprint,
                    class,
                    text: Some(statement)
                        .filter(|_| !self.insight.known.has(fingerprint))
                        .and_then(|statement| body_of(statement, text)),
                });
            }
            verb if verb.is_of_cursor() => {
                extra.get_or_insert_with(Box::<Extra>::default).name = name;
            }
            _ => {}
        }
    }

    /// What the next EXECUTE of a name runs; `None`: nothing that is known.
    pub fn named_body(&mut self, name: &[u8], body: Option<(u64, Class)>) {
        let Some((fingerprint, class)) = body else {
            self.prepared.remove(kept(name));
            return;
        };
        let known = self.prepared.get(kept(name));
        if known.is_none_or(|known| known.fingerprint != fingerprint) {
            let body = Body {
                fingerprint,
                class,
                text: None,
            };
            remember(&mut self.prepared, name, body);
        }
    }

    /// A request that runs something without a text: the FunctionCall sub-protocol.
    pub fn function_call(&mut self, now: u64) {
        let what = Summary {
            fingerprint: labels::FUNCTION_CALL,
            class: Class::Other,
            ..Summary::default()
        };
        self.push(what, false, now, 0, None);
    }

    /// HOT. A Parse was sent: what it holds, and its text where that is not known yet.
    pub fn parsed(&mut self, name: &[u8], what: Summary, text: &[u8]) {
        self.last_parsed = Some(what);
        if name.is_empty() {
            let is_new = !self.insight.known.has(what.fingerprint) || what.verb.is_of_cursor();
            self.unnamed_text = is_new.then(|| text.into());
        }
    }

    /// A Parse whose name goes to the server as it is.
    pub fn parsed_by_name(&mut self, name: &[u8], what: Summary, text: &[u8]) {
        let is_new = !self.insight.known.has(what.fingerprint);
        let text = is_new.then(|| head(text, SAMPLE));
        remember(&mut self.named, name, Named { what, text });
    }

    /// Close of a name that went to the server as it is.
    pub fn closed_by_name(&mut self, name: &[u8]) {
        self.named.remove(kept(name));
    }

    /// What a name stands for that went to the server as it is.
    pub fn named(&self, name: &[u8]) -> Option<Summary> {
        self.named.get(kept(name)).map(|named| named.what)
    }

    /// Its text, once, where it was not known.
    pub fn named_text(&mut self, name: &[u8]) -> Option<Box<[u8]>> {
        self.named.get_mut(kept(name))?.text.take()
    }

    /// The text of the unnamed statement, once, where it was not known.
    pub fn unnamed_text(&mut self) -> Option<Box<[u8]>> {
        self.unnamed_text.take()
    }

    /// HOT. A Bind was sent. `text`: the statement's text, asked for only when it is not known.
    pub fn bound(
        &mut self,
        portal: &[u8],
        what: Summary,
        text: impl FnOnce(&mut Self) -> Option<Box<[u8]>>,
    ) {
        let is_new = !self.insight.known.has(what.fingerprint);
        let has_room = portal.is_empty() || self.portals.len() < MAX_TEXTS;
        let names_cursor = what.verb.is_of_cursor();
        let text = if (is_new || names_cursor) && has_room {
            text(self)
        } else {
            None
        };
        let cursor = text.as_deref().filter(|_| names_cursor);
        let bound = Portal {
            what,
            cursor: cursor.and_then(cursor_of),
            text: text.filter(|text| is_new && !text.is_empty()),
            has_run: false,
        };
        if portal.is_empty() {
            self.unnamed_portal = Some(bound);
        } else {
            remember(&mut self.portals, portal, bound);
        }
    }

    /// HOT. An Execute was sent; the fingerprint of its statement, and whether it writes.
    pub fn execute(&mut self, portal: &[u8], now: u64) -> (u64, bool) {
        self.requests = self.requests.wrapping_add(1);
        let bound = if portal.is_empty() {
            self.unnamed_portal.as_mut()
        } else {
            self.portals.get_mut(kept(portal))
        };
        let Some(bound) = bound else {
            let what = Summary {
                fingerprint: labels::UNSEEN,
                ..Summary::default()
            };
            self.push(what, true, now, 0, None);
            return (what.fingerprint, false);
        };
        let what = bound.what;
        let continues = std::mem::replace(&mut bound.has_run, true);
        let text = bound.text.take();
        let text = text.filter(|_| is_first(&self.insight, what.fingerprint));
        let name = bound.cursor.clone();
        let extra = (text.is_some() || name.is_some()).then(|| {
            Box::new(Extra {
                text,
                name,
                ..Extra::default()
            })
        });
        self.push(what, true, now, 0, extra);
        if let Some(run) = self.running.back_mut() {
            run.continues = continues;
        }
        (what.fingerprint, what.writes)
    }

    /// HOT.
    #[inline]
    fn push(
        &mut self,
        what: Summary,
        is_extended: bool,
        now: u64,
        text_hash: u64,
        mut extra: Option<Box<Extra>>,
    ) {
        if what.verb == Verb::Commit {
            self.transaction.commit_asked();
        }
        if let Some(extra) = &mut extra
            && let Some(text) = extra.text.take()
        {
            // Now, not at its end: who waits for a lock has to have a name meanwhile.
            let mut records = self.insight.recorder(self.lane).lock();
            extra.has_brought_text = records.push_text(what.fingerprint, NewText::Raw(text));
            if !extra.has_brought_text {
                self.insight.known.remove(what.fingerprint);
            }
        }
        self.running.push_back(Running {
            what,
            request: self.requests,
            is_extended,
            continues: false,
            more: 0,
            start_us: now,
            first_us: 0,
            parts: Parts {
                wait: std::mem::take(&mut self.wait_us),
                ..Parts::default()
            },
            request_bytes: std::mem::take(&mut self.request_bytes),
            text_hash,
            extra,
        });
    }

    /// The rest of a request that had come in pieces is there: the server had it only now.
    pub fn uploaded(&mut self, now: u64) {
        let request = self.requests;
        let statements = self.running.iter_mut().rev();
        // What the client took to send it is booked once, on the first of its statements.
        let mut first = None;
        for run in statements.take_while(|run| run.request == request) {
            let late = now.saturating_sub(run.start_us);
            run.start_us = now;
            first = Some((run, late));
        }
        if let Some((run, late)) = first {
            run.parts.transfer += late;
        }
    }

    /// The client is silent since its last answer; it asks again now.
    #[inline]
    pub fn thought(&mut self, us: u64, now: u64) {
        self.think_us = us;
        self.free_since_us = now;
        self.transaction.thought(us);
    }

    /// HOT. A BEGIN that was counted before goes to the server now.
    #[inline]
    pub fn block_begins(&mut self) {
        self.transaction.completed(b"BEGIN");
    }

    /// HOT. A transaction begins on a server that the client keeps (session mode).
    #[inline]
    pub fn transaction_begins(&mut self, now: u64) {
        self.transaction.begin(now);
        self.free_since_us = now;
    }

    /// The server asks for COPY data.
    pub fn copy_begins(&mut self, now: u64) {
        self.copy_since_us = now;
    }

    /// The client's COPY data is at its end; `server_stall_us`: how long the server did not take it.
    pub fn copy_ends(&mut self, now: u64, server_stall_us: u64) {
        let since = std::mem::take(&mut self.copy_since_us);
        if since != 0 {
            let spent = now.saturating_sub(since);
            self.stall_us += spent.saturating_sub(server_stall_us);
        }
        let bytes = std::mem::take(&mut self.request_bytes);
        if let Some(run) = self.running.front_mut() {
            run.request_bytes += bytes;
        }
    }
}

/// Under a new name only while there is room; what an old name stood for goes in any case.
pub(super) fn remember<V>(names: &mut HashMap<Box<[u8]>, V>, name: &[u8], value: V) {
    let name = kept(name);
    if let Some(known) = names.get_mut(name) {
        *known = value;
    } else if names.len() < MAX_NAMES {
        names.insert(name.into(), value);
    }
}

/// HOT. Known from now on: one statement in flight brings the text, however deep the pipeline. Who
/// drops that statement takes it back.
#[inline]
fn is_first(insight: &Insight, fingerprint: u64) -> bool {
    let is_first = !insight.known.has(fingerprint);
    if is_first {
        insight.known.insert(fingerprint);
    }
    is_first
}

/// Tells texts apart inside one transaction; never leaves the process. 0 means "not looked at".
fn hash(text: &[u8]) -> u64 {
    use std::hash::Hasher;
    let mut hasher = Mixer::default();
    hasher.write(text);
    hasher.finish().max(1)
}
