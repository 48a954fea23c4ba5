//! Asking servers about the functions that statements call.
//!
//! Owns: which of them are to be asked about, the question, and its answer, one digit for each
//! statement. It goes out behind the one about pins, so the client does not wait for it.

use super::Link;
use crate::server::pending::Own;
use crate::session::functions::Caller;
use crate::session::prepared::Statement;
use crate::sql::{self, Rules, Summary, Touches};
use crate::stats::clock::now_us;
use crate::wire::frame::{HEADER, Header};

/// Statements that are asked about behind one transaction.
const MOST: usize = 8;

/// `p` is a function that may leave something in its session. Not one of PostgreSQL's own, nor one
/// whose author has declared it IMMUTABLE (which an aggregate is always called), nor one of these
/// extensions. Theirs run no SQL that is given as text, and keep nothing but what RESET would not
/// take away either. 16384 is the first oid behind initdb, 12 and 13 are the languages internal
/// and c.
const MAY_LEAVE: &str = "NOT (p.oid < 16384 \
    OR p.provolatile = 'i' AND p.prokind = 'f' \
    OR (p.prolang IN (12, 13) AND p.proname <> 'set_limit' AND EXISTS (\
    SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid \
    WHERE d.classid = 1255 AND d.objid = p.oid AND d.refclassid = 3079 AND d.deptype = 'e' \
    AND e.extname IN ('btree_gin', 'btree_gist', 'citext', 'cube', 'dict_int', 'fuzzystrmatch', \
    'h3', 'hll', 'hstore', 'intarray', 'ip4r', 'isn', 'ltree', 'pg_stat_statements', 'pg_trgm', \
    'pgcrypto', 'pgstattuple', 'postgis', 'postgis_raster', 'seg', 'sslinfo', 'unaccent', \
    'uuid-ossp', 'vector'))))";

/// What is asked about, and not answered yet.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// Statements that nobody has asked about.
    callers: Vec<Caller>,
    /// Fingerprints of those that the server is being asked about.
    asked: Vec<u64>,
    /// Age of the functions at that time.
    age: u64,
    /// One digit for each of them.
    digits: Vec<u8>,
}

impl Asking {
    /// A statement of `text` calls functions that nobody has asked about.
    pub fn note(&mut self, text: &[u8], statement: &sql::Statement, rules: Rules) {
        let is_known = |caller: &Caller| caller.fingerprint == statement.fingerprint;
        if self.callers.len() >= MOST || self.callers.iter().any(is_known) {
            return;
        }
        if let Some(names) = sql::callees(text, statement, rules) {
            self.callers.push(Caller {
                fingerprint: statement.fingerprint,
                names,
            });
        }
    }
}

impl Link<'_> {
    /// What a statement touches that matters, known by its summary and, where it is shared, its text.
    pub(super) fn judge(&mut self, what: Summary, shared: Option<&Statement>) -> Touches {
        let touches = self.watch.of_interest(what.touches);
        if !touches.has(Touches::FUNCTION) {
            return touches;
        }
        let now = self.batch_now();
        let functions = &self.client.pool.database.functions;
        match functions.is_harmless(what.fingerprint, now) {
            Some(true) => return touches.without(Touches::FUNCTION),
            Some(false) => {}
            None => {
                if let Some(statement) = shared {
                    let (text, rules) = (statement.text(), self.client.params.rules());
                    let statement = sql::single(text, rules);
                    let asking = self.asking.get_or_insert_default();
                    asking.note(text, &statement, rules);
                }
            }
        }
        touches
    }

    /// Asks about what the transaction has called.
    pub(super) fn ask_functions(&mut self) {
        let Some(asking) = self.asking.as_deref_mut() else {
            return;
        };
        // One question at a time.
        if asking.callers.is_empty() || !asking.asked.is_empty() {
            return;
        }
        let callers = std::mem::take(&mut asking.callers);
        let sql = question(&callers);
        asking.age = self.client.pool.database.functions.age();
        asking.asked = callers.iter().map(|one| one.fingerprint).collect();
        asking.digits.clear();
        self.send_own(sql.as_bytes(), Own::Functions);
    }

    /// The row of the answer: one column.
    pub(super) fn functions_row(&mut self, header: Header) {
        let whole = self.client.outbound.unparsed().get(..header.total);
        // Behind the number of columns and the length of the first.
        let digits = whole.and_then(|whole| whole.get(HEADER + 6..));
        if let Some(asking) = &mut self.asking {
            asking.digits = digits.unwrap_or_default().to_vec();
        }
    }

    /// The answer is complete. Without one the functions are taken to leave something, so that not
    /// every transaction asks again.
    pub(super) fn functions_known(&mut self) {
        let Some(asking) = self.asking.as_deref_mut() else {
            return;
        };
        let asked = std::mem::take(&mut asking.asked);
        let functions = &self.client.pool.database.functions;
        let now = now_us();
        for (nth, fingerprint) in asked.into_iter().enumerate() {
            let is_harmless = asking.digits.get(nth) == Some(&b'0');
            functions.learn(fingerprint, is_harmless, asking.age, now);
        }
    }
}

/// One digit for each caller: 1 where any of its functions, in whatever schema, may leave something.
fn question(callers: &[Caller]) -> String {
    let mut sql = String::from("SELECT pg_catalog.concat(");
    for (nth, caller) in callers.iter().enumerate() {
        let names = caller.names.iter().map(|name| literal(name));
        let names = names.collect::<Vec<_>>().join(", ");
        let comma = if nth > 0 { ", " } else { "" };
        sql.push_str(&format!(
            "{comma}(EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.proname IN ({names}) \
             AND {MAY_LEAVE}))::int4"
        ));
    }
    sql.push(')');
    sql
}

/// A literal that means the same whatever `standard_conforming_strings` is.
fn literal(name: &str) -> String {
    let doubled = name.replace('\\', "\\\\").replace('\'', "''");
    format!("E'{doubled}'")
}

#[cfg(test)]
mod tests {
    use super::{literal, question};
    use crate::session::functions::Caller;

    #[test]
    fn names_stay_inside_their_literals() {
        assert_eq!(literal(r"a'b\c"), r"E'a''b\\c'");
    }

    #[test]
    fn each_caller_has_a_digit() {
        let caller = |name: &str| Caller {
            fingerprint: 1,
            names: vec![name.into(), "both".into()],
        };
        let sql = question(&[caller("one"), caller("two")]);
        assert_eq!(
            sql.matches("EXISTS (SELECT FROM pg_catalog.pg_proc")
                .count(),
            2
        );
        assert!(sql.contains("IN (E'one', E'both')"), "{sql}");
    }
}
