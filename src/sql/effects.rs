//! What exactly a statement does to its session: which setting, which channel, which savepoint.
//!
//! Owns: the reading of a statement whose `touches` is not empty. Allocates; never called for one
//! that leaves nothing behind. What is not understood to its end is [`Effect::Unknown`].
//! SET and RESET are in `assign.rs`, calls of `set_config()` in `set_config.rs`.
//! Source: `TransactionStmt`, `ListenStmt` and `DiscardStmt` of PostgreSQL's grammar.

use super::bytes::Byte;
use super::reader::Reader;
use super::statements::each_statement;
use super::{CAP, Class, Rules, Statement, Touches, assign, set_config};

/// One change of the session. Names are as PostgreSQL folds them: lower case unless quoted; those
/// of settings are always in lower case, since PostgreSQL looks them up without regard to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// SET, SET SESSION, `set_config(name, value, false)`. `value`: SQL that may stand behind
    /// `SET name TO`, whatever `standard_conforming_strings` is. SET ROLE is the setting `role`,
    /// SET SESSION AUTHORIZATION is `session_authorization` (and a reset of `role`, as PostgreSQL
    /// does it), SET TIME ZONE is `timezone`, SET NAMES is `client_encoding`, SET SCHEMA is
    /// `search_path`. A name of several parts has dots between them and no quotes.
    Set {
        /// The setting.
        name: Box<str>,
        /// What it is set to.
        value: Box<str>,
    },
    /// `set_config()` of a list of names such as `search_path`. `value`: a literal of the whole list,
    /// which SET would take for one name, so it must go to `set_config()` again.
    SetList {
        /// The setting.
        name: Box<str>,
        /// What it is set to.
        value: Box<str>,
    },
    /// RESET of one setting, SET ... TO DEFAULT.
    Reset(Box<str>),
    /// SET LOCAL ... TO DEFAULT: for the rest of the transaction.
    ResetLocal(Box<str>),
    /// RESET ALL.
    ResetAll,
    /// DISCARD ALL.
    DiscardAll,
    /// DISCARD TEMP.
    DiscardTemp,
    /// LISTEN.
    Listen(Box<str>),
    /// UNLISTEN; `None` is `*`.
    Unlisten(Option<Box<str>>),
    /// BEGIN, START TRANSACTION.
    Begin,
    /// COMMIT, END, PREPARE TRANSACTION; `true`: AND CHAIN.
    Commit(bool),
    /// ROLLBACK, ABORT; `true`: AND CHAIN.
    Rollback(bool),
    /// SAVEPOINT.
    Savepoint(Box<str>),
    /// RELEASE.
    Release(Box<str>),
    /// ROLLBACK TO.
    RollbackTo(Box<str>),
    /// `set_config()` of this setting to what only the server can compute.
    Asked(Box<str>),
    /// It may change settings in a way that its text does not say; what, for the counter.
    Unknown(&'static str),
}

/// What a statement of `text` does, in the order in which it does it.
pub fn effects(text: &[u8], statement: &Statement, rules: Rules) -> Vec<Effect> {
    let touches = statement.touches;
    let part = text.get(statement.span.clone()).unwrap_or_default();
    if rules.opaque_encoding {
        return opaque(part, rules);
    }
    let mut found = Vec::new();
    if touches.has(Touches::CODE) {
        let is_call = Reader::new(part, false).word("call");
        found.push(Effect::Unknown(if is_call { "call" } else { "do" }));
    }
    if touches.has(Touches::FUNCTION) {
        found.push(Effect::Unknown("function"));
    }
    const READ: Touches = Touches::SETTINGS
        .or(Touches::LISTENING)
        .or(Touches::TRANSACTION)
        .or(Touches::TEMPORARY);
    if !touches.has(READ) {
        return found;
    }
    let is_whole = !statement.is_truncated && !part.is_empty();
    match is_whole.then(|| read(part, rules)).flatten() {
        Some(read) => found.extend(read),
        None => found.extend(unread(part, statement, rules)),
    }
    found
}

