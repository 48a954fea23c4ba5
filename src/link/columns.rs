//! Whether a prepared statement still has the columns that its clients were told.
//!
//! On a direct connection PostgreSQL refuses a statement whose columns have changed since it was
//! parsed, because the client reads rows as it was told. A server that parses the statement later
//! finds nothing wrong. So the columns are asked for when a statement is parsed for the first time,
//! and again on each server before the first use by a client that knows the name: where they are
//! others, the client gets PostgreSQL's error, and the text is another statement from then on.
//!
//! Owns: the question, and the error in PostgreSQL's words. A description over 64 KiB is not compared.

use std::ops::Range;
use std::sync::Arc;

use super::Link;
use crate::error::ClientError;
use crate::net::buf::LARGE;
use crate::server::pending::{Reply, Request};
use crate::session::prepared::Statement;
use crate::wire::backend;
use crate::wire::frame::Header;
use crate::wire::frontend;

/// A name that no statement has: what is bound to it fails in PostgreSQL, with all that follows.
const NOBODY: &[u8] = b"PGWEIR_CHANGED";

/// What is known of a statement's columns on the linked server.
pub(super) enum Columns {
    /// They are those that its clients were told, as far as anybody was.
    Same,
    /// The message must wait: the server is being asked.
    Asked,
    /// They are others.
    Changed,
}

impl Link<'_> {
    /// HOT. Before a message of the client uses a statement by a name, at `name` of the message.
    #[inline]
    pub(super) fn columns(&mut self, statement: &Arc<Statement>, name: &Range<usize>) -> Columns {
        let id = statement.id;
        // What the client itself has parsed in this batch is new to it.
        let is_fresh = self.heal.fresh == id && self.hold.changed != Some(id);
        match is_fresh || self.server.statements.is_proved(id) {
            true => Columns::Same,
            false => self.unproved_columns(statement, name),
        }
    }

    fn unproved_columns(&mut self, statement: &Arc<Statement>, name: &Range<usize>) -> Columns {
        let name = self.client.inbound.unparsed().get(name.clone());
        let held = self.client.statements.as_ref();
        let is_told = held.is_some_and(|held| held.is_told(name.unwrap_or_default()));
        if !is_told || !self.keeps_state || statement.columns().is_none() {
            return Columns::Same;
        }
        if self.hold.changed.take() == Some(statement.id) {
            return Columns::Changed;
        }
        if self.ensure_prepared(statement) {
            self.ask_columns(statement);
            self.hold.for_columns = true;
        }
        self.hold.is_held = true;
        Columns::Asked
    }

    /// Asks for the columns of a statement that the server has, or is about to have.
    pub(super) fn ask_columns(&mut self, statement: &Arc<Statement>) {
        let mut out = Vec::new();
        frontend::describe_statement(&mut out, statement.server_name.as_bytes());
        self.client.inbound.insert_parsed(&out);
        let request = Request::OwnDescribe(Arc::clone(statement));
        self.server.pending.push_extended(request);
    }

    /// RowDescription or NoData to a question of ours; false when it must be complete to be judged
    /// and is not.
    pub(super) fn take_columns(&mut self, header: Header) -> bool {
        let frame = self.client.outbound.unparsed().get(..header.total);
        if frame.is_none() && header.total <= LARGE {
            self.client.outbound.grow(header.total);
            return false;
        }
        let columns = frame.map(backend::columns_hash);
        if let Some(statement) = self.server.pending.described() {
            let is_same = columns.is_none_or(|columns| statement.has_columns(columns));
            if is_same {
                self.server.statements.prove(statement.id);
            } else {
                self.renew_changed(&statement);
            }
        }
        self.pass_reply(header, Reply::Swallow);
        true
    }

    fn renew_changed(&mut self, statement: &Statement) {
        self.hold.changed = Some(statement.id);
        let rules = self.client.params.rules();
        self.client.pool.shared.dictionary.renew(statement, rules);
    }

    /// Sends a Bind or Describe that PostgreSQL refuses.
    pub(super) fn send_refused(&mut self, header: Header, name: Range<usize>) {
        self.rename_to(header, name, NOBODY, Request::Refused);
    }

    /// The error about such a one, whole, in PostgreSQL's words for changed columns; its header
    /// afterwards. `is_refused`: whether the error is about one.
    pub(super) fn columns_refused(&mut self, header: Header, is_refused: bool) -> Header {
        match is_refused {
            true => self.replace_reply(header, &ClientError::changed_columns()),
            false => header,
        }
    }
}
