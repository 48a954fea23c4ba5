//! Calls of `set_config()` in a plain list of a SELECT.
//!
//! Owns: `SELECT set_config('name', 'value', false), ...` with literal arguments. A call that may
//! run any number of times (FROM, WHERE, inside another expression), or whose arguments are known
//! to the server alone, is not understood.
//! Source: `set_config_by_name`, `parse_bool`.

use super::Rules;
use super::assign;
use super::bytes::Byte;
use super::effects::Effect;
use super::reader::{Literal, Reader};

/// What a query may go on with behind its list so that it has other than one row, or what may
/// stand before it.
const FOLLOWING: [&str; 16] = [
    "distinct",
    "all",
    "into",
    "from",
    "where",
    "group",
    "having",
    "window",
    "union",
    "intersect",
    "except",
    "order",
    "limit",
    "offset",
    "fetch",
    "for",
];

/// Functions of one row that stand beside such calls, and decide nothing.
const BESIDE: [&str; 12] = [
    "now",
    "clock_timestamp",
    "statement_timestamp",
    "transaction_timestamp",
    "pg_backend_pid",
    "txid_current",
    "pg_current_xact_id",
    "current_setting",
    "current_database",
    "current_schema",
    "version",
    "pg_is_in_recovery",
];

/// A list of a SELECT, behind that word.
pub(super) fn select(mut reader: Reader) -> Option<Vec<Effect>> {
    if reader.takes(b'*') {
        return from(reader);
    }
    let mut found = Vec::new();
    loop {
        found.extend(call(&mut reader)?.unwrap_or_default());
        rest_of_item(&mut reader)?;
        if !reader.takes(b',') {
            return reader.is_over().then_some(found);
        }
    }
}

/// `* FROM set_config(...) [AS] name`: one row, as JDBC calls it.
fn from(mut reader: Reader) -> Option<Vec<Effect>> {
    if !reader.word("from") {
        return None;
    }
    let found = call(&mut reader)??;
    reader.word("as");
    if !reader.is_over() {
        reader.name()?;
    }
    reader.is_over().then_some(found)
}

/// The call that an item of the list begins with: what it does. `Some(None)`: it is no such call;
/// None: it is not understood.
fn call(reader: &mut Reader) -> Option<Option<Vec<Effect>>> {
    let start = *reader;
    let mut name = reader.name();
    if name.as_deref() == Some("pg_catalog") && reader.takes(b'.') {
        name = reader.name();
    }
    if name.as_deref() != Some("set_config") || !reader.takes(b'(') {
        *reader = start;
        return Some(None);
    }
    let setting = argument(reader);
    let setting = setting_behind(reader, setting)?;
    let value = argument(reader);
    let value = setting_behind(reader, value)?;
    let is_local = truth(reader)?;
    if !reader.takes(b')') {
        return None;
    }
    if is_local {
        return Some(Some(Vec::new()));
    }
    let mut setting = setting?.0?.content?;
    setting.make_ascii_lowercase();
    let value = value?.0.map(|literal| literal.sql);
    Some(Some(match value {
        Some(value) if LISTS.contains(&setting.as_str()) => vec![Effect::SetList {
            name: setting.into(),
            value: value.into(),
        }],
        value => assign::configured(&setting, value),
    }))
}

/// The settings that the calls in a statement name; None if not every name is a literal.
pub(super) fn names(part: &[u8], rules: Rules) -> Option<Vec<Box<str>>> {
    let mut reader = Reader::new(part, rules.backslash_quotes);
    let mut names: Vec<Box<str>> = Vec::new();
    while reader.class().is_some() {
        if !reader.name_is("set_config") {
            reader.any()?;
            continue;
        }
        reader.name()?;
        if !reader.takes(b'(') {
            continue;
        }
        let mut name = argument(&mut reader)?.0?.content?;
        name.make_ascii_lowercase();
        if !reader.takes(b',') {
            return None;
        }
        if !names.iter().any(|known| **known == *name) {
            names.push(name.into());
        }
    }
    (!names.is_empty()).then_some(names)
}

/// What makes this the value of a setting, as `set_config()` takes it.
pub fn set_to(setting: &str, value: &str) -> Vec<Effect> {
    let value = Literal::of(value).sql;
    if LISTS.contains(&setting) {
        return vec![Effect::SetList {
            name: setting.into(),
            value: value.into(),
        }];
    }
    assign::configured(setting, Some(value))
}

/// Whether a call, of which the bracket has been read, is for its transaction alone: its third
/// argument is a literal that says so.
pub(super) fn is_local(rest: &[u8]) -> bool {
    let third = |mut reader: Reader| {
        for _ in 0..2 {
            let found = argument(&mut reader);
            setting_behind(&mut reader, found)?;
        }
        let is_local = truth(&mut reader)?;
        reader.takes(b')').then_some(is_local)
    };
    third(Reader::new(rest, false)) == Some(true)
}