/// What a statement that is not understood may have done.
fn unread(part: &[u8], statement: &Statement, rules: Rules) -> Vec<Effect> {
    let touches = statement.touches;
    let mut reader = Reader::new(part, false);
    let what = if touches.has(Touches::LISTENING) {
        "listen"
    } else if touches.has(Touches::TRANSACTION) {
        "transaction"
    } else if !touches.has(Touches::SETTINGS) {
        return Vec::new();
    } else if reader.word("set") || reader.word("reset") {
        "set"
    } else {
        let is_planned = matches!(
            statement.class,
            Class::Select | Class::Insert | Class::Update | Class::Delete | Class::Merge
        );
        let is_whole = is_planned && !statement.is_truncated;
        if let Some(names) = is_whole.then(|| set_config::names(part, rules)).flatten() {
            return names.into_iter().map(Effect::Asked).collect();
        }
        "set_config"
    };
    vec![Effect::Unknown(what)]
}

/// A whole text whose encoding hides where literals end: read as statements if it is ASCII.
fn opaque(text: &[u8], rules: Rules) -> Vec<Effect> {
    if !text.is_ascii() || text.len() > CAP {
        return vec![Effect::Unknown("encoding")];
    }
    let rules = Rules {
        opaque_encoding: false,
        ..rules
    };
    let mut found = Vec::new();
    each_statement(text, rules, |statement| {
        found.extend(effects(text, statement, rules));
    });
    found
}

/// What a statement does, if it is understood to its end.
fn read(part: &[u8], rules: Rules) -> Option<Vec<Effect>> {
    let mut reader = Reader::new(part, rules.backslash_quotes);
    let found = match reader.raw_word()?.to_ascii_lowercase().as_str() {
        "set" => assign::set(&mut reader)?,
        "reset" => assign::reset(&mut reader)?,
        "discard" => discard(&mut reader)?,
        "listen" => vec![Effect::Listen(reader.name()?.into())],
        "unlisten" if reader.takes(b'*') => vec![Effect::Unlisten(None)],
        "unlisten" => vec![Effect::Unlisten(Some(reader.name()?.into()))],
        "begin" => {
            work(&mut reader);
            assign::modes(&mut reader)?;
            vec![Effect::Begin]
        }
        "start" => {
            reader.word("transaction").then_some(())?;
            assign::modes(&mut reader)?;
            vec![Effect::Begin]
        }
        "commit" | "end" => commit(&mut reader)?,
        "rollback" | "abort" => rollback(&mut reader)?,
        "savepoint" => vec![Effect::Savepoint(reader.name()?.into())],
        "release" => vec![Effect::Release(savepoint(&mut reader)?)],
        "prepare" if reader.word("transaction") => {
            reader.literal()?;
            vec![Effect::Commit(false)]
        }
        "select" => return set_config::select(reader),
        _ => return None,
    };
    reader.is_over().then_some(found)
}

fn work(reader: &mut Reader) {
    let _ = reader.word("work") || reader.word("transaction");
}

/// `AND [NO] CHAIN`.
fn chain(reader: &mut Reader) -> bool {
    if reader.words(&["and", "chain"]) {
        return true;
    }
    reader.words(&["and", "no", "chain"]);
    false
}

fn commit(reader: &mut Reader) -> Option<Vec<Effect>> {
    if reader.word("prepared") {
        // Of another transaction: this session has none.
        reader.literal()?;
        return Some(Vec::new());
    }
    work(reader);
    Some(vec![Effect::Commit(chain(reader))])
}

fn rollback(reader: &mut Reader) -> Option<Vec<Effect>> {
    if reader.word("prepared") {
        reader.literal()?;
        return Some(Vec::new());
    }
    work(reader);
    if reader.word("to") {
        return Some(vec![Effect::RollbackTo(savepoint(reader)?)]);
    }
    Some(vec![Effect::Rollback(chain(reader))])
}

/// `[SAVEPOINT] name`; `savepoint` may be the name.
fn savepoint(reader: &mut Reader) -> Option<Box<str>> {
    let mut behind = *reader;
    if behind.word("savepoint") && matches!(behind.class(), Some(Byte::Name | Byte::DoubleQuote)) {
        *reader = behind;
    }
    reader.name().map(Into::into)
}

fn discard(reader: &mut Reader) -> Option<Vec<Effect>> {
    if reader.word("all") {
        Some(vec![Effect::DiscardAll])
    } else if reader.word("temp") || reader.word("temporary") {
        Some(vec![Effect::DiscardTemp])
    } else {
        let _ = reader.word("plans") || reader.word("sequences");
        Some(Vec::new())
    }
}
