//! SET and RESET.
//!
//! Owns: every form of `VariableSetStmt` and `VariableResetStmt` of PostgreSQL's grammar, as
//! settings with values that mean the same in every session.

use super::bytes::Byte;
use super::effects::Effect;
use super::reader::{Reader, quoted};

/// Settings that end with their transaction, or are no settings (`seed`).
const OF_TRANSACTION: [&str; 4] = [
    "transaction_isolation",
    "transaction_read_only",
    "transaction_deferrable",
    "seed",
];

/// SET, behind that word.
pub(super) fn set(reader: &mut Reader) -> Option<Vec<Effect>> {
    let mut behind = *reader;
    let is_local = behind.word("local") && !is_setting(behind);
    if is_local || (behind.word("session") && !is_special(behind)) {
        *reader = behind;
    }
    let found = assignment(reader)?;
    Some(if is_local { local(found) } else { found })
}

/// What SET LOCAL does. Nobody starts with another session user than the server's.
fn local(found: Vec<Effect>) -> Vec<Effect> {
    match found.as_slice() {
        [Effect::Reset(name)] => vec![Effect::ResetLocal(name.clone())],
        _ => Vec::new(),
    }
}

/// Whether the word before was the name of a setting.
fn is_setting(mut behind: Reader) -> bool {
    behind.takes(b'.') || behind.takes(b'=') || behind.sees("to") || behind.sees("from")
}

/// Whether SESSION before was more than the opposite of LOCAL.
fn is_special(behind: Reader) -> bool {
    is_setting(behind) || behind.sees("characteristics") || behind.sees("authorization")
}

fn assignment(reader: &mut Reader) -> Option<Vec<Effect>> {
    let start = *reader;
    let mut behind = *reader;
    behind.raw_word();
    if is_setting(behind) || reader.class() == Some(Byte::DoubleQuote) {
        return generic(reader);
    }
    let found = match reader.raw_word()?.to_ascii_lowercase().as_str() {
        "transaction" | "constraints" => {
            while !reader.is_over() {
                reader.any()?;
            }
            Vec::new()
        }
        "session" if reader.words(&["characteristics", "as", "transaction"]) => modes(reader)?,
        "session" if reader.word("authorization") => authorization(reader)?,
        "time" if reader.word("zone") => time_zone(reader)?,
        "names" => match reader.literal() {
            Some(encoding) => assigned("client_encoding", encoding.sql),
            None => {
                reader.word("default");
                reset_of("client_encoding")
            }
        },
        "schema" => assigned("search_path", reader.literal()?.sql),
        "role" => assigned("role", word_or_literal(reader)?),
        "xml" if reader.word("option") => {
            let option = reader.raw_word()?;
            assigned("xmloption", option.to_ascii_lowercase())
        }
        _ => {
            *reader = start;
            return None;
        }
    };
    Some(found)
}

/// One setting set to SQL.
fn assigned(name: &str, value: String) -> Vec<Effect> {
    if OF_TRANSACTION.contains(&name) {
        return Vec::new();
    }
    let mut found = vec![Effect::Set {
        name: name.into(),
        value: value.into(),
    }];
    and_role(name, &mut found);
    found
}

fn reset_of(name: &str) -> Vec<Effect> {
    if OF_TRANSACTION.contains(&name) {
        return Vec::new();
    }
    let mut found = vec![Effect::Reset(name.into())];
    and_role(name, &mut found);
    found
}

/// A change of the session's user ends SET ROLE.
fn and_role(name: &str, found: &mut Vec<Effect>) {
    if name == "session_authorization" {
        found.push(Effect::Reset("role".into()));
    }
}

/// `set_config()` of a setting to SQL; None resets it.
pub(super) fn configured(name: &str, value: Option<String>) -> Vec<Effect> {
    match value {
        Some(value) => assigned(name, value),
        None => reset_of(name),
    }
}

