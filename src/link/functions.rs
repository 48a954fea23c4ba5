//! Asking servers about the functions that statements call.
//!
//! Owns: which of them are to be asked about, the question, and its answer: a row for each function
//! with its body, whose calls are asked about in turn. The questions go out behind the one about
//! pins, so the client does not wait for them.

use super::Link;
use super::pins::makes_table;
use crate::server::pending::Own;
use crate::session::call_graph::CallGraph;
use crate::session::functions::Caller;
use crate::session::prepared::Statement;
use crate::sql::{self, Rules, Summary, Touches};
use crate::stats::clock::now_us;
use crate::wire::backend::{self, Status};
use crate::wire::frame::Header;

/// Statements that are asked about behind one transaction.
const MOST: usize = 8;

/// First letter of what is told of a function: it may leave something; what it runs follows, in SQL
/// or in PL/pgSQL.
const LEAVES: u8 = b'L';
const SQL: u8 = b'S';

/// Tells of functions by their names. Those of initdb, those whose author has declared them
/// IMMUTABLE (which an aggregate is always called) and those of these extensions are no more than
/// their default arguments: they run no SQL that is given as text, and keep nothing but what RESET
/// would not take away either. 16384 is the first oid behind initdb; 12, 13 and 14 are the
/// languages internal, c and sql. A body may be 32 KiB long; one of SQL-standard form is not here.
/// Its search_path is pg_catalog.
const QUESTION: &str = "SET LOCAL search_path = pg_catalog; \
    SELECT p.proname, CASE WHEN p.oid < 16384 \
    OR p.provolatile = 'i' AND p.prokind = 'f' \
    OR (p.prolang IN (12, 13) AND p.proname <> 'set_limit' AND EXISTS (\
    SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid \
    WHERE d.classid = 1255 AND d.objid = p.oid AND d.refclassid = 3079 AND d.deptype = 'e' \
    AND e.extname IN ('btree_gin', 'btree_gist', 'citext', 'cube', 'dict_int', 'fuzzystrmatch', \
    'h3', 'hll', 'hstore', 'intarray', 'ip4r', 'isn', 'ltree', 'pg_stat_statements', 'pg_trgm', \
    'pgcrypto', 'pgstattuple', 'postgis', 'postgis_raster', 'seg', 'sslinfo', 'unaccent', \
    'uuid-ossp', 'vector'))) THEN 'S' \
    WHEN p.prokind = 'f' AND octet_length(p.prosrc) BETWEEN 1 AND 32768 AND p.prolang = 14 \
    THEN 'S' || p.prosrc \
    WHEN p.prokind = 'f' AND octet_length(p.prosrc) BETWEEN 1 AND 32768 AND EXISTS (\
    SELECT FROM pg_language l WHERE l.oid = p.prolang AND l.lanname = 'plpgsql') \
    THEN 'P' || p.prosrc ELSE 'L' END \
    || E'\\n;' || coalesce(pg_get_expr(p.proargdefaults, 0), '') \
    FROM pg_proc p WHERE p.proname IN (";

/// What is asked about, and not answered yet.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// Statements that nobody has asked about.
    callers: Vec<Caller>,
    /// Those that the server is being asked about.
    asked: Vec<Caller>,
    /// Age of the functions when that began.
    age: u64,
    graph: CallGraph,
    /// A question was refused: nothing is known.
    is_refused: bool,
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

    /// Begins with what was noted; the first question, if there is any.
    fn begin(&mut self, age: u64) -> Option<String> {
        // One after the other.
        if self.callers.is_empty() || !self.asked.is_empty() {
            return None;
        }
        self.asked = std::mem::take(&mut self.callers);
        self.age = age;
        self.graph = CallGraph::default();
        self.is_refused = false;
        self.graph
            .want(self.asked.iter().flat_map(|one| &one.names));
        self.question()
    }

    fn question(&mut self) -> Option<String> {
        let names = self.graph.next_names();
        let names: Vec<_> = names.iter().map(|name| sql::quoted(name)).collect();
        (!names.is_empty()).then(|| format!("{QUESTION}{})", names.join(", ")))
    }

    /// A row: name, and what there is to tell of it.
    fn row(&mut self, whole: &[u8]) {
        let columns = backend::row_columns(whole);
        let (Some(Some(name)), Some(Some(told))) = (columns.first(), columns.get(1)) else {
            return;
        };
        let Ok(name) = std::str::from_utf8(name) else {
            return;
        };
        match told.split_first() {
            Some((&LEAVES, _)) | None => self.graph.leaves(name),
            Some((&letter, body)) => self.graph.runs(name, body, letter == SQL),
        }
    }
}

impl Link<'_> {
    /// What a statement touches that matters, known by its summary and, where it is shared, its text.
    pub(super) fn judge(&mut self, what: Summary, shared: Option<&Statement>) -> Touches {
        let mut touches = self.watch.of_interest(what.touches);
        if self.client.is_path_temporary() && makes_table(what.class, what.writes) {
            touches |= self.watch.of_interest(Touches::TEMPORARY);
        }
        if !touches.has(Touches::FUNCTION) {
            return touches;
        }
        let now = self.batch_now();
        let functions = &self.client.pool.database.functions;
        if let Some(known) = functions.touches(what.fingerprint, now) {
            return touches.without(Touches::FUNCTION).or(known);
        }
        if let Some(statement) = shared {
            let (text, rules) = (statement.text(), self.client.params.rules());
            let statement = sql::single(text, rules);
            let asking = self.asking.get_or_insert_default();
            asking.note(text, &statement, rules);
        }
        touches
    }

    /// Asks about what the transaction has called.
    pub(super) fn ask_functions(&mut self) {
        let Some(asking) = self.asking.as_deref_mut() else {
            return;
        };
        let age = self.client.pool.database.functions.age();
        if let Some(sql) = asking.begin(age) {
            self.send_own(sql.as_bytes(), Own::Functions);
        }
    }

    /// A row of the answer.
    pub(super) fn functions_row(&mut self, header: Header) {
        let whole = self.client.outbound.unparsed().get(..header.total);
        if let (Some(asking), Some(whole)) = (&mut self.asking, whole) {
            asking.row(whole);
        }
    }

    /// PostgreSQL did not take the question.
    pub(super) fn functions_refused(&mut self) {
        if let Some(asking) = &mut self.asking {
            asking.is_refused = true;
        }
    }

    /// The answer is complete: the next question, or what comes of all answers. Without one the
    /// functions are taken to leave something, so that not every transaction asks again.
    pub(super) fn functions_answered(&mut self) {
        let Some(asking) = self.asking.as_deref_mut() else {
            return;
        };
        if !asking.is_refused
            && let Some(sql) = asking.question()
        {
            // Inside the client's next transaction it would take a snapshot of its own.
            let can_ask = self.server.pending.is_done() && self.server.status == Status::Idle;
            if can_ask && self.in_frame == 0 {
                return self.send_own(sql.as_bytes(), Own::Functions);
            }
            asking.asked.clear();
            self.give_ready();
            return;
        }
        let asked = std::mem::take(&mut asking.asked);
        let functions = &self.client.pool.database.functions;
        let now = now_us();
        for caller in asked {
            let touches = match asking.is_refused {
                true => Touches::FUNCTION,
                false => asking.graph.touches(&caller.names),
            };
            functions.learn(caller.fingerprint, touches, asking.age, now);
        }
        self.give_ready();
    }
}