/// A literal, or NULL as None.
struct Argument(Option<Literal>);

/// One argument with its casts, if it is a literal.
fn argument(reader: &mut Reader) -> Option<Argument> {
    if reader.word("null") {
        skip_cast(reader, &TEXT)?;
        return Some(Argument(None));
    }
    let start = *reader;
    if let Some(inside) = wrapped(reader) {
        skip_cast(reader, &TEXT)?;
        return Some(inside);
    }
    *reader = start;
    if reader.sees("text") {
        reader.word("text");
    }
    let literal = reader.literal()?;
    skip_cast(reader, &TEXT)?;
    Some(Argument(Some(literal)))
}

/// An argument in brackets, or `CAST(... AS text)`.
fn wrapped(reader: &mut Reader) -> Option<Argument> {
    let is_cast = reader.word("cast");
    if !reader.takes(b'(') {
        return None;
    }
    let inside = argument(reader)?;
    if is_cast {
        if !reader.word("as") {
            return None;
        }
        let name = reader.name()?;
        TEXT.contains(&name.as_str()).then_some(())?;
    }
    reader.takes(b')').then_some(inside)
}

/// Moves behind the comma that ends an argument, whatever that is; an argument that is longer than
/// a literal is none. None if there is no comma.
fn setting_behind(reader: &mut Reader, found: Option<Argument>) -> Option<Option<Argument>> {
    if reader.takes(b',') {
        return Some(found);
    }
    skip_to_comma(reader)?;
    reader.takes(b',').then_some(None)
}

/// Moves to the comma or bracket that ends an expression without calls of `set_config`.
fn skip_to_comma(reader: &mut Reader) -> Option<()> {
    let mut depth = 0u32;
    loop {
        match reader.class()? {
            Byte::Comma | Byte::Close if depth == 0 => return Some(()),
            Byte::Open => depth += 1,
            Byte::Close => depth -= 1,
            Byte::Semicolon => return None,
            _ => {}
        }
        if reader.name_is("set_config") {
            return None;
        }
        reader.any()?;
    }
}

/// `false` in any spelling of a literal; NULL is false.
fn truth(reader: &mut Reader) -> Option<bool> {
    let found = if reader.word("true") {
        true
    } else if reader.word("false") || reader.word("null") {
        false
    } else {
        let _ = reader.word("bool") || reader.word("boolean");
        truth_of(&reader.literal()?.content?)?
    };
    skip_cast(reader, &ANY)?;
    Some(found)
}

/// As PostgreSQL reads a boolean: unique beginnings of words, in any case, blanks around them.
fn truth_of(text: &str) -> Option<bool> {
    let text = text.trim_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']);
    let text = text.to_ascii_lowercase();
    let begins = |word: &str, least: usize| text.len() >= least && word.starts_with(&text);
    if begins("true", 1) || begins("yes", 1) || begins("on", 2) || text == "1" {
        Some(true)
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || text == "0" {
        Some(false)
    } else {
        None
    }
}

/// Types that keep a text as it is.
const TEXT: [&str; 2] = ["text", "varchar"];

/// Types that keep a truth.
const ANY: [&str; 4] = ["text", "varchar", "bool", "boolean"];

/// Casts that leave the value as it is.
fn skip_cast(reader: &mut Reader, known: &[&str]) -> Option<()> {
    while reader.takes(b':') {
        if !reader.takes(b':') {
            return None;
        }
        let name = reader.name()?;
        known.contains(&name.as_str()).then_some(())?;
    }
    Some(())
}

/// The rest of an item of the list, up to its comma. Not with brackets, but for functions that are
/// known: one that returns a set decides how often the whole list is evaluated.
fn rest_of_item(reader: &mut Reader) -> Option<()> {
    loop {
        match reader.class() {
            None | Some(Byte::Comma | Byte::Semicolon) => return Some(()),
            Some(Byte::Open | Byte::Close) => return None,
            _ => {}
        }
        if BESIDE.iter().any(|name| reader.word(name)) && reader.takes(b'(') {
            skip_to_close(reader)?;
            continue;
        }
        let is_more = FOLLOWING.iter().any(|word| reader.sees(word));
        if is_more || reader.name_is("set_config") {
            return None;
        }
        reader.any()?;
    }
}

/// Moves behind the bracket that closes, over literals and names alone.
fn skip_to_close(reader: &mut Reader) -> Option<()> {
    while !reader.takes(b')') {
        let is_plain = !matches!(reader.class()?, Byte::Open | Byte::Semicolon);
        is_plain.then(|| reader.any())??;
    }
    Some(())
}

/// Settings whose value is a list of names, and quoted by SET: one literal there is one name, here
/// it is the list. Source: GUC_LIST_QUOTE.
const LISTS: [&str; 4] = [
    "search_path",
    "temp_tablespaces",
    "local_preload_libraries",
    "session_preload_libraries",
];
