//! HOT. The unnamed statement: on which server it is, and how it is used without being parsed again.
//!
//! On a direct connection a Parse of the unnamed statement replaces the one before, a simple Query
//! destroys it, and else it stays, over Sync and transactions (PostgreSQL documentation 55.2.3). Its
//! client remembers it, and a server that has another one is given it again by a Parse of ours. With
//! `keep_unnamed` a text that comes again is prepared under a name of ours instead, shared with
//! whoever sends the same, so that PostgreSQL neither parses nor plans it again.
//!
//! Owns: the choice between the two, by "no client can tell the difference". Never: a kept statement
//! where an outdated plan could be refused and could not be healed, but for explicit transactions
//! (`heal.rs`).

use std::ops::Range;
use std::sync::Arc;

use super::{End, Link, UnnamedSummary};
use crate::net::buf::LARGE;
use crate::server::pending::{Named, Request};
use crate::session::prepared::{SentParse, SqlUse, Statement, Unnamed};
use crate::sql::{self, Touches, Usage};
use crate::stats::Count;
use crate::wire::backend::Status;
use crate::wire::frame::{self, HEADER, Header};
use crate::wire::frontend::{self, tag};

/// How a Bind or Describe of the unnamed statement goes out.
enum Way {
    /// As it is.
    Plain,
    /// Under our name.
    Named(Arc<Statement>),
    /// When what is in front of it has gone.
    Later,
}

