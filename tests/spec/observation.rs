//! Clients that do what the protocol allows and nobody expects: what is counted stays right, and
//! costs pgweir no more memory than it should.

use std::thread;
use std::time::Duration;

use crate::only_pgweir;
use crate::support::frames::{
    bind, copy_data, copy_done, describe, execute, flush, parse, query, run_prepared, sync,
};
use crate::support::{Bouncer, Pg, RawClient, Running};

struct Scene {
    bouncer: Running,
    database: String,
}

impl Scene {
    fn new(prepare: impl FnOnce(Bouncer) -> Bouncer) -> Self {
        let pg = Pg::shared();
        Self {
            database: pg.database(),
            bouncer: prepare(Bouncer::new(pg).pool_size(2)).start(),
        }
    }

    fn client(&self) -> RawClient {
        self.bouncer.client_of(&self.database)
    }

    /// A column of the group with that text; empty when there is no such group.
    fn cell(&self, text: &str, column: &str) -> String {
        let command = format!("show statements for {} limit 100000", self.database);
        let shown = self.bouncer.show(&command);
        let row = shown.table().find(|row| row.get("query") == text);
        row.map(|row| row.get(column).to_owned())
            .unwrap_or_default()
    }

    fn number(&self, text: &str, column: &str) -> f64 {
        self.cell(text, column).parse().unwrap_or(0.0)
    }

    fn assert_calls(&self, text: &str, calls: u32) {
        assert_eq!(self.cell(text, "calls"), calls.to_string(), "{text}");
    }
}

#[test]
fn a_flood_of_statements_in_one_query_costs_little_memory() {
    only_pgweir!();
    let scene = Scene::new(|bouncer| bouncer);
    let mut client = scene.client();
    client.ok("select 1 as before");
    let before = scene.bouncer.peak_rss_kb();
    let flood = "1;".repeat(8 << 20);
    assert_eq!(client.fails(&flood).sqlstate(), "42601");
    let grown = scene.bouncer.peak_rss_kb() - before;
    assert!(grown < 64 << 10, "{grown} kB");
    client.ok("select 2 as after");
    scene.assert_calls("select $1 as after", 1);
}

#[test]
fn every_statement_of_a_long_query_is_counted() {
    only_pgweir!();
    let scene = Scene::new(|bouncer| bouncer);
    let mut client = scene.client();
    let many = 20_000;
    client.put(
        &[
            query(&"select 1 as a;".repeat(many)),
            query("select 2 as b"),
        ]
        .concat(),
    );
    client.until_ready();
    client.until_ready();
    let texts = ["select $1 as a", "select $1 as b", "(unseen)"];
    let calls = texts.map(|text| scene.number(text, "calls"));
    assert_eq!(calls.iter().sum::<f64>(), many as f64 + 1.0);
    client.ok("select 3 as c");
    scene.assert_calls("select $1 as c", 1);
}

#[test]
fn each_of_two_new_statements_gets_its_own_text() {
    only_pgweir!();
    let scene = Scene::new(|bouncer| bouncer.set("max_prepared_statements", 100));
    let mut client = scene.client();
    let both = [
        parse("", "select 1 as unnamed"),
        parse("s", "select 1 as named"),
        run_prepared("s", &[]),
        bind("", "", &[]),
        execute("", 0),
        sync(),
    ];
    client.put(&both.concat());
    client.until_ready();
    client.until_ready();
    scene.assert_calls("select $1 as named", 1);
    scene.assert_calls("select $1 as unnamed", 1);
}

#[test]
fn a_statement_far_behind_in_a_query_gets_its_text_later() {
    only_pgweir!();
    let scene = Scene::new(|bouncer| bouncer);
    let mut client = scene.client();
    let filler = "select 1 as filler;".repeat(4000);
    client.ok(&format!("{filler} select 2 as far"));
    client.ok("select 3 as far");
    scene.assert_calls("select $1 as far", 2);
}

#[test]
fn silence_behind_a_flush_is_not_the_servers_time() {
    only_pgweir!();
    let scene = Scene::new(|bouncer| bouncer.own("slow_statement_ms", 1000));
    let mut client = scene.client();
    let step = |sql: &str| [parse("", sql), bind("", "", &[]), execute("", 0), flush()].concat();
    for sql in ["select 1 as a", "select 1 as b"] {
        client.put(&step(sql));
        client.until(b'C');
        thread::sleep(Duration::from_millis(1200));
    }
    client.put(&[parse("", "select 1 as c"), describe(b'S', ""), flush()].concat());
    client.until(b'T');
    thread::sleep(Duration::from_millis(1200));
    client.exchange(&[bind("", "", &[]), execute("", 0), sync()].concat());
    let slow = scene.bouncer.show("show slow");
    assert_eq!(slow.rows.len(), 0, "{:?}", slow.rows);
}

#[test]
fn a_query_skipped_with_an_extended_error_never_ran() {
    only_pgweir!();
    let scene = Scene::new(|bouncer| bouncer.pool_mode("session"));
    let mut client = scene.client();
    let failing = [
        parse("", "select 1/0 as a"),
        bind("", "", &[]),
        execute("", 0),
    ]
    .concat();
    client.exchange(&[failing, query("select 1 as skipped"), sync()].concat());
    client.ok("select 1 as b");
    client.ok("select 1 as c");
    scene.assert_calls("select $1 as b", 1);
    scene.assert_calls("select $1 as c", 1);
    assert_eq!(scene.cell("select $1 as skipped", "calls"), "");
}

