//! Which prepared statements a text speaks of: PREPARE, EXECUTE and DEALLOCATE, where their names
//! stand.
//!
//! Owns: the quick no, and the exact reading for the few texts that speak of any. EXPLAIN EXECUTE and
//! CREATE TABLE AS EXECUTE are EXECUTEs. Source: PostgreSQL's grammar.

use std::ops::Range;

use memchr::{memchr, memchr2};

use super::bytes::{Byte, class_at, is_blank};
use super::scan;
use super::statements::{before_nul, each_statement};
use super::{Rules, Statement, Summary, Touches, Verb};

/// Bytes of a name that PostgreSQL keeps (NAMEDATALEN - 1).
const NAME: usize = 63;
/// What a text must contain to speak of one.
const WORDS: [&[u8]; 3] = [b"prepare", b"execute", b"deallocate"];

/// What a statement does with a prepared one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// PREPARE.
    Prepare,
    /// EXECUTE.
    Execute,
    /// DEALLOCATE of one.
    Deallocate,
}

/// One statement that names a prepared one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameUse {
    /// What it does.
    pub usage: Usage,
    /// The name, as PostgreSQL folds it.
    pub name: Box<[u8]>,
    /// Where it stands in the text, with its quotes.
    pub at: Range<usize>,
    /// PREPARE: the end of the statement.
    pub end: usize,
    /// PREPARE: where its body begins.
    pub body_at: usize,
    /// PREPARE: what its body does.
    pub body: Summary,
}

/// What a text says of prepared statements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameUses {
    /// Every name, in order.
    pub uses: Vec<NameUse>,
    /// How many statements the text has.
    pub statements: usize,
    /// A name could not be read.
    pub is_unclear: bool,
}

impl NameUses {
    /// Whether the text names none, as far as can be read.
    pub fn is_empty(&self) -> bool {
        self.uses.is_empty() && !self.is_unclear
    }
}

/// HOT. Whether a text, which ends with its NUL, is one statement that neither speaks of prepared
/// statements nor drops them; `false` for some that do not.
#[inline]
pub fn is_plain(text: &[u8]) -> bool {
    let Some(first) = text.iter().find(|byte| !is_blank(**byte)) else {
        return false;
    };
    // Not PREPARE, EXECUTE, EXPLAIN, DEALLOCATE, DISCARD, CREATE, and no comment or bracket.
    let begins_plainly = match first | 0x20 {
        b'p' | b'e' | b'd' | b'c' => false,
        letter => letter.is_ascii_lowercase(),
    };
    begins_plainly
        && match memchr2(0, b';', text) {
            Some(end) => text[end..]
                .iter()
                .all(|b| matches!(b, 0 | b';') || is_blank(*b)),
            None => false,
        }
}

/// HOT. Whether a text may speak of prepared statements; `true` for some that do not.
#[inline]
pub fn may_name_prepared(text: &[u8]) -> bool {
    let text = before_nul(text);
    let start = scan::skip_blank(text, 0);
    // PREPARE, EXECUTE, EXPLAIN, DEALLOCATE, CREATE.
    let may_begin = matches!(
        text.get(start).map(|byte| byte | 0x20),
        Some(b'p' | b'e' | b'd' | b'c')
    );
    let one = text.trim_ascii_end();
    let one = one.strip_suffix(b";").unwrap_or(one);
    (may_begin || memchr(b';', one).is_some()) && WORDS.iter().any(|word| contains(text, word))
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    let Some(first) = word.first() else {
        return false;
    };
    memchr::memchr2_iter(*first, first.to_ascii_uppercase(), text).any(|at| {
        text.get(at..at + word.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(word))
    })
}

/// Every prepared statement that a text names.
pub fn prepared_names(text: &[u8], rules: Rules) -> NameUses {
    let text = before_nul(text);
    let mut found = NameUses::default();
    each_statement(text, rules, |statement| {
        found.statements += 1;
        if !statement.touches.has(Touches::PREPARED) {
            return;
        }
        if rules.opaque_encoding || statement.is_truncated {
            found.is_unclear = true;
            return;
        }
        match name_use(text, statement) {
            Named::Nothing => {}
            Named::Unclear => found.is_unclear = true,
            Named::One(one) => found.uses.push(one),
        }
    });
    found
}

enum Named {
    Nothing,
    Unclear,
    One(NameUse),
}

fn name_use(text: &[u8], statement: &Statement) -> Named {
    let usage = match statement.verb {
        Verb::Prepare => Usage::Prepare,
        Verb::Execute => Usage::Execute,
        Verb::Deallocate => Usage::Deallocate,
        _ => Usage::Execute,
    };
    let at = match (&statement.name, statement.verb) {
        (Some(name), _) => name.clone(),
        // ALL; or the grammar does not know it.
        (None, Verb::Prepare | Verb::Execute | Verb::Deallocate) => return Named::Nothing,
        (None, _) => match executed(text, statement.span.clone()) {
            Some(name) => name,
            None => return Named::Nothing,
        },
    };
    let Some(name) = folded(text.get(at.clone()).unwrap_or_default()) else {
        return Named::Unclear;
    };
    let (fingerprint, class) = statement.body.unwrap_or_default();
    let body_at = match usage {
        Usage::Prepare => body_at(text, at.end),
        _ => Some(at.end),
    };
    let Some(body_at) = body_at else {
        return Named::Unclear;
    };
    Named::One(NameUse {
        usage,
        body_at,
        name,
        at,
        end: statement.span.end,
        body: Summary {
            fingerprint,
            class,
            writes: statement.writes,
            touches: statement.touches,
            ..Summary::default()
        },
    })
}

