//! PREPARE, EXECUTE and DEALLOCATE as SQL in the extended protocol.
//!
//! Owns: the same as `sql_prepared.rs`, for texts that come as Parse. An unnamed Parse goes out with
//! our name in it. A named one is shared as it is and never run: what it means is settled by each
//! Bind, since the client's names may have changed, and that text is prepared for itself.

use std::ops::Range;
use std::sync::Arc;

use super::sql_prepared::quoted;
use super::{End, Link};
use crate::net::buf::LARGE;
use crate::server::pending::Request;
use crate::session::prepared::{SqlUse, Statement, Unnamed};
use crate::sql::{self, NameUse, Usage};
use crate::stats::Count;
use crate::wire::frame::{self, HEADER, Header};

/// What a text in a Parse is about.
enum About {
    /// Nothing, or nothing that is known: it goes as it is.
    Nothing,
    /// A name of the client's.
    Name(NameUse, SqlUse),
}

impl Link<'_> {
    /// An unnamed Parse whose text names a prepared statement; false when it must wait.
    #[cold]
    pub(super) fn take_naming_parse(&mut self, header: Header) -> Result<bool, End> {
        if !self.is_settled() {
            return Ok(false);
        }
        let text: Box<[u8]> = self.client.inbound.unparsed()[HEADER + 1..header.total].into();
        let About::Name(place, one) = self.about(&text)? else {
            self.send_unnamed(header);
            return Ok(true);
        };
        if one.usage != Usage::Prepare && !self.ensure_prepared(&one.statement) {
            return Ok(false);
        }
        let name = quoted(one.statement.server_name.as_bytes());
        let total = header.total - place.at.len() + name.len();
        let renamed = Header {
            tag: header.tag,
            total,
        };
        self.note_unnamed(header);
        self.read_unnamed_parse(header);
        let range = HEADER + 1 + place.at.start..HEADER + 1 + place.at.end;
        self.client.inbound.splice(range, &name);
        let length = frame::length_field(total - HEADER);
        self.client.inbound.splice(1..HEADER, &length);
        self.ask_by_parse(one.clone());
        self.send_parse(renamed, Some(one));
        Ok(true)
    }

    /// What the statement of a Parse names.
    fn about(&mut self, text: &[u8]) -> Result<About, End> {
        let found = sql::prepared_names(text, self.client.params.rules());
        if found.is_empty() || self.is_aborted(&found)? {
            return Ok(About::Nothing);
        }
        let [place] = found.uses.as_slice() else {
            self.own_server()?;
            return Ok(About::Nothing);
        };
        match self.meant(text, place) {
            Some(one) => Ok(About::Name(place.clone(), one)),
            None => {
                self.not_ours(&place.name)?;
                Ok(About::Nothing)
            }
        }
    }

    /// A Bind of the unnamed statement: what it names is made ready; false when it must wait.
    pub(super) fn ready_unnamed(&mut self) -> Option<Option<SqlUse>> {
        let Unnamed::Sent(sent) = &self.client.unnamed_statement else {
            return Some(None);
        };
        let Some(mut one) = sent.names.clone() else {
            return Some(None);
        };
        if one.usage == Usage::Prepare {
            one.is_taken = self.client.statement(&one.name).is_some();
        }
        self.make_ready(&one).then_some(Some(one))
    }

    /// A Bind of a named statement whose text names another; false when it must wait.
    #[cold]
    pub(super) fn take_naming_bind(
        &mut self,
        header: Header,
        range: Range<usize>,
        statement: &Arc<Statement>,
    ) -> Result<bool, End> {
        if header.total > LARGE || !self.has_whole(header) || !self.is_settled() {
            return Ok(false);
        }
        let (meaning, one) = match self.about(statement.text())? {
            About::Nothing => (Arc::clone(statement), None),
            About::Name(place, one) => {
                if !self.make_ready(&one) {
                    return Ok(false);
                }
                (self.meaning(statement, &place, &one), Some(one))
            }
        };
        if !self.ensure_prepared(&meaning) {
            return Ok(false);
        }
        self.timing.count(self.client, Count::Binds);
        self.note_bind(Some(statement));
        let what = Some(statement.what);
        self.observe_bind(header, range.clone(), what, Some(statement));
        if let Some(one) = one {
            let unparsed = self.client.inbound.unparsed();
            let portal = unparsed.get(HEADER..range.start.saturating_sub(1));
            let portal: Box<[u8]> = portal.unwrap_or_default().into();
            self.ask_by_portal(&portal, one);
        }
        self.rename(header, range, &meaning, Request::Bind);
        Ok(true)
    }

    /// A Describe of such a statement.
    #[cold]
    pub(super) fn take_naming_describe(
        &mut self,
        header: Header,
        range: Range<usize>,
        statement: &Arc<Statement>,
    ) -> Result<bool, End> {
        if !self.is_settled() {
            return Ok(false);
        }
        let meaning = match self.about(statement.text())? {
            About::Name(place, one) if one.usage != Usage::Prepare => {
                if !self.ensure_prepared(&one.statement) {
                    return Ok(false);
                }
                self.meaning(statement, &place, &one)
            }
            _ => Arc::clone(statement),
        };
        if !self.ensure_prepared(&meaning) {
            return Ok(false);
        }
        self.rename(header, range, &meaning, Request::Describe);
        Ok(true)
    }

    /// The statement with our name in its text.
    fn meaning(&self, statement: &Statement, place: &NameUse, one: &SqlUse) -> Arc<Statement> {
        let mut body = statement.parse_body().unwrap_or_default().to_vec();
        let name = quoted(one.statement.server_name.as_bytes());
        body.splice(place.at.clone(), name);
        let rules = self.client.params.rules();
        let dictionary = &self.client.pool.shared.dictionary;
        dictionary.intern(&body, self.parse_context(), rules)
    }
}