#[test]
fn a_copy_that_was_refused_takes_nothing_from_what_follows() {
    only_pgweir!();
    let scene = Scene::new(|bouncer| bouncer.pool_mode("session"));
    let mut client = scene.client();
    client.ok("create table t (n int)");
    client.put(&query("copy t from stdin"));
    client.until(b'G');
    client.exchange(&copy_data(b"no number\n"));
    thread::sleep(Duration::from_millis(1000));
    client.put(&copy_done());
    client.ok("select pg_sleep(0.5)");
    assert!(scene.number("select pg_sleep($1)", "mean_ms") >= 490.0);
}

#[test]
fn names_that_come_in_pieces_are_those_statements_names() {
    only_pgweir!();
    let scene = Scene::new(|bouncer| {
        bouncer
            .pool_mode("session")
            .set("max_prepared_statements", 0)
    });
    let mut client = scene.client();
    for (name, sql) in [("", "select 1 as a"), ("s", "select 1 as b")] {
        let other = sql.replace("as ", "as other_");
        client.exchange(&[parse(name, &other), sync()].concat());
        client.exchange(&run_prepared(name, &[]));
        if !name.is_empty() {
            client.ok("deallocate s");
        }
        let frame = parse(name, sql);
        client.put(&frame[..5]);
        thread::sleep(Duration::from_millis(100));
        client.put(&frame[5..]);
        let bound = bind("", name, &[]);
        client.put(&bound[..5]);
        thread::sleep(Duration::from_millis(100));
        client.exchange(&[&bound[5..], &execute("", 0), &sync()].concat());
        scene.assert_calls(&other.replace('1', "$1"), 1);
        scene.assert_calls(&sql.replace('1', "$1"), 1);
    }
}

#[test]
fn a_name_of_another_client_is_not_this_ones() {
    only_pgweir!();
    let scene = Scene::new(|bouncer| {
        bouncer
            .pool_mode("session")
            .pool_size(1)
            .set("max_prepared_statements", 0)
    });
    let mut client = scene.client();
    let names = (0..4096).flat_map(|n| parse(&format!("s{n}"), "select 1 as a"));
    client.exchange(&[names.collect::<Vec<u8>>(), sync()].concat());
    client.ok("prepare q as select 1 as c");
    client.close();
    let mut client = scene.client();
    client.exchange(&[parse("s7", "select 1 as b"), sync()].concat());
    client.exchange(&run_prepared("s7", &[]));
    client.exchange(&[parse("new", "select 1 as d"), sync()].concat());
    client.exchange(&run_prepared("new", &[]));
    assert_eq!(client.fails("execute q").sqlstate(), "26000");
    scene.assert_calls("select $1 as b", 1);
    scene.assert_calls("select $1 as d", 1);
    assert_eq!(scene.cell("select $1 as a", "calls"), "");
    assert_eq!(scene.cell("select $1 as c", "errors"), "");
}

#[test]
fn long_names_cost_no_more_than_postgresql_keeps_of_them() {
    only_pgweir!();
    let scene = Scene::new(|bouncer| bouncer);
    let mut client = scene.client();
    client.ok("begin");
    client.exchange(&[parse("s", "select 1 as a"), sync()].concat());
    let before = scene.bouncer.peak_rss_kb();
    let tail = "x".repeat(60_000);
    for at in 0..1500 {
        client.exchange(&[bind(&format!("p{at}{tail}"), "s", &[]), sync()].concat());
    }
    let grown = scene.bouncer.peak_rss_kb() - before;
    assert!(grown < 20 << 10, "{grown} kB");
    let kept = &format!("p7{tail}")[..63];
    client.exchange(&[execute(kept, 0), sync()].concat());
    client.ok("commit");
    scene.assert_calls("select $1 as a", 1);
}

#[test]
fn portals_that_nobody_runs_cost_no_texts() {
    only_pgweir!();
    let scene = Scene::new(|bouncer| bouncer.set("max_prepared_statements", 100));
    let mut client = scene.client();
    client.ok("begin");
    let sql = format!("select 1 as a /* {} */", "x".repeat(60_000));
    client.exchange(&[parse("s", &sql), sync()].concat());
    let before = scene.bouncer.peak_rss_kb();
    for at in 0..1500 {
        client.exchange(&[bind(&format!("p{at}"), "s", &[]), sync()].concat());
    }
    let grown = scene.bouncer.peak_rss_kb() - before;
    assert!(grown < 20 << 10, "{grown} kB");
    client.exchange(&[execute("p1400", 0), sync()].concat());
    client.ok("commit");
    client.exchange(&run_prepared("s", &[]));
    scene.assert_calls("select $1 as a", 2);
}

#[test]
fn a_name_with_line_breaks_forges_no_line_of_the_log() {
    only_pgweir!();
    let scene = Scene::new(|bouncer| bouncer.own("slow_statement_ms", 200));
    let mut client = scene.client();
    client.ok("select pg_sleep(3) as \"a\nFORGED\rline\"");
    crate::assert_soon!(scene.bouncer.logged("no longer slow") > 0, "the flag ends");
    let log = scene.bouncer.log();
    assert!(log.contains("FORGED"), "the text is told");
    let is_forged = |line: &str| line.starts_with("FORGED") || line.starts_with("line");
    assert!(!log.split(['\n', '\r']).any(is_forged), "{log}");
}
