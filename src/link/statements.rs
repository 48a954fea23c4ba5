//! Names of prepared statements: the client's on one side, ours on the server (surface 6.4).

use std::sync::Arc;

use super::columns::Columns;
use super::{End, Link};
use crate::error::ClientError;
use crate::net::buf::LARGE;
use crate::server::pending::{Named, Request, Undo};
use crate::session::prepared::{ClientStatements, Statement};
use crate::stats::clock::now_us;
use crate::stats::{Count, Pins};
use crate::wire::frame::{self, HEADER, Header};
use crate::wire::frontend::{self, tag};

impl Link<'_> {
    /// A Parse, Bind, Describe or Close; false when more of it must arrive first.
    pub(super) fn take_named(&mut self, header: Header) -> Result<bool, End> {
        let pending = &self.server.pending;
        // What the server will ignore is passed on as it is and leaves no trace.
        if self.max_prepared == 0 || pending.is_skipping() {
            if !pending.is_skipping() && !self.has_names(header) {
                return Ok(false);
            }
            let request = match header.tag {
                tag::PARSE => Request::Parse(None),
                tag::BIND => Request::Bind,
                tag::DESCRIBE => Request::Describe,
                _ => Request::Close,
            };
            self.observe_as_it_is(header);
            self.send_extended(header, request);
            return Ok(true);
        }
        match header.tag {
            tag::PARSE => self.take_parse(header),
            tag::BIND => self.take_bind(header),
            _ => self.take_described(header),
        }
    }

    /// Whether enough of a frame is here to see its names, where somebody wants to.
    fn has_names(&mut self, header: Header) -> bool {
        let wanted = header.total.min(LARGE);
        let unparsed = self.client.inbound.unparsed();
        let is_read = self.server.tracker.is_on() || self.watch.is_on();
        if !is_read || unparsed.len() >= wanted {
            return true;
        }
        let has_names = match header.tag {
            tag::PARSE => unparsed.get(HEADER) == Some(&0),
            tag::BIND => matches!(
                frontend::bind_statement(unparsed, header.total),
                Ok(Some(_))
            ),
            _ => false,
        };
        if !has_names {
            self.client.inbound.grow(wanted);
        }
        has_names
    }

    /// Whether the whole frame is here; makes room for the rest when it is not.
    pub(super) fn has_whole(&mut self, header: Header) -> bool {
        let is_whole = self.client.inbound.unparsed().len() >= header.total;
        if !is_whole {
            self.client.inbound.grow(header.total);
        }
        is_whole
    }

    fn take_parse(&mut self, header: Header) -> Result<bool, End> {
        if self.client.inbound.unparsed().get(HEADER) == Some(&0) {
            if self.keeps_state {
                return self.take_unnamed_parse(header);
            }
            self.note_unnamed(header);
            self.read_unnamed_parse(header);
            self.send_extended(header, Request::Parse(None));
            return Ok(true);
        }
        if header.total > LARGE {
            // Too long to keep: the server becomes the client's own.
            self.own_server()?;
            self.send_extended(header, Request::Parse(None));
            return Ok(true);
        }
        if !self.has_whole(header) {
            return Ok(false);
        }
        let whole = &self.client.inbound.unparsed()[..header.total];
        let Some((name, body)) = frontend::split_parse(whole) else {
            return Err(End::Fatal(ClientError::broken_packet("Parse")));
        };
        if self.client.holds_statement(name) {
            let name = HEADER..HEADER + name.len();
            return self.refuse_parse(header, name);
        }
        if self.may_be_real(name) {
            self.observe_as_it_is(header);
            self.send_extended(header, Request::Parse(None));
            return Ok(true);
        }
        let context = self.parse_context();
        let rules = self.client.params.rules();
        let dictionary = &self.client.pool.shared.dictionary;
        let statement = dictionary.intern(body, context, rules);
        let name: Box<[u8]> = name.into();
        self.client.keep_statement(&name, Arc::clone(&statement));
        self.timing.count(self.client, Count::ClientParses);
        self.observe_shared_parse(header, &statement);
        let prefix = HEADER + name.len() + 1;
        let named = Box::new(Named {
            client_name: Some(name),
            statement: Arc::clone(&statement),
            unnamed: None,
        });
        if self.server.statements.touch(statement.id) {
            self.client.inbound.discard(header.total);
            self.server
                .pending
                .push_extended(Request::SkippedParse(named));
            return Ok(true);
        }
        self.make_room_for(&statement);
        self.heal.fresh = statement.id;
        self.parse_as(header, prefix, &statement, Request::Parse(Some(named)));
        if self.keeps_state {
            self.ask_columns(&statement);
        }
        Ok(true)
    }

    /// A Parse of a name that is in use: PostgreSQL refuses it.
    fn refuse_parse(&mut self, header: Header, name: std::ops::Range<usize>) -> Result<bool, End> {
        let prefix = name.end + 1;
        let name = self.client.inbound.unparsed().get(name);
        let name = name.unwrap_or_default();
        let Some(statement) = self.client.statement(name) else {
            return Ok(false);
        };
        if let Some(held) = &mut self.client.statements {
            held.note_use(name);
        }
        if !self.keeps_state {
            return Err(End::Fatal(ClientError::statement_name_in_use()));
        }
        if !self.ensure_prepared(&statement) {
            return Ok(false);
        }
        self.parse_as(header, prefix, &statement, Request::Parse(None));
        Ok(true)
    }

    fn take_bind(&mut self, header: Header) -> Result<bool, End> {
        let unparsed = self.client.inbound.unparsed();
        let range = match frontend::bind_statement(unparsed, header.total) {
            Ok(Some(range)) => range,
            Ok(None) if unparsed.len() < LARGE => {
                self.client.inbound.grow(header.total.min(LARGE));
                return Ok(false);
            }
            _ => return Err(End::Fatal(ClientError::broken_packet("Bind"))),
        };
        if range.is_empty() {
            return self.take_unnamed_bind(header, range);
        }
        let Some(statement) = self.client.statement(&unparsed[range.clone()]) else {
            self.timing.count(self.client, Count::Binds);
            self.note_portal(&range, (None, None), None);
            return self.pass_private(header, Request::Bind, range);
        };
        if statement.names_others && self.keeps_state {
            return self.take_naming_bind(header, range, &statement);
        }
        let deed = statement.deed.as_ref();
        if deed.is_some_and(|deed| deed.awaits_values()) && !self.has_values(header) {
            return Ok(false);
        }
        let columns = self.columns(&statement, &range);
        if matches!(columns, Columns::Asked) || !self.ensure_prepared(&statement) {
            return Ok(false);
        }
        let is_healed = self.arm_named(header, &statement, range.clone());
        self.timing.count(self.client, Count::Binds);
        self.note_bind(Some(&statement));
        let what = (Some(statement.what), Some(&*statement));
        self.note_portal(&range, what, statement.deed.clone());
        self.observe_bind(
            header,
            range.clone(),
            Some(statement.what),
            Some(&statement),
        );
        if matches!(columns, Columns::Changed) {
            self.send_refused(header, range);
            return Ok(true);
        }
        let request = if is_healed {
            Request::HealedBind
        } else {
            Request::Bind
        };
        self.rename(header, range, &statement, request);
        Ok(true)
    }

    /// Whether an outdated plan would be healed: at the first use of a name.
    fn arm_named(
        &mut self,
        header: Header,
        statement: &Arc<Statement>,
        name: std::ops::Range<usize>,
    ) -> bool {
        let Some(name) = self.client.inbound.unparsed().get(name) else {
            return false;
        };
        let held = self.client.statements.as_mut();
        let was_told = held.is_none_or(|held| held.tell(name));
        if was_told || !self.keeps_state {
            return false;
        }
        let name: Box<[u8]> = name.into();
        self.hold_explicit();
        self.arm(header, statement, Some(name))
    }

    fn take_described(&mut self, header: Header) -> Result<bool, End> {
        let kind = if header.tag == tag::CLOSE {
            "Close"
        } else {
            "Describe"
        };
        if header.total > LARGE {
            return Err(End::Fatal(ClientError::broken_packet(kind)));
        }
        if !self.has_whole(header) {
            return Ok(false);
        }
        let whole = &self.client.inbound.unparsed()[..header.total];
        let Some((target, name)) = frontend::described(whole) else {
            return Err(End::Fatal(ClientError::broken_packet(kind)));
        };
        let is_close = header.tag == tag::CLOSE;
        let is_unnamed = target == b'S' && name.is_empty();
        if target == b'P' || is_unnamed {
            if is_unnamed && !is_close {
                return self.take_unnamed_describe(header);
            }
            if is_unnamed {
                self.close_unnamed();
            }
            let request = if is_close {
                Request::Close
            } else {
                Request::Describe
            };
            self.send_extended(header, request);
            return Ok(true);
        }
        let name: Box<[u8]> = name.into();
        if is_close {
            return self.take_close(header, &name);
        }
        let Some(statement) = self.client.statement(&name) else {
            let range = HEADER + 1..HEADER + 1 + name.len();
            return self.pass_private(header, Request::Describe, range);
        };
        if statement.names_others && self.keeps_state {
            let range = HEADER + 1..HEADER + 1 + name.len();
            return self.take_naming_describe(header, range, &statement);
        }
        let range = HEADER + 1..HEADER + 1 + name.len();
        match self.columns(&statement, &range) {
            Columns::Same => {}
            Columns::Asked => return Ok(false),
            Columns::Changed => {
                self.send_refused(header, range);
                return Ok(true);
            }
        }
        if !self.ensure_prepared(&statement) {
            return Ok(false);
        }
        let request = if self.arm_named(header, &statement, range.clone()) {
            Request::HealedDescribe
        } else {
            Request::Describe
        };
        self.rename(header, range, &statement, request);
        Ok(true)
    }

    /// Close of a statement is never sent: other clients may share it.
    fn take_close(&mut self, header: Header, name: &[u8]) -> Result<bool, End> {
        let statement = self.client.drop_statement(name);
        if statement.is_none() && self.is_own_server() {
            let range = HEADER + 1..HEADER + 1 + name.len();
            return self.pass_private(header, Request::Close, range);
        }
        let named = statement.map(|statement| {
            Box::new(Named {
                client_name: Some(name.into()),
                statement,
                unnamed: None,
            })
        });
        self.client.inbound.discard(header.total);
        self.server
            .pending
            .push_extended(Request::SkippedClose(named));
        Ok(true)
    }

    /// A name we do not know, at `name`: it may live on a server that is the client's own, or
    /// PostgreSQL says that it does not exist.
    fn pass_private(
        &mut self,
        header: Header,
        request: Request,
        name: std::ops::Range<usize>,
    ) -> Result<bool, End> {
        if !self.is_own_server() {
            if !self.keeps_state {
                return Err(End::Fatal(ClientError::statement_unknown()));
            }
            let known = self.client.inbound.unparsed().get(name.clone());
            let known = known.unwrap_or_default();
            self.not_ours(known)?;
            if let Some(hidden) = self.hidden(known) {
                self.rename_to(header, name, &hidden, request);
                return Ok(true);
            }
        }
        self.send_extended(header, request);
        Ok(true)
    }

    /// Puts the server's name in place of the client's and sends the frame on.
    pub(super) fn rename(
        &mut self,
        header: Header,
        range: std::ops::Range<usize>,
        statement: &Statement,
        request: Request,
    ) {
        self.rename_to(header, range, statement.server_name.as_bytes(), request);
    }

    /// The same with another name.
    pub(super) fn rename_to(
        &mut self,
        header: Header,
        range: std::ops::Range<usize>,
        name: &[u8],
        request: Request,
    ) {
        let total = header.total - range.len() + name.len();
        self.client.inbound.splice(range, name);
        let length = frame::length_field(total - HEADER);
        self.client.inbound.splice(1..HEADER, &length);
        let header = Header {
            tag: header.tag,
            total,
        };
        self.send_extended(header, request);
    }

    /// An error: statements that were on their way are not there after all.
    pub(super) fn undo(&mut self) {
        for step in self.server.pending.on_error() {
            match step {
                Undo::Parse(named) => {
                    self.server.statements.remove(named.statement.id);
                    self.free_name(named);
                }
                Undo::SkippedParse(named) => self.free_name(named),
                Undo::Close(named) => {
                    if let Some(name) = named.client_name {
                        self.client.keep_statement(&name, named.statement);
                    }
                }
                Undo::Eviction(statement) => self.server.statements.insert(statement),
                Undo::Unnamed(was) => {
                    if let Some(was) = self.server.pending.unnamed_before(was) {
                        self.restore_unnamed(was);
                    }
                }
                Undo::ServerUnnamed => self.lose_unnamed(),
            }
        }
    }

    /// Whether a name is used for the first time, from now on not any more.
    pub(super) fn is_untold(&mut self, name: &[u8]) -> bool {
        let held = self.client.statements.as_mut();
        !held.is_none_or(|held| held.tell(name))
    }

    fn free_name(&mut self, named: Named) {
        if let Some(name) = named.client_name {
            self.client.drop_statement(&name);
        }
        if let Some(was) = named.unnamed {
            self.client.unnamed_statement = was;
        }
    }

    /// DEALLOCATE ALL or DISCARD ALL ran: neither side holds anything but what comes behind it in
    /// the same pipeline.
    pub(super) fn forget_statements(&mut self) {
        let server = &mut **self.server;
        server.statements.clear();
        server.has_question = false;
        let mut held = ClientStatements::default();
        for request in server.pending.behind_first() {
            match request {
                Request::Parse(Some(named))
                | Request::InjectedParse(named)
                | Request::InjectedPrepare(Some(named)) => {
                    server.statements.insert(Arc::clone(&named.statement));
                    held.take(named.client_name.as_deref(), &named.statement);
                }
                Request::SkippedParse(named) => {
                    held.take(named.client_name.as_deref(), &named.statement);
                }
                Request::SkippedClose(Some(named)) => {
                    if let Some(name) = &named.client_name {
                        held.remove(name);
                    }
                }
                Request::InjectedClose(statement) => server.statements.remove(statement.id),
                _ => {}
            }
        }
        server.slot.set_prepared(server.statements.len());
        if self.own_names.forget() && server.pins.has(Pins::PREPARED) {
            server.pins = server.pins.without(Pins::PREPARED);
            self.server.show_pins(&self.client.slot, now_us());
        }
        self.client.slot.set_prepared(held.len());
        self.client.statements = (!held.is_empty()).then(|| Box::new(held));
    }
}

