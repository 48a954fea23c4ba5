//! The rules by example, what must not change, what must, and bytes from strangers.
#![allow(clippy::unwrap_used)]

mod callees;
mod calls;
mod change;
mod control;
mod cost;
mod effects;
mod pieces;
mod pinned;
mod rules;
mod told;
mod touches;
mod values;

use super::*;

#[path = "../../../tests/spec/support/shapes.rs"]
pub mod shapes;

/// The default rules.
pub fn default() -> Rules {
    Rules::default()
}

/// As pg_stat_statements of a version keeps lists.
pub fn strict(version: u8) -> Rules {
    Rules {
        grouping: Grouping::Strict(version),
        ..Rules::default()
    }
}

/// Every statement of a text.
pub fn all(sql: &[u8], rules: Rules) -> Vec<Statement> {
    let mut found = Vec::new();
    each_statement(sql, rules, |statement| found.push(statement.clone()));
    found
}

pub fn fingerprint(sql: &str) -> u64 {
    single(sql.as_bytes(), default()).fingerprint
}

/// A text of tokens put together at random: mostly SQL, sometimes torn.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, below: usize) -> usize {
        (self.next() % below.max(1) as u64) as usize
    }

    pub fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// Pieces that lexers stumble over.
pub const PIECES: &[&str] = &[
    "select",
    "SELECT ",
    " in ",
    "IN (",
    "in ((",
    "values (",
    "), (",
    "(",
    ")",
    ",",
    ";",
    ";;",
    " ",
    "\n",
    "\t",
    "'",
    "''",
    "'a'",
    "'a''b'",
    "e'\\'",
    "E'x\\\\'",
    "u&'",
    "U&\"",
    "b'1",
    "x'f'",
    "n'é'",
    "\"",
    "\"\"",
    "\"a b\"",
    "\"A\"",
    "$",
    "$$",
    "$a$",
    "$1",
    "$12",
    "a$1",
    "--",
    "-- c\n",
    "/*",
    "*/",
    "/* k='v' */",
    "/*/",
    "-",
    "- 1",
    "-1",
    "1",
    "12, 13, 14, 15, 16, 17",
    "1, , 2",
    "1 2",
    "1.",
    ".5",
    "1..2",
    "1e5",
    "1e",
    "0x1F",
    "1_0",
    "null",
    "true",
    "is not null",
    "::",
    "::int",
    "::numeric(1,2)",
    ":=",
    ":",
    ".",
    "[",
    "]",
    "array[",
    "ARRAY [1,2",
    "date '2020-01-01'",
    "order by 1",
    "group by 1, 2",
    "=",
    "<>",
    "!=",
    "->>",
    "?|",
    "@>",
    "+-",
    "=-",
    "a",
    "Abc",
    "t_1",
    "é",
    "\u{1}",
    "\\",
    "prepare p as ",
    "execute p",
    "savepoint x",
    "rollback to ",
    "begin ",
    "begin atomic ",
    "end",
    "case when ",
    "create or replace function f() ",
    "declare c cursor for ",
    "fetch 5 from ",
    "set x = ",
    "set ",
    "deallocate ",
    "with a as (",
    "insert into t ",
    "do ",
    "extract(year from ",
    "for update",
    "abcdefgh",
    "abcdefghi",
    "\"abcdefgh\"",
    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklm",
];

pub fn garbage(dice: &mut Dice) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..1 + dice.below(24) {
        text.extend_from_slice(dice.pick(PIECES).as_bytes());
        if dice.below(40) == 0 {
            text.push(dice.next() as u8);
        }
    }
    text
}