/// `name TO value, value`.
fn generic(reader: &mut Reader) -> Option<Vec<Effect>> {
    let name = setting(reader)?;
    if reader.words(&["from", "current"]) {
        return Some(Vec::new());
    }
    if !reader.takes(b'=') && !reader.word("to") {
        return None;
    }
    if reader.word("default") {
        return Some(reset_of(&name));
    }
    let mut values = value(reader)?;
    while reader.takes(b',') {
        values.push_str(", ");
        values.push_str(&value(reader)?);
    }
    Some(assigned(&name, values))
}

/// The name of a setting in lower case, with its dots.
fn setting(reader: &mut Reader) -> Option<String> {
    let mut name = reader.name()?;
    while reader.takes(b'.') {
        name.push('.');
        name.push_str(&reader.name()?);
    }
    name.make_ascii_lowercase();
    Some(name)
}

/// One value: a word, a quoted name, a string or a number.
fn value(reader: &mut Reader) -> Option<String> {
    match reader.number() {
        Some(number) => Some(number),
        None => word_or_literal(reader),
    }
}

fn word_or_literal(reader: &mut Reader) -> Option<String> {
    if let Some(literal) = reader.literal() {
        return Some(literal.sql);
    }
    let raw = match reader.quoted_name() {
        Some(raw) => raw,
        None => reader.raw_word()?,
    };
    Some(raw.to_owned())
}

fn authorization(reader: &mut Reader) -> Option<Vec<Effect>> {
    if reader.word("default") {
        return Some(reset_of("session_authorization"));
    }
    Some(assigned("session_authorization", word_or_literal(reader)?))
}

fn time_zone(reader: &mut Reader) -> Option<Vec<Effect>> {
    if reader.word("local") || reader.word("default") {
        return Some(reset_of("timezone"));
    }
    if reader.sees("interval") {
        let mut behind = *reader;
        behind.word("interval");
        // With fields or a precision behind it the string means another interval.
        let interval = behind.literal()?.content?;
        *reader = behind;
        let value = quoted(&format!("INTERVAL '{interval}'"));
        return Some(assigned("timezone", value));
    }
    Some(assigned("timezone", value(reader)?))
}

/// The modes of a transaction, as the defaults that SET SESSION CHARACTERISTICS makes of them.
pub(super) fn modes(reader: &mut Reader) -> Option<Vec<Effect>> {
    let mut found = Vec::new();
    let mut must_follow = false;
    loop {
        let (name, value) = if reader.words(&["isolation", "level"]) {
            ("default_transaction_isolation", level(reader)?)
        } else if reader.words(&["read", "only"]) {
            ("default_transaction_read_only", "on")
        } else if reader.words(&["read", "write"]) {
            ("default_transaction_read_only", "off")
        } else if reader.words(&["not", "deferrable"]) {
            ("default_transaction_deferrable", "off")
        } else if reader.word("deferrable") {
            ("default_transaction_deferrable", "on")
        } else {
            return (!must_follow).then_some(found);
        };
        found.extend(assigned(name, value.to_owned()));
        must_follow = reader.takes(b',');
    }
}

fn level(reader: &mut Reader) -> Option<&'static str> {
    const LEVELS: [(&[&str], &str); 4] = [
        (&["read", "uncommitted"], "'read uncommitted'"),
        (&["read", "committed"], "'read committed'"),
        (&["repeatable", "read"], "'repeatable read'"),
        (&["serializable"], "'serializable'"),
    ];
    let found = LEVELS.iter().find(|(words, _)| reader.words(words));
    found.map(|(_, value)| *value)
}

/// RESET, behind that word.
pub(super) fn reset(reader: &mut Reader) -> Option<Vec<Effect>> {
    if reader.word("all") {
        return Some(vec![Effect::ResetAll]);
    }
    if reader.words(&["time", "zone"]) {
        return Some(reset_of("timezone"));
    }
    if reader.words(&["session", "authorization"]) {
        return Some(reset_of("session_authorization"));
    }
    if reader.words(&["transaction", "isolation", "level"]) {
        return Some(Vec::new());
    }
    Some(reset_of(&setting(reader)?))
}
