//! What `set_config()` sets where its text does not say so: with parameters it is known as soon as
//! their values are bound, for all else PostgreSQL is asked what has come of it.
//!
//! Owns: reading a Bind together with its statement (only values that mean the same in every format),
//! and the question about settings of which just the name is known.

use std::sync::Arc;

use super::Link;
use crate::net::buf::LARGE;
use crate::server::pending::Own;
use crate::session::deed::Deed;
use crate::session::prepared::{Statement, Unnamed};
use crate::sql;
use crate::wire::backend;
use crate::wire::frame::{self, Header, Peeked};
use crate::wire::frontend;

/// Types of a parameter whose bytes are its text in either format: found by the server, text,
/// varchar, unknown.
const TEXTS: [u32; 4] = [0, 25, 1043, 705];

/// The type bool.
const BOOL: u32 = 16;

/// Why a server is suspect whose settings are being asked about; no other reason goes with the
/// answer.
const ASKED: &str = "computed set_config";

/// Why it is where the answer does not help.
const UNKNOWN: &str = "set_config";

/// Most settings that are asked about behind one transaction.
const MOST: usize = 16;

/// Settings whose values only the server knows.
#[derive(Debug, Default)]
pub(super) struct AskedSettings {
    /// In the running transaction.
    names: Vec<Box<str>>,
    /// In transactions before it.
    due: Vec<Box<str>>,
    /// Those that the server has been asked about, and its answer.
    sent: Vec<Box<str>>,
    values: Vec<Option<Vec<u8>>>,
}

impl AskedSettings {
    /// A statement has set this one.
    pub fn note(&mut self, name: &str) {
        if !self.names.iter().any(|known| &**known == name) {
            self.names.push(name.into());
        }
    }

    /// The transaction has ended well.
    fn commit(&mut self) {
        for name in std::mem::take(&mut self.names) {
            if !self.due.contains(&name) {
                self.due.push(name);
            }
        }
    }

    /// HOT. Whether there are any.
    #[inline]
    pub fn is_any(&self) -> bool {
        !self.names.is_empty() || !self.due.is_empty()
    }

    /// What had set them is undone.
    pub fn forget(&mut self) {
        self.names.clear();
    }
}