/// The name behind the EXECUTE of an EXPLAIN or CREATE TABLE AS.
fn executed(text: &[u8], span: Range<usize>) -> Option<Range<usize>> {
    let text = text.get(..span.end)?;
    let mut at = scan::skip_blank(text, span.start);
    let (mut depth, mut may_follow) = (0u32, false);
    while at < text.len() {
        let end = scan::token(text, at, false)?.max(at + 1);
        let token = text.get(at..end)?;
        let next = scan::skip_blank(text, end);
        match token {
            b"(" => depth += 1,
            b")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        let is = |words: &[&str]| {
            let mut words = words.iter();
            words.any(|word| word.as_bytes().eq_ignore_ascii_case(token))
        };
        if depth == 0 && may_follow && is(&["execute"]) {
            return Some(next..scan::token(text, next, false)?);
        }
        may_follow = is(&["as", "explain", "analyze", "analyse", "verbose", ")"]);
        at = next;
    }
    None
}

/// Behind the AS that follows the name of a PREPARE and its types.
fn body_at(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0u32;
    loop {
        at = scan::skip_blank(text, at);
        let end = scan::token(text, at, false)?.max(at + 1);
        match text.get(at..end)? {
            b"(" => depth += 1,
            b")" => depth = depth.checked_sub(1)?,
            word if depth == 0 => {
                let is_as = word.eq_ignore_ascii_case(b"as");
                return is_as.then(|| scan::skip_blank(text, end));
            }
            _ => {}
        }
        at = end;
    }
}

/// A name as PostgreSQL takes it; `None` when that is not easy to say.
fn folded(name: &[u8]) -> Option<Box<[u8]>> {
    // PostgreSQL says in a notice that it cuts longer ones.
    if name.len() > NAME {
        return None;
    }
    match name {
        [b'"', inner @ .., b'"'] if !inner.contains(&b'"') => Some(inner.into()),
        _ if class_at(name, 0) == Some(Byte::Name)
            && name.is_ascii()
            && scan::name(name, 0) == name.len() =>
        {
            Some(name.to_ascii_lowercase().into())
        }
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<(Usage, String, String)> {
        assert!(may_name_prepared(text.as_bytes()), "{text}");
        let found = prepared_names(text.as_bytes(), Rules::default());
        assert!(!found.is_unclear, "{text}");
        let one = |one: &NameUse| {
            let name = String::from_utf8(one.name.to_vec()).unwrap();
            (one.usage, name, text[one.at.clone()].to_owned())
        };
        found.uses.iter().map(one).collect()
    }

    #[test]
    fn names_are_found_where_they_stand() {
        use Usage::{Deallocate, Execute, Prepare};
        for (text, usage, name, seen) in [
            ("prepare A as select 1", Prepare, "a", "A"),
            (
                " PREPARE \"A b\"(int) AS select $1;",
                Prepare,
                "A b",
                "\"A b\"",
            ),
            ("/* c */ execute /* d */ x (1, 'a')", Execute, "x", "x"),
            ("EXPLAIN execute x", Execute, "x", "x"),
            (
                "explain (analyze, costs off) execute x(1)",
                Execute,
                "x",
                "x",
            ),
            ("explain analyze verbose execute x", Execute, "x", "x"),
            (
                "create temp table t (a, b) with (fillfactor = 70) on commit drop as execute x(1)",
                Execute,
                "x",
                "x",
            ),
            (
                "create table execute as execute execute",
                Execute,
                "execute",
                "execute",
            ),
            ("deallocate prepare \"x\"", Deallocate, "x", "\"x\""),
            ("deallocate X", Deallocate, "x", "X"),
        ] {
            assert_eq!(
                names(text),
                [(usage, name.to_owned(), seen.to_owned())],
                "{text}"
            );
        }
        assert_eq!(
            names("select 1; execute a; select 'execute'; execute b").len(),
            2
        );
    }

    #[test]
    fn what_names_none_is_seen_as_that() {
        for text in [
            "select 1",
            "select 'execute x'; ",
            "create table t (a int)",
            "execution",
            "",
        ] {
            assert!(!may_name_prepared(text.as_bytes()), "{text}");
        }
        for text in [
            "deallocate all",
            "prepare transaction 'x'",
            "create function f() returns void language plpgsql as $$ begin execute 'x'; end $$",
            "create table t as select 1 as execute",
            "discard all; select 'prepare'",
        ] {
            assert_eq!(names(text), [], "{text}");
        }
        let odd = prepared_names(b"execute U&\"a\"; execute \"a\"\"b\"", Rules::default());
        assert!(odd.is_unclear);
    }
}
