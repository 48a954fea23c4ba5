//! What can be wrong with configuration text, where it is, and what would be accepted.
//!
//! Owns the error types of the room. Texts here go to the log, standard error and `--check`,
//! never to clients.

use super::value::Invalid;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A line of a file; line 0 is the file as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file as it was named.
    pub file: Arc<Path>,
    /// Counted from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file.display()),
            line => write!(f, "{}:{line}", self.file.display()),
        }
    }
}

/// What is wrong, with what is accepted instead.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file could not be read.
    #[error("cannot read the file: {0}")]
    Unreadable(#[source] io::Error),
    /// Files that include each other, most likely.
    #[error("%include is nested more than {0} deep")]
    IncludeTooDeep(usize),
    /// A `[` without `]`.
    #[error("section header without ]")]
    OpenHeader,
    /// Neither comment, header, include nor `key = value`.
    #[error("not understood; accepted: key = value, [section], %include FILE, ; comment")]
    NotAPair,
    /// Double quotes around a key.
    #[error("a name in double quotes; accepted: 'single quotes'")]
    DoubleQuotedKey,
    /// A quoted key without end.
    #[error("a quoted name without closing '")]
    OpenQuotedKey,
    /// Bytes that are not UTF-8, outside a comment.
    #[error("not valid UTF-8")]
    NotUtf8,
    /// A key before the first section.
    #[error("a setting before the first [section]")]
    OutsideSection,
    /// A section that does not exist.
    #[error("unknown section [{0}]; accepted: pgbouncer, databases, users, peers, pgweir")]
    UnknownSection(String),
    /// No `[pgbouncer]` anywhere.
    #[error("main section missing: there is no [pgbouncer]")]
    NoMainSection,
    /// A key that does not exist.
    #[error("unknown setting{}", Suggestion(.suggestion))]
    UnknownKey {
        /// The nearest existing key.
        suggestion: Option<&'static str>,
    },
    /// A value its setting cannot have.
    #[error("{value:?}: {reason}; accepted: {accepts}")]
    BadValue {
        /// As written.
        value: String,
        /// Why not.
        reason: Invalid,
        /// What is accepted.
        accepts: &'static str,
    },
    /// A protecting setting that does not work in this release.
    #[error("{value:?} does not work yet, and nothing may look protected that is not; accepted: {}", Accepted(.works))]
    NotYet {
        /// As it would be shown.
        value: String,
        /// Values that work.
        works: Vec<&'static str>,
    },
    /// A connect string that is not a list of `key=value`.
    #[error("syntax error {}; accepted: key=value key='quoted value' ...", Behind(.0))]
    ConnectString(Option<String>),
    /// `key=` with nothing behind it.
    #[error("{0}= has no value; leave the key out instead")]
    EmptyValue(String),
    /// A quote that does not end.
    #[error("the value of {0} has no closing '")]
    OpenQuote(String),
    /// The console's own name.
    #[error("the name pgbouncer is the console's and cannot be a database")]
    ReservedDatabase,
    /// A name PostgreSQL could not have.
    #[error("the name is longer than {0} bytes")]
    NameTooLong(usize),
    /// Peers are numbers.
    #[error("a peer's name is its number; accepted: 1 to 65535")]
    BadPeerId,
    /// A peer without address.
    #[error("a peer needs host=")]
    PeerWithoutHost,
    /// A key that the entry of a file of ours does not have.
    #[error("not known here; accepted: {0}")]
    UnknownKeyOf(&'static str),
    /// Something without which the rest is of no use.
    #[error("missing; accepted: {0}")]
    Missing(&'static str),
    /// A name or key that stands twice.
    #[error("given twice; accepted: once")]
    Twice,
    /// A custom query that could still run when it is due again.
    #[error("longer than interval; accepted: a timeout that is not longer")]
    TimeoutOverInterval,
    /// More entries than are kept.
    #[error("more than {0} of them")]
    TooMany(usize),
    /// Two targets for one statement.
    #[error("fingerprint {0:016x} has a target already")]
    FingerprintTwice(u64),
    /// auth_dbname names the console.
    #[error("the console's database cannot be used for auth_query")]
    ReservedAuthDatabase,
}

struct Suggestion<'a>(&'a Option<&'static str>);
impl fmt::Display for Suggestion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(key) => write!(f, "; nearest: {key}"),
            None => write!(f, "; see config/reference.ini for all of them"),
        }
    }
}

struct Behind<'a>(&'a Option<String>);
impl fmt::Display for Behind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(key) => write!(f, "behind the value of {key}"),
            None => write!(f, "at the start"),
        }
    }
}

struct Accepted<'a>(&'a [&'static str]);
impl fmt::Display for Accepted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => write!(f, "leaving it out"),
            words => write!(f, "{}", words.join(", ")),
        }
    }
}

/// One error: where, which key, what.
#[derive(Debug)]
pub struct ConfigError {
    /// File and line.
    pub place: Place,
    /// The key it is about (`databases.NAME.pool_size` inside a connect string); empty if none.
    pub key: String,
    /// What is wrong and what is accepted.
    pub problem: Problem,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "{}: {}", self.place, self.problem),
            key => write!(f, "{}: {key}: {}", self.place, self.problem),
        }
    }
}

/// Every error of a load, in the order of the lines. Displayed one per line.
#[derive(Debug, thiserror::Error)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, error) in self.0.iter().enumerate() {
            if position > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

/// Why `SET key = value` failed; the running settings are untouched.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct SetError {
    /// As written.
    pub key: String,
    /// What is wrong and what is accepted.
    pub problem: Problem,
}