impl Link<'_> {
    /// The transaction is over: asks what has become of settings, as soon as nothing of the client's is
    /// on its way (`can_ask`). Until it is known the server is suspect.
    pub(super) fn ask_values(&mut self, can_ask: bool) {
        self.ledger.asked.commit();
        if self.ledger.asked.due.is_empty() {
            return;
        }
        self.server.suspect.get_or_insert(ASKED);
        if !can_ask {
            return;
        }
        let names = std::mem::take(&mut self.ledger.asked.due);
        if names.len() > MOST {
            self.server.suspect = Some(UNKNOWN);
            return;
        }
        let question = question(&names);
        self.ledger.asked.sent = names;
        self.ledger.asked.values.clear();
        self.send_own(question.as_bytes(), Own::Values);
    }

    /// The row of the answer.
    pub(super) fn values_row(&mut self, header: Header) {
        let whole = self.client.outbound.unparsed().get(..header.total);
        let columns = backend::row_columns(whole.unwrap_or_default());
        let columns = columns.into_iter().map(|value| value.map(<[u8]>::to_vec));
        self.ledger.asked.values = columns.collect();
    }

    /// The answer is complete: the client has these values from now on, as if it had SET them.
    pub(super) fn values_answered(&mut self) {
        let names = std::mem::take(&mut self.ledger.asked.sent);
        if names.is_empty() {
            return;
        }
        let values = std::mem::take(&mut self.ledger.asked.values);
        let shared = Arc::clone(&self.client.pool.shared);
        for (name, value) in names.iter().zip(values) {
            let Some(value) = value else { continue };
            let Ok(value) = String::from_utf8(value) else {
                self.server.suspect = Some(UNKNOWN);
                continue;
            };
            for effect in sql::set_to(name, &value) {
                let (store, tracked) = (&shared.settings, &*shared.tracked);
                self.client.session.apply(&effect, store, tracked);
                self.server.session.apply(&effect, store, tracked);
            }
        }
        self.client.session.committed();
        self.server.session.committed();
        if self.server.suspect == Some(ASKED) {
            self.server.suspect = None;
        }
    }

    /// PostgreSQL did not take the question, or its answer is too long.
    pub(super) fn values_refused(&mut self) {
        self.ledger.asked.sent.clear();
        self.server.suspect = Some(UNKNOWN);
    }

    /// Whether the values of a Bind are here, or too long to be waited for.
    pub(super) fn has_values(&mut self, header: Header) -> bool {
        header.total > LARGE || self.has_whole(header)
    }

    /// A Bind is about to be sent, the first message of what was received: what its portal will
    /// have done. `shared`: its statement, if it has a name.
    pub(super) fn bound_deed(
        &self,
        deed: Option<Arc<Deed>>,
        shared: Option<&Statement>,
    ) -> Option<Arc<Deed>> {
        let unread = match deed {
            Some(deed) if deed.awaits_values() => deed,
            known => return known,
        };
        let body = match (shared, &self.client.unnamed_statement) {
            (Some(statement), _) => statement.parse_body(),
            (None, Unnamed::Kept(statement)) => statement.parse_body(),
            (None, Unnamed::Sent(sent)) => sent.body.as_deref(),
            (None, Unnamed::None) => None,
        };
        match body.and_then(|body| self.read_values(body)) {
            Some(read) => read,
            None => Some(unread),
        }
    }

    fn read_values(&self, body: &[u8]) -> Option<Option<Arc<Deed>>> {
        let unparsed = self.client.inbound.unparsed();
        let Peeked::Header(header) = frame::peek(unparsed, self.client.max_packet) else {
            return None;
        };
        let values = frontend::bind_values(unparsed.get(..header.total)?)?;
        let (text, types) = frontend::text_and_types(body)?;
        let values: Option<Vec<_>> = values
            .into_iter()
            .enumerate()
            .map(|(nth, value)| as_text(value, types.get(nth).copied().unwrap_or(0)))
            .collect();
        let rules = self.client.params.rules();
        let text = sql::with_values(text, &values?, rules)?;
        let statement = sql::single(&text, rules);
        Some(Deed::of(&text, &statement, rules))
    }
}

/// A column for each setting: its value, where this session has set it. One that no extension knows
/// is not in pg_settings, and can only have been set.
fn question(names: &[Box<str>]) -> String {
    let values = names.iter().map(|name| {
        let name = sql::quoted(name);
        format!(
            "(SELECT CASE WHEN pg_catalog.count(*) OPERATOR(pg_catalog.=) 0 \
             OR pg_catalog.bool_or(source OPERATOR(pg_catalog.=) 'session') \
             THEN pg_catalog.current_setting({name}, true) END \
             FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) {name})"
        )
    });
    format!("SELECT {}", values.collect::<Vec<_>>().join(", "))
}

/// A value as text, where it is clear; NULL is `Some(None)`.
fn as_text((is_binary, value): frontend::BoundValue<'_>, kind: u32) -> Option<Option<&str>> {
    match value {
        None => Some(None),
        Some([0]) if is_binary && matches!(kind, 0 | BOOL) => Some(Some("false")),
        Some([1]) if is_binary && matches!(kind, 0 | BOOL) => Some(Some("true")),
        Some(bytes) if TEXTS.contains(&kind) || kind == BOOL && !is_binary => {
            let text = std::str::from_utf8(bytes).ok();
            text.filter(|text| !text.contains('\0')).map(Some)
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::as_text;

    #[test]
    fn values_that_are_clear() {
        for (value, kind, text) in [
            ((false, None), 25, Some(None)),
            ((false, Some(&b"a"[..])), 0, Some(Some("a"))),
            ((true, Some(&b"a"[..])), 25, Some(Some("a"))),
            ((true, Some(&[0][..])), 16, Some(Some("false"))),
            ((true, Some(&[1][..])), 0, Some(Some("true"))),
            ((false, Some(&b"t"[..])), 16, Some(Some("t"))),
            ((true, Some(&[0, 0, 0, 7][..])), 23, None),
            ((true, Some(&[0, 0, 0, 7][..])), 0, None),
            ((false, Some(&b"7"[..])), 23, None),
            ((false, Some(&[0xff][..])), 25, None),
        ] {
            assert_eq!(as_text(value, kind), text, "{value:?} of {kind}");
        }
    }
}
