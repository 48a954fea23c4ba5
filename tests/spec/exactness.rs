//! Calls, errors and rows, counted by pgweir and by pg_stat_statements side by side: the same
//! (insight.md 6, T5 and T6).

use std::collections::BTreeMap;
use std::thread;

use crate::only_pgweir;
use crate::support::frames::{bind, close, execute, extended, parse, run_prepared, sync};
use crate::support::{Bouncer, Pg, RawClient};

/// Statements told apart by a name `mNN` that both sides keep; `{}` is a number from 0 to 9, and a
/// statement with `1/{}` fails on 0.
const TEMPLATES: [&str; 16] = [
    "select {} as m00",
    "select n as m01 from generate_series(1, {}) n",
    "select n as m02 from generate_series(1, {}) n limit 3",
    "select 1/{} as m03",
    "insert into m04 values ({})",
    "insert into m05 select n from generate_series(1, {}) n",
    "update m06 set n = n where n < {}",
    "delete from m07 where n = {}",
    "with m08 as (select {} as x) select x from m08",
    "select 'it''s {}' as m09, $${}$$",
    "select n as m10 from generate_series(1, 2000) n where n % 10 = {}",
    "values ({}, 'm11')",
    "insert into m12 values ({}) on conflict do nothing",
    "insert into m13 values ({}) returning n",
    "select count(*) as m14 from pg_class where oid in ({}, 5)",
    "select case when {} > 4 then 1/0 else 1 end as m15",
];

/// A small generator, so that a failure comes again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn statement(&mut self) -> String {
        let template = TEMPLATES[self.roll(TEMPLATES.len() as u64) as usize];
        template.replace("{}", &self.roll(10).to_string())
    }
}

/// One client's traffic: simple, several in one Query, pipelined, prepared, in portions, in
/// transactions that fail or not.
fn drive(mut client: RawClient, seed: u64) {
    let mut dice = Dice(seed);
    for step in 0..150 {
        match dice.roll(6) {
            0 => {
                client.query(&dice.statement());
            }
            1 => {
                let several: Vec<String> = (0..3).map(|_| dice.statement()).collect();
                client.query(&several.join(";"));
            }
            2 => {
                client.exchange(&extended(&dice.statement(), &[]));
            }
            3 => {
                let mut bytes = Vec::new();
                for _ in 0..4 {
                    bytes.extend(parse("", &dice.statement()));
                    bytes.extend(bind("", "", &[]));
                    bytes.extend(execute("", 0));
                }
                bytes.extend(sync());
                client.exchange(&bytes);
            }
            4 => {
                let name = format!("s{step}");
                client.exchange(&[parse(&name, &dice.statement()), sync()].concat());
                for _ in 0..2 {
                    client.exchange(&run_prepared(&name, &[]));
                }
            }
            _ => {
                client.query("begin");
                let fetch = [
                    parse("", "select n as m01 from generate_series(1, 9) n"),
                    bind("p", "", &[]),
                    execute("p", 4),
                    execute("p", 4),
                    execute("p", 4),
                    close(b'P', "p"),
                    sync(),
                ];
                client.exchange(&fetch.concat());
                client.query(&dice.statement());
                client.query(&dice.statement());
                client.query("commit");
            }
        }
    }
    client.close();
}

fn mark_of(text: &str) -> Option<String> {
    let at = text.match_indices('m').map(|(at, _)| at).find(|&at| {
        let digits = text.as_bytes().get(at + 1..at + 3);
        digits.is_some_and(|two| two.iter().all(u8::is_ascii_digit))
    })?;
    Some(text[at..at + 3].to_owned())
}

#[test]
fn calls_and_rows_are_those_of_pg_stat_statements_16() {
    only_pgweir!();
    compare(&Pg::version(16, STATEMENTS));
}

#[test]
fn calls_and_rows_are_those_of_pg_stat_statements_18() {
    only_pgweir!();
    compare(&Pg::version(18, STATEMENTS));
}

const STATEMENTS: &str =
    "shared_preload_libraries = 'pg_stat_statements'\npg_stat_statements.track = 'top'\n";

fn compare(pg: &Pg) {
    let database = pg.database();
    let mut admin = pg.admin();
    admin.query("create extension pg_stat_statements");
    let bouncer = Bouncer::new(pg).pool_size(3).own("lanes", 2).start();
    let mut client = bouncer.client_of(&database);
    for table in ["m04", "m05", "m06", "m07", "m12", "m13"] {
        client.ok(&format!("create table {table} (n int)"));
    }
    client.ok("insert into m06 select generate_series(1, 20)");
    client.ok("insert into m07 select n % 10 from generate_series(1, 50) n");
    admin.ok("select pg_stat_statements_reset()");
    bouncer.show("reset statements");

    let crowd: Vec<_> = (1..=4)
        .map(|seed| {
            let client = bouncer.client_of(&database);
            thread::spawn(move || drive(client, seed))
        })
        .collect();
    for one in crowd {
        one.join().expect("a client without a mix-up");
    }

    let mut theirs: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    let sql = "select query, calls, rows from pg_stat_statements where query !~* '^create'";
    for row in admin.ok(sql).table() {
        // VALUES keeps no name: its constant is gone on both sides.
        let mark = mark_of(row.get("query")).or_else(|| {
            let is_values = row.get("query").starts_with("values");
            is_values.then(|| "m11".to_owned())
        });
        if let Some(mark) = mark {
            let sum = theirs.entry(mark).or_default();
            sum.0 += row.number("calls");
            sum.1 += row.number("rows");
        }
    }
    let mut ours: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    let command = format!("show statements for {database} limit 100000");
    for row in bouncer.show(&command).table() {
        let text = row.get("query");
        if text.starts_with("(pipeline)") || text.starts_with("create") {
            continue;
        }
        let is_values = text.starts_with("values");
        if let Some(mark) = mark_of(text).or_else(|| is_values.then(|| "m11".to_owned())) {
            let ended = row.number("calls") + row.number("errors");
            let rows = row.get("rows_call").parse::<f64>().unwrap_or(0.0) * ended as f64;
            let sum = ours.entry(mark).or_default();
            sum.0 += row.number("calls");
            sum.1 += rows.round() as i64;
        }
    }
    assert_eq!(theirs.len(), TEMPLATES.len(), "{theirs:?}");
    assert_eq!(ours, theirs);
}
