//! Names of the functions that a statement calls, as far as pg_catalog does not have them.
//!
//! Owns: reading them out of a whole statement, or out of the body of a function. Errs to the safe
//! side: what may touch its session in any other way than by these functions has none.
//! Source: PL/pgSQL and SQL as bodies (PostgreSQL's chapters 43 and 38.5).

use super::bytes::{Byte, class_at};
use super::calls::{Calls, Verdict};
use super::catalog;
use super::scan::{self, Dollar};
use super::set_config;
use super::touches::Touches;
use super::{Class, Rules, Statement};

/// Most names of one statement.
const MOST: usize = 32;

/// Longest name, in bytes: PostgreSQL cuts off the rest.
const LONGEST: usize = 63;

/// The names before brackets in the statement of `text` that may be functions outside pg_catalog;
/// `None`: it may touch its session unseen by other means, or not all names are understood.
pub fn callees(text: &[u8], statement: &Statement, rules: Rules) -> Option<Vec<Box<str>>> {
    let is_planned = matches!(
        statement.class,
        Class::Select | Class::Insert | Class::Update | Class::Delete | Class::Merge
    );
    let is_read = !statement.is_truncated && !statement.is_unterminated && !rules.opaque_encoding;
    if !is_planned || !is_read {
        return None;
    }
    let names = read(text.get(statement.span.clone())?, rules, &mut Known)?;
    (!names.is_empty() && names.len() <= MOST).then_some(names)
}

/// What the body of a function does.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// Names of functions outside pg_catalog that it may call.
    pub calls: Vec<Box<str>>,
    /// It may notify; nothing else that it does touches its session.
    pub notifies: bool,
}

/// What a body in SQL or PL/pgSQL does; `None`: it may leave something in its session itself, or
/// not all of it is understood.
pub fn read_body(body: &[u8], is_sql: bool) -> Option<Body> {
    let mut words = Words {
        is_sql,
        ..Words::default()
    };
    let calls = read(body, Rules::default(), &mut words)?;
    (calls.len() <= MOST).then_some(Body {
        calls,
        notifies: words.notifies,
    })
}

/// Who looks at each token besides.
trait Judge {
    /// Reads the names.
    fn calls() -> Calls;
    /// A function of pg_catalog is called that touches this; behind its bracket stands `rest`.
    fn call(&mut self, touches: Touches, rest: &[u8]) -> Option<()>;
    /// An unquoted word; `None`: the text is not for us.
    fn word(&mut self, _word: &[u8]) -> Option<()> {
        Some(())
    }
    /// Anything else.
    fn other(&mut self, _token: &[u8]) -> Option<()> {
        Some(())
    }
}

/// Of a statement the class and what it touches are known.
struct Known;

impl Judge for Known {
    fn calls() -> Calls {
        Calls::default()
    }

    fn call(&mut self, touches: Touches, _rest: &[u8]) -> Option<()> {
        (!touches.has(Touches::FUNCTION)).then_some(())
    }
}

/// What a body may do is judged by its words.
#[derive(Default)]
struct Words {
    /// UPDATE stands before, in the same statement: SET is its own.
    is_update: bool,
    /// SELECT INTO makes a table: in a temporary schema, if that comes first.
    is_sql: bool,
    /// INSERT or MERGE stands before.
    is_insert: bool,
    /// DO, or a SET of its own, stands before.
    behind: Option<Behind>,
    notifies: bool,
}

/// A word that decides with the next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behind {
    Do,
    Set,
}

impl Judge for Words {
    fn calls() -> Calls {
        Calls::of_code()
    }