impl super::ClientSide {
    /// DEALLOCATE ALL or DISCARD ALL, answered without a server: no name is taken.
    pub fn forget_statements(&mut self) {
        self.statements = None;
        self.slot.set_prepared(0);
    }

    pub(super) fn statement(&self, name: &[u8]) -> Option<Arc<Statement>> {
        self.statements.as_ref()?.get(name).cloned()
    }

    fn holds_statement(&self, name: &[u8]) -> bool {
        self.statements
            .as_ref()
            .is_some_and(|held| held.get(name).is_some())
    }

    pub(super) fn keep_statement(&mut self, name: &[u8], statement: Arc<Statement>) {
        let held = self.statements.get_or_insert_default();
        held.insert(name, statement);
        self.slot.set_prepared(held.len());
    }

    /// Every name in use.
    pub(super) fn statement_names(&self) -> Vec<Box<[u8]>> {
        let held = self.statements.iter();
        held.flat_map(|held| held.names().map(Into::into)).collect()
    }

    pub(super) fn drop_statement(&mut self, name: &[u8]) -> Option<Arc<Statement>> {
        let held = self.statements.as_mut()?;
        let statement = held.remove(name);
        self.slot.set_prepared(held.len());
        statement
    }

    /// Takes over the application_name; true when it is another one.
    pub fn note_application(&mut self) -> bool {
        let name = self.params.application_name().cloned();
        if self.slot.application_name() == name {
            return false;
        }
        let names = &self.pool.shared.insight.names;
        let app = names.app_id(name.as_deref().unwrap_or_default());
        self.slot.activity.set_app(app);
        self.slot.set_application_name(name);
        true
    }
}
