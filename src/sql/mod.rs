//! SQL bytes as tokens: statements, their classes and their fingerprints.
//!
//! Owns the one-pass lexer. No I/O, no allocation where a fingerprint is asked for, no opinion
//! about connections. Rules: insight.md 1.4.
//!
//! ```text
//! bytes.rs scan.rs keyword.rs      classes of bytes · where tokens end · words with a rule
//! hash.rs sink.rs text.rs          tokens to 64 bits · or also to a text
//! lexer.rs words.rs                the walk over one statement · its names and keywords
//! opening.rs utility.rs            its first word · transactions, cursors, settings
//! lists.rs elements.rs integers.rs IN, ARRAY and VALUES of any length
//! statements.rs split.rs stream.rs whole texts · what is longer than the cap · pieces
//! tags.rs names.rs                 comments with tags · what a text is about
//! catalog.rs called.rs calls.rs    PostgreSQL's functions · which brackets are calls
//! callees.rs                       names of the others
//! touches.rs first.rs effects.rs   what a statement leaves behind in its session · what exactly
//! assign.rs set_config.rs reader.rs SET and RESET · set_config() · tokens read slowly
//! values.rs                        parameters, read as literals
//! control.rs                       texts that a pooler may answer by itself
//! prepared.rs                      names of prepared statements in a text
//! lasting.rs                       texts that mean the same whenever they are parsed
//! ```

mod assign;
mod bytes;
mod called;
mod callees;
mod calls;
mod catalog;
mod control;
mod effects;
mod elements;
mod first;
mod hash;
mod integers;
mod keyword;
mod lasting;
mod lexer;
mod lists;
mod names;
mod opening;
mod prepared;
mod reader;
mod scan;
mod set_config;
mod sink;
mod split;
mod statements;
mod stream;
mod tags;
#[cfg(test)]
mod tests;
mod text;
mod touches;
mod utility;
mod values;
mod words;

pub use callees::{Body, callees, read_body};
pub use control::{Control, control, may_be_control};
pub use effects::{Effect, effects};
pub use hash::of_label;
pub use lasting::is_lasting;
pub use names::{mask_application, verb_and_relation};
pub use prepared::{NameUse, NameUses, Usage, is_plain, may_name_prepared, prepared_names};
pub use reader::quoted;
pub use set_config::set_to;
pub use statements::{each_statement, normalise, redact, single};
pub use stream::Stream;
pub use tags::tags;
pub use touches::Touches;
pub use values::with_values;

use std::ops::Range;

/// How statements are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Grouping {
    /// PostgreSQL 18's list rules, repeated rows and names of savepoints and cursors folded.
    #[default]
    Default,
    /// Lists as pg_stat_statements of this major version keeps them (14 to 18).
    Strict(u8),
}

/// What the lexer must know about the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rules {
    /// How statements are told apart.
    pub grouping: Grouping,
    /// `standard_conforming_strings = off`: a backslash escapes in plain quotes too.
    pub backslash_quotes: bool,
    /// A client_encoding whose trailing bytes can be ASCII (SJIS, BIG5, GBK, GB18030, UHC, JOHAB):
    /// only the class and first word count.
    pub opaque_encoding: bool,
}

/// What a statement does, as the metrics count it (operator.md 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Class {
    /// SELECT, VALUES, TABLE, WITH that only reads, FETCH, SHOW.
    Select,
    /// INSERT.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
    /// MERGE.
    Merge,
    /// COPY.
    Copy,
    /// CREATE, ALTER, DROP, GRANT, COMMENT and their like.
    Ddl,
    /// VACUUM, ANALYZE, REINDEX, CREATE INDEX, CLUSTER, REFRESH, CHECKPOINT.
    Maintenance,
    /// Transactions, savepoints, SET, RESET, DISCARD, LISTEN, DEALLOCATE.
    Control,
    /// Nothing but blanks, comments and semicolons.
    Empty,
    /// Everything else: DO, CALL, EXPLAIN, LOCK, NOTIFY, what is not SQL.
    #[default]
    Other,
    /// Never from the lexer: statements whose times cannot be told apart, as one group.
    Composite,
}

/// What the session must know about a statement beyond its class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verb {
    /// `PREPARE name AS body`.
    Prepare,
    /// `EXECUTE name`.
    Execute,
    /// `DEALLOCATE name`, or of all where there is no name.
    Deallocate,
    /// BEGIN, START TRANSACTION.
    Begin,
    /// COMMIT, END, PREPARE TRANSACTION.
    Commit,
    /// ROLLBACK, ABORT.
    Rollback,
    /// SAVEPOINT, RELEASE, ROLLBACK TO.
    Savepoint,
    /// DECLARE of a cursor.
    Declare,
    /// FETCH and MOVE.
    Fetch,
    /// CLOSE of a cursor, or of all where there is no name.
    Close,
    /// Anything else.
    #[default]
    Other,
}

impl Verb {
    /// Whether the statement is about a cursor by name.
    pub fn is_of_cursor(self) -> bool {
        matches!(self, Verb::Declare | Verb::Fetch | Verb::Close)
    }
}

/// One statement of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// Stable for ever: equal on every machine and in every version.
    pub fingerprint: u64,
    /// What it does.
    pub class: Class,
    /// What the session must know.
    pub verb: Verb,
    /// Changes rows or takes row locks (INSERT, UPDATE, DELETE, MERGE, FOR UPDATE/SHARE, LOCK, DDL).
    pub writes: bool,
    /// What it may leave behind in its session.
    pub touches: Touches,
    /// Where it stands in the text, without the semicolon and the blanks around it.
    pub span: Range<usize>,
    /// The comment at its begin or end that may hold tags (sqlcommenter, marginalia).
    pub tags: Option<Range<usize>>,
    /// The name that PREPARE, EXECUTE and DEALLOCATE speak of, or DECLARE, FETCH, MOVE and CLOSE, as
    /// it stands in the text.
    pub name: Option<Range<usize>>,
    /// Fingerprint and class of the body of a PREPARE.
    pub body: Option<(u64, Class)>,
    /// Longer than the cap: only its first 64 KiB count.
    pub is_truncated: bool,
    /// A literal, comment or quoted name runs to the end of the text.
    pub is_unterminated: bool,
}

/// What is remembered of a statement that was prepared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Its fingerprint.
    pub fingerprint: u64,
    /// What it does.
    pub class: Class,
    /// What the session must know.
    pub verb: Verb,
    /// Changes rows or takes row locks.
    pub writes: bool,
    /// What it may leave behind in its session.
    pub touches: Touches,
}

impl From<&Statement> for Summary {
    fn from(statement: &Statement) -> Self {
        Self {
            fingerprint: statement.fingerprint,
            class: statement.class,
            verb: statement.verb,
            writes: statement.writes,
            touches: statement.touches,
        }
    }
}

/// The fingerprint of a text that holds no statement.
pub const EMPTY: u64 = of_label("(empty)");

/// How much of one statement counts, in bytes; what is longer has `is_truncated`.
pub const CAP: usize = 64 * 1024;