    fn call(&mut self, touches: Touches, rest: &[u8]) -> Option<()> {
        self.notifies |= touches.has(Touches::NOTIFIES);
        if touches.has(Touches::FUNCTION.or(Touches::LOCKS)) {
            return None;
        }
        (!touches.has(Touches::SETTINGS) || set_config::is_local(rest)).then_some(())
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        // Longer than any that matters.
        let mut buffer = [0; 12];
        let Some(lower) = buffer.get_mut(..word.len()) else {
            return self.other(word);
        };
        lower.copy_from_slice(word);
        lower.make_ascii_lowercase();
        match self.behind.take() {
            Some(Behind::Do) if !matches!(&*lower, b"nothing" | b"update") => return None,
            Some(Behind::Set) => {
                let is_local = matches!(&*lower, b"local" | b"transaction" | b"constraints");
                return is_local.then_some(());
            }
            _ => {}
        }
        let is_insert = std::mem::take(&mut self.is_insert);
        match &*lower {
            b"into" if self.is_sql && !is_insert => None,
            b"insert" | b"merge" => {
                self.is_insert = true;
                Some(())
            }
            b"execute" | b"temp" | b"temporary" | b"pg_temp" | b"create" | b"alter" | b"drop"
            | b"reset" | b"listen" | b"unlisten" | b"load" | b"discard" | b"prepare"
            | b"deallocate" | b"call" | b"hold" | b"refresh" | b"import" => None,
            b"set" => {
                self.behind = (!self.is_update).then_some(Behind::Set);
                Some(())
            }
            b"notify" => {
                self.notifies = true;
                Some(())
            }
            b"update" => {
                self.is_update = true;
                Some(())
            }
            b"do" => {
                self.behind = Some(Behind::Do);
                Some(())
            }
            b"then" | b"else" | b"loop" | b"begin" => {
                self.is_update = false;
                Some(())
            }
            _ => Some(()),
        }
    }

    fn other(&mut self, token: &[u8]) -> Option<()> {
        if token == b";" {
            self.is_update = false;
        }
        // What a backslash means in a plain literal depends on the session.
        let is_clear = token.first() != Some(&b'\'') || !token.contains(&b'\\');
        (is_clear && self.behind.is_none()).then_some(())
    }
}

fn read<J: Judge>(text: &[u8], rules: Rules, judge: &mut J) -> Option<Vec<Box<str>>> {
    let mut calls = J::calls();
    let mut names = Vec::new();
    let mut at = scan::skip_blank(text, 0);
    while let Some(class) = class_at(text, at) {
        let end = scan::token(text, at, rules.backslash_quotes)?;
        let token = text.get(at..end)?;
        match class {
            Byte::Name => match scan::prefixed(text, at, rules.backslash_quotes) {
                Some(prefixed) if prefixed.is_name => return None,
                Some(_) => {
                    judge.other(token)?;
                    calls.literal();
                }
                None if token.eq_ignore_ascii_case(b"pg_settings") => return None,
                None => {
                    judge.word(token)?;
                    calls.name(token, false);
                }
            },
            Byte::DoubleQuote => {
                judge.other(token)?;
                calls.name(plain(token)?, true);
            }
            Byte::Quote | Byte::Digit => {
                judge.other(token)?;
                calls.literal();
            }
            Byte::Dollar if scan::dollar(text, at) != Dollar::Junk => {
                judge.other(token)?;
                calls.literal();
            }
            _ => {
                judge.other(token)?;
                for byte in token {
                    match calls.byte(*byte) {
                        Some((Verdict::Unknown, _)) => add(&mut names, calls.behind())?,
                        Some((Verdict::Touches(touches), _)) => {
                            judge.call(touches, text.get(end..)?)?;
                        }
                        None => {}
                    }
                }
            }
        }
        at = scan::skip_blank(text, end);
    }
    Some(names)
}

/// A quoted name that means what stands there; an UPDATE of pg_settings sets them.
fn plain(token: &[u8]) -> Option<&[u8]> {
    let inside = token.get(1..token.len().checked_sub(1)?)?;
    (!inside.contains(&b'"') && inside != b"pg_settings").then_some(inside)
}

fn add(names: &mut Vec<Box<str>>, name: &[u8]) -> Option<()> {
    // One of pg_catalog's names that is in another schema as well: which one is meant is not known.
    let touches = catalog::find(name).function().unwrap_or_default();
    let is_clear = name.is_ascii() && (1..=LONGEST).contains(&name.len()) && touches.is_empty();
    let name = std::str::from_utf8(name).ok().filter(|_| is_clear)?;
    if names.len() <= MOST && !names.iter().any(|known| &**known == name) {
        names.push(name.into());
    }
    Some(())
}