impl Link<'_> {
    /// What a Parse depends on beside its text and types.
    pub(super) fn parse_context(&self) -> u64 {
        let age = self.client.pool.database.schema_age();
        let settings = self.client.session.settings().parse_context();
        let params = self.client.params.parse_context();
        params ^ settings.rotate_left(32) ^ age.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// HOT. A Query: there is no unnamed statement behind it.
    #[inline]
    pub(super) fn end_unnamed(&mut self) {
        if !self.client.unnamed_statement.is_none() {
            self.client.unnamed_statement = Unnamed::None;
        }
        if self.server.unnamed.is_some() {
            self.server.unnamed = None;
        }
    }

    /// HOT. A Parse of the unnamed statement; false when more of it must arrive first.
    pub(super) fn take_unnamed_parse(&mut self, header: Header) -> Result<bool, End> {
        if header.total <= LARGE {
            if !self.has_whole(header) {
                return Ok(false);
            }
            let text = &self.client.inbound.unparsed()[HEADER + 1..header.total];
            if sql::may_name_prepared(text) {
                return self.take_naming_parse(header);
            }
            if self.keeps_unnamed
                && let Some(statement) = self.kept_statement(header)
            {
                return Ok(self.keep(header, statement));
            }
        }
        self.send_unnamed(header);
        Ok(true)
    }

    /// HOT. Sends an unnamed Parse as it is.
    pub(super) fn send_unnamed(&mut self, header: Header) {
        self.note_unnamed(header);
        let same = self.same_parse(header);
        match same {
            // Read when it was sent before: what it does is known.
            Some(sent) if sent.what.is_some() => {
                self.observe_same_parse(header, &sent);
                self.send_sent(header, sent);
            }
            _ => {
                self.read_unnamed_parse(header);
                self.send_parse(header, None);
            }
        }
    }

    /// HOT. Sends an unnamed Parse that was read, and remembers it; `names`: what its text names.
    pub(super) fn send_parse(&mut self, header: Header, names: Option<SqlUse>) {
        let sent = self.sent_parse(header, names);
        self.send_sent(header, sent);
    }

    fn send_sent(&mut self, header: Header, sent: Arc<SentParse>) {
        let now = Unnamed::Sent(Arc::clone(&sent));
        let was = std::mem::replace(&mut self.client.unnamed_statement, now);
        self.server.unnamed = Some(sent);
        self.send_extended(header, Request::UnnamedParse(was));
    }

    /// What the client sent as its last unnamed Parse, when it sends it again.
    fn same_parse(&self, header: Header) -> Option<Arc<SentParse>> {
        let Unnamed::Sent(sent) = &self.client.unnamed_statement else {
            return None;
        };
        let body = sent.body.as_deref()?;
        let unparsed = self.client.inbound.unparsed();
        let is_same = unparsed.get(HEADER + 1..header.total) == Some(body)
            && sent.context == self.parse_context()
            && sent.names.is_none();
        is_same.then(|| Arc::clone(sent))
    }

    /// What is remembered of the Parse at hand.
    fn sent_parse(&self, header: Header, names: Option<SqlUse>) -> Arc<SentParse> {
        let unparsed = self.client.inbound.unparsed();
        let body = if header.total <= LARGE {
            unparsed.get(HEADER + 1..header.total)
        } else {
            None
        };
        Arc::new(SentParse {
            body: body.map(Into::into),
            context: self.parse_context(),
            names,
            what: self.client.unnamed.what,
            deed: self.client.unnamed.deed.clone(),
        })
    }

    /// The shared statement of the Parse at hand, where it may be used for it.
    fn kept_statement(&mut self, header: Header) -> Option<Arc<Statement>> {
        let is_open = self.server.status != Status::Failed;
        let is_own = self.server.is_private || !self.server.pins.is_empty();
        let has_own_tables = self.ledger.touched.has(Touches::TEMPORARY);
        if !is_open || is_own || has_own_tables || self.heal.has_new_schema {
            return None;
        }
        let body = &self.client.inbound.unparsed()[HEADER + 1..header.total];
        let context = self.parse_context();
        if let Unnamed::Kept(known) = &self.client.unnamed_statement
            && known.context == context
            && known.parse_body() == Some(body)
        {
            return Some(Arc::clone(known));
        }
        // What is not planned begins with another letter, most of the time.
        let first = body.first()?.to_ascii_lowercase();
        let is_worth_a_look = !matches!(first, b'a' | b'b' | b'c' | b'e' | b'r') && first != 0;
        if !is_worth_a_look || !is_parse_body(body) {
            return None;
        }
        let rules = self.client.params.rules();
        let dictionary = &self.client.pool.shared.dictionary;
        let statement = dictionary.intern_if_seen(body, context, rules)?;
        statement.is_keepable.then_some(statement)
    }

    /// The unnamed statement becomes a shared one. Its Parse goes out only where the server has not
    /// got it; where the server has, but an error could not be healed, the Parse goes out as it is.
    fn keep(&mut self, header: Header, statement: Arc<Statement>) -> bool {
        let is_held = self.server.statements.touch(statement.id);
        self.hold_explicit();
        if is_held && !self.heal.is_explicit && self.heal.is_dirty {
            self.send_unnamed(header);
            return true;
        }
        let now = Unnamed::Kept(Arc::clone(&statement));
        let was = std::mem::replace(&mut self.client.unnamed_statement, now);
        self.observe_shared_parse(header, &statement);
        self.client.unnamed = UnnamedSummary::of(&statement);
        let named = Box::new(Named {
            client_name: None,
            statement: Arc::clone(&statement),
            unnamed: Some(was),
        });
        if is_held {
            self.client.inbound.discard(header.total);
            let skipped = Request::SkippedParse(named);
            self.server.pending.push_extended(skipped);
            return true;
        }
        self.make_room_for(&statement);
        self.heal.fresh = statement.id;
        self.parse_as(header, HEADER + 1, &statement, Request::Parse(Some(named)));
        true
    }

    /// Sends a Parse under our name; `prefix`: where what stands behind its own name begins.
    pub(super) fn parse_as(
        &mut self,
        header: Header,
        prefix: usize,
        statement: &Statement,
        request: Request,
    ) {
        let name = statement.server_name.as_bytes();
        let length = header.total - prefix + name.len() + 1;
        let mut head = Vec::with_capacity(HEADER + name.len() + 1);
        head.push(tag::PARSE);
        head.extend_from_slice(&frame::length_field(length));
        head.extend_from_slice(name);
        head.push(0);
        self.client.inbound.splice(0..prefix, &head);
        let header = Header {
            tag: tag::PARSE,
            total: length + HEADER,
        };
        self.send_extended(header, request);
    }

    /// HOT. A Bind of the unnamed statement, whose name stands at `range`.
    pub(super) fn take_unnamed_bind(
        &mut self,
        header: Header,
        range: Range<usize>,
    ) -> Result<bool, End> {
        let deed = self.client.unnamed.deed.as_ref();
        if deed.is_some_and(|deed| deed.awaits_values()) && !self.has_values(header) {
            return Ok(false);
        }
        let Some(names) = self.ready_unnamed() else {
            return Ok(false);
        };
        match self.way(header) {
            Way::Later => return Ok(false),
            Way::Plain => {
                if let Some(one) = names {
                    let unparsed = self.client.inbound.unparsed();
                    let portal = unparsed.get(HEADER..range.start.saturating_sub(1));
                    let portal: Box<[u8]> = portal.unwrap_or_default().into();
                    self.ask_by_portal(&portal, one);
                }
                self.timing.count(self.client, Count::Binds);
                self.note_bind(None);
                self.note_unnamed_portal(&range);
                self.observe_bind(header, range, None, None);
                self.send_extended(header, Request::Bind);
            }
            Way::Named(statement) => {
                self.timing.count(self.client, Count::Binds);
                self.note_bind(Some(&statement));
                self.note_unnamed_portal(&range);
                self.observe_bind(header, range.clone(), None, Some(&statement));
                let request = if self.arm(header, &statement, None) {
                    Request::HealedBind
                } else {
                    Request::Bind
                };
                self.rename(header, range, &statement, request);
            }
        }
        Ok(true)
    }

    /// A Describe of the unnamed statement.
    pub(super) fn take_unnamed_describe(&mut self, header: Header) -> Result<bool, End> {
        if let Unnamed::Sent(sent) = &self.client.unnamed_statement
            && let Some(one) = sent.names.clone()
            && one.usage != Usage::Prepare
            && !self.ensure_prepared(&one.statement)
        {
            return Ok(false);
        }
        match self.way(header) {
            Way::Later => return Ok(false),
            Way::Plain => self.send_extended(header, Request::Describe),
            Way::Named(statement) => {
                let request = if self.arm(header, &statement, None) {
                    Request::HealedDescribe
                } else {
                    Request::Describe
                };
                let range = HEADER + 1..HEADER + 1;
                self.rename(header, range, &statement, request);
            }
        }
        Ok(true)
    }

    /// HOT. Makes the server have the client's unnamed statement.
    fn way(&mut self, header: Header) -> Way {
        if !self.keeps_state {
            return Way::Plain;
        }
        match &self.client.unnamed_statement {
            Unnamed::Kept(statement) => {
                let statement = Arc::clone(statement);
                self.kept_way(header, statement)
            }
            Unnamed::Sent(sent) => {
                let is_there = self
                    .server
                    .unnamed
                    .as_ref()
                    .is_some_and(|there| Arc::ptr_eq(there, sent));
                if is_there {
                    return Way::Plain;
                }
                let sent = Arc::clone(sent);
                self.send_again(sent)
            }
            Unnamed::None => self.forget_unnamed(),
        }
    }

    fn kept_way(&mut self, header: Header, statement: Arc<Statement>) -> Way {
        self.hold_explicit();
        if !self.server.statements.touch(statement.id) {
            if !self.ensure_prepared(&statement) {
                return Way::Later;
            }
            self.heal.fresh = statement.id;
        }
        let is_sound = self.heal.fresh == statement.id || self.heal.is_explicit;
        if is_sound || self.can_arm(header) {
            return Way::Named(statement);
        }
        // Neither can an error be healed, nor is it the client's to have: parsed afresh.
        self.send_again(Arc::new(SentParse {
            body: statement.parse_body().map(Into::into),
            context: statement.context,
            names: None,
            what: Some(statement.what),
            deed: statement.deed.clone(),
        }))
    }

    /// Gives the server the client's unnamed statement, by a Parse of ours.
    fn send_again(&mut self, sent: Arc<SentParse>) -> Way {
        let Some(body) = &sent.body else {
            // Too long to be remembered, and on another server: as good as gone.
            return self.forget_unnamed();
        };
        if !self.has_room_for_parse() {
            return Way::Later;
        }
        let mut parse = Vec::with_capacity(body.len() + HEADER + 1);
        frontend::parse_named(&mut parse, b"", body);
        self.hold.unnamed_may_drop = frontend::begins_with_drop(body);
        self.client.inbound.insert_parsed(&parse);
        let pending = &mut self.server.pending;
        pending.push_extended(Request::InjectedUnnamed);
        self.server.unnamed = Some(sent);
        Way::Plain
    }

    /// The client has no unnamed statement: nor may it find that of another client.
    fn forget_unnamed(&mut self) -> Way {
        if self.server.unnamed.take().is_some() {
            let mut close = Vec::new();
            frontend::close_statement(&mut close, b"");
            self.client.inbound.insert_parsed(&close);
            let pending = &mut self.server.pending;
            pending.push_extended(Request::InjectedForget);
        }
        Way::Plain
    }

    /// The unnamed statement is closed.
    pub(super) fn close_unnamed(&mut self) {
        self.client.unnamed_statement = Unnamed::None;
        self.server.unnamed = None;
    }

    /// A step that would have changed the unnamed statement was skipped, or has failed.
    pub(super) fn restore_unnamed(&mut self, was: Unnamed) {
        self.client.unnamed_statement = was;
        self.lose_unnamed();
    }

    /// What the server's unnamed statement is cannot be said: nobody's.
    pub(super) fn lose_unnamed(&mut self) {
        self.server.unnamed = Some(Arc::default());
    }
}

/// Whether what stands behind the name of a Parse is text, NUL and as many types as it says.
fn is_parse_body(body: &[u8]) -> bool {
    let Some((_, types)) = frame::cstr(body) else {
        return false;
    };
    types
        .split_first_chunk::<2>()
        .is_some_and(|(count, oids)| oids.len() == 4 * usize::from(u16::from_be_bytes(*count)))
}
