//! Whose statement an answer is: every statement is counted once, where it belongs (insight.md 4).

use std::collections::BTreeMap;

use crate::only_pgweir;
use crate::support::frames::{
    bind, close, copy_data, copy_done, describe, execute, extended, flush, parse, query,
    run_prepared, sync,
};
use crate::support::{Bouncer, Pg, RawClient, Running};

/// Calls, errors and rows of one group.
type Count = (i64, i64, i64);

struct Scene {
    bouncer: Running,
    database: String,
}

impl Scene {
    fn new() -> Self {
        let pg = Pg::shared();
        Self {
            database: pg.database(),
            bouncer: Bouncer::new(pg).pool_size(2).start(),
        }
    }

    fn client(&self) -> RawClient {
        self.bouncer.client_of(&self.database)
    }

    /// Every group by its text.
    fn counts(&self) -> BTreeMap<String, Count> {
        let command = format!("show statements for {} limit 100000", self.database);
        let shown = self.bouncer.show(&command);
        let count = |row: &crate::support::Row<'_>| {
            let ended = row.number("calls") + row.number("errors");
            let rows = row.get("rows_call").parse::<f64>().unwrap_or(0.0) * ended as f64;
            (
                row.number("calls"),
                row.number("errors"),
                rows.round() as i64,
            )
        };
        shown
            .table()
            .map(|row| (row.get("query").to_owned(), count(&row)))
            .collect()
    }

    /// What there is besides the groups named.
    fn assert_counts(&self, expected: &[(&str, Count)]) {
        let expected: BTreeMap<String, Count> = expected
            .iter()
            .map(|(text, count)| ((*text).to_owned(), *count))
            .collect();
        assert_eq!(self.counts(), expected);
    }

    /// Codes of the errors of a group.
    fn whole(&self, text: &str) -> String {
        let command = format!("show statements for {} limit 100000", self.database);
        let shown = self.bouncer.show(&command);
        let row = shown.table().find(|row| row.get("query") == text);
        let fingerprint = row.expect("a group").get("fingerprint").to_owned();
        let shown = self
            .bouncer
            .show(&format!("show statement '{fingerprint}'"));
        let cells = shown.rows.iter().flatten().flatten();
        cells.map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn each_statement_of_a_query_is_counted_on_its_own() {
    only_pgweir!();
    let scene = Scene::new();
    let mut client = scene.client();
    client.query("select 1 as a; select 2, 3 as b;; select n from generate_series(1,5) n");
    client.query("SELECT  7 AS a -- again");
    scene.assert_counts(&[
        ("select $1 as a", (2, 0, 2)),
        ("select $1, $2 as b", (1, 0, 1)),
        ("select n from generate_series($1, $2) n", (1, 0, 5)),
        (
            "(pipeline) select $1 as a; select $1, $2 as b; select n from generate_series($1, $2) n",
            (1, 0, 0),
        ),
    ]);
}

#[test]
fn what_follows_an_error_in_a_query_never_ran() {
    only_pgweir!();
    let scene = Scene::new();
    let mut client = scene.client();
    client.query("select 1 as a; select 1/0 as b; select 1 as c");
    client.ok("select 2 as a");
    let counts = scene.counts();
    assert_eq!(counts["select $1 as a"], (2, 0, 2));
    assert_eq!(counts["select $1 / $2 as b"], (0, 1, 0));
    assert!(!counts.contains_key("select $1 as c"), "{counts:?}");
    assert!(scene.whole("select $1 / $2 as b").contains("22012"));
}

#[test]
fn an_error_in_a_pipeline_skips_up_to_sync() {
    only_pgweir!();
    let scene = Scene::new();
    let mut client = scene.client();
    let step = |sql: &str| [parse("", sql), bind("", "", &[]), execute("", 0)].concat();
    client.exchange(
        &[
            step("select 1 as a"),
            step("select 1/0 as b"),
            step("select 1 as c"),
            sync(),
        ]
        .concat(),
    );
    client.exchange(&[step("select 1 as c"), sync()].concat());
    let counts = scene.counts();
    assert_eq!(counts["select $1 as a"], (1, 0, 1));
    assert_eq!(counts["select $1 / $2 as b"], (0, 1, 0));
    assert_eq!(counts["select $1 as c"], (1, 0, 1));
}

#[test]
fn two_syncs_in_one_write_are_two_requests() {
    only_pgweir!();
    let scene = Scene::new();
    let mut client = scene.client();
    let bytes = [
        extended("select 1 as a", &[]),
        extended("select 1/0 as b", &[]),
        extended("select 2 as a", &[]),
    ]
    .concat();
    client.put(&bytes);
    for _ in 0..3 {
        client.until_ready();
    }
    let counts = scene.counts();
    assert_eq!(counts["select $1 as a"], (2, 0, 2));
    assert_eq!(counts["select $1 / $2 as b"], (0, 1, 0));
}

#[test]
fn a_portal_fetched_in_portions_is_one_call() {
    only_pgweir!();
    let scene = Scene::new();
    let mut client = scene.client();
    for (name, statement) in [("", ""), ("p", "s")] {
        let bytes = [
            parse(statement, "select n from generate_series(1, $1::int) n"),
            bind(name, statement, &["10"]),
            execute(name, 3),
            execute(name, 4),
            execute(name, 0),
            close(b'P', name),
            sync(),
        ]
        .concat();
        let reply = client.exchange(&bytes);
        assert_eq!(reply.rows.len(), 10);
    }
    scene.assert_counts(&[("select n from generate_series($2, $1::int) n", (2, 0, 20))]);
}

#[test]
fn an_execute_belongs_to_its_parse() {
    only_pgweir!();
    let scene = Scene::new();
    let mut one = scene.client();
    let mut other = scene.client();
    one.exchange(&[parse("s", "select 1 as a"), sync()].concat());
    other.exchange(&[parse("s", "select 2, 3 as b"), sync()].concat());
    for _ in 0..3 {
        one.exchange(&run_prepared("s", &[]));
        other.exchange(&run_prepared("s", &[]));
    }
    let both = [
        parse("", "select 1 as a"),
        parse("t", "select 2, 3 as b"),
        bind("x", "", &[]),
        bind("y", "t", &[]),
        execute("y", 0),
        execute("x", 0),
        execute("y", 0),
        sync(),
    ]
    .concat();
    one.exchange(&both);
    let counts = scene.counts();
    assert_eq!(counts["select $1 as a"], (4, 0, 4));
    assert_eq!(counts["select $1, $2 as b"], (4, 0, 4));
}

#[test]
fn errors_of_parse_and_bind_are_the_statements() {
    only_pgweir!();
    let scene = Scene::new();
    let mut client = scene.client();
    let good = extended("select $1::int as a", &["1"]);
    client.exchange(&good);
    client.exchange(&extended("select $1::int as a", &["no number"]));
    client.exchange(&[parse("", "select nothing from nowhere"), sync()].concat());
    client.exchange(&[parse("", "selec t"), describe(b'S', ""), sync()].concat());
    scene.assert_counts(&[
        ("select $1::int as a", (1, 1, 1)),
        ("(error:42xxx)", (0, 1, 0)),
        ("(error:42601)", (0, 1, 0)),
    ]);
    assert!(scene.whole("select $1::int as a").contains("22P02"));
}

#[test]
fn a_commit_that_fails_at_sync_is_the_last_statements_error() {
    only_pgweir!();
    let scene = Scene::new();
    let mut client = scene.client();
    client
        .ok("create table d (a int primary key, b int references d deferrable initially deferred)");
    client.exchange(&extended("insert into d values (1, 7)", &[]));
    let counts = scene.counts();
    assert_eq!(counts["insert into d values ($1, $2)"], (0, 1, 1));
    assert!(
        scene
            .whole("insert into d values ($1, $2)")
            .contains("23503")
    );
}

#[test]
fn an_execute_of_sql_counts_for_the_statement_it_names() {
    only_pgweir!();
    let scene = Scene::new();
    let mut client = scene.client();
    client.ok("begin");
    client.ok("prepare Q (int) as select $1 + 1 as a");
    client.ok("execute q (1)");
    client.ok("execute \"q\" (2)");
    client.ok("deallocate q");
    client.ok("commit");
    let counts = scene.counts();
    assert_eq!(
        counts.get("select $1 + $2 as a"),
        Some(&(2, 0, 2)),
        "{counts:?}"
    );
}

#[test]
fn copy_counts_its_rows_both_ways() {
    only_pgweir!();
    let scene = Scene::new();
    let mut client = scene.client();
    client.ok("create table t (n int)");
    client.put(&query("copy t from stdin"));
    client.until(b'G');
    client.exchange(&[copy_data(b"1\n2\n"), copy_data(b"3\n"), copy_done()].concat());
    client.ok("copy t to stdout");
    let extended = [
        parse("", "copy t from stdin"),
        bind("", "", &[]),
        execute("", 0),
        copy_data(b"4\n"),
        copy_done(),
        sync(),
    ]
    .concat();
    client.exchange(&extended);
    scene.assert_counts(&[
        ("create table t(n int)", (1, 0, 0)),
        ("copy t from stdin", (2, 0, 4)),
        ("copy t to stdout", (1, 0, 3)),
    ]);
}

#[test]
fn cursors_notices_and_nothing_at_all() {
    only_pgweir!();
    let scene = Scene::new();
    let mut client = scene.client();
    client.ok("begin");
    client.ok("declare c cursor for select n from generate_series(1,10) n");
    client.ok("fetch 4 from c");
    client.ok("move 2 in c");
    client.ok("fetch 100 from c");
    client.ok("close c");
    client.ok("commit");
    client.ok("do $$ begin raise notice 'first'; end $$");
    client.query("");
    client.query(" -- nothing\n ;; ");
    client.exchange(&extended("", &[]));
    let counts = scene.counts();
    assert_eq!(counts["fetch $1 from $2"], (2, 0, 8));
    assert_eq!(counts["(empty)"], (3, 0, 0));
    assert_eq!(counts["do $1"], (1, 0, 0));
    assert_eq!(counts["begin"], (1, 0, 0));
    assert_eq!(counts["commit"], (1, 0, 0));
}

/// A value of SHOW STATEMENT for the cursor whose statement holds `words`; empty without one.
fn of_cursor(scene: &Scene, words: &str, name: &str) -> String {
    let all = scene.bouncer.show("show statements limit all");
    let fingerprint = all.cell("fingerprint", |row| {
        row.get("query").starts_with("declare") && row.get("query").contains(words)
    });
    let command = format!("show statement '{}'", fingerprint.expect("a group"));
    let shown = scene.bouncer.show(&command);
    let value = shown.cell("value", |row| row.get("name") == name);
    value.unwrap_or_default()
}

#[test]
fn what_is_fetched_is_told_of_the_cursors_statement() {
    only_pgweir!();
    let scene = Scene::new();
    let mut client = scene.client();
    let told = |what: &str| ["fetches", "fetched_rows"].map(|name| of_cursor(&scene, what, name));
    client.ok(
        "begin; declare \"C\" cursor for select n as in_one_text from generate_series(1, 50) n; \
         fetch 20 from \"C\"; move 5 in \"C\"",
    );
    client.ok("fetch 10 from \"C\"; close \"C\"");
    client.fails("fetch 1 from \"C\"");
    client.ok("rollback");
    assert_eq!(told("in_one_text"), ["3", "30"]);
    client.ok("begin");
    client.exchange(&extended(
        "declare d cursor for select 7 as in_a_parse",
        &[],
    ));
    client.exchange(&extended("fetch all from D", &[]));
    client.ok("commit");
    assert_eq!(told("in_a_parse"), ["1", "1"]);
    client.ok("declare h cursor with hold for select n as held from generate_series(1, 5) n");
    client.ok("fetch 2 from h");
    client.ok("begin; close h; declare h cursor for select 1 as another; rollback");
    client.fails("fetch 2 from h");
    assert_eq!(told("as held"), ["1", "2"]);
    assert_eq!(told("as another"), ["", ""]);
}

#[test]
fn a_function_body_is_not_split() {
    only_pgweir!();
    let scene = Scene::new();
    let mut client = scene.client();
    let create = "create function f() returns int begin atomic select 1; select 2; end";
    client.query(&format!("{create}; select f() as a"));
    let counts = scene.counts();
    assert_eq!(counts["select f() as a"], (1, 0, 1));
    let calls: i64 = counts.values().map(|count| count.0).sum();
    // The two and the group that has their common time, where there is one.
    assert!((2..=3).contains(&calls), "{counts:?}");
}

#[test]
fn a_cancelled_statement_is_an_error_of_its_own() {
    only_pgweir!();
    let scene = Scene::new();
    let client = scene.client();
    let cancel = client.canceller();
    let (_client, reply) = {
        let running = client.spawn("select pg_sleep(60) as a");
        let asked = format!(
            "select count(*) from pg_stat_activity where state = 'active' and datname = '{}' \
             and query like 'select pg_sleep(60)%'",
            scene.database
        );
        crate::assert_soon!(Pg::shared().ask(&asked) == "1", "a running statement");
        cancel();
        running.join().expect("an answer")
    };
    assert_eq!(reply.error().sqlstate(), "57014");
    scene.assert_counts(&[("select pg_sleep($1) as a", (0, 1, 0))]);
    assert!(scene.whole("select pg_sleep($1) as a").contains("57014"));
}

#[test]
fn what_pgweir_sends_itself_is_nobodys() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .pool_size(1)
        .set("server_check_delay", 0)
        .set("server_check_query", "select 'checked'")
        .start();
    let scene = Scene { bouncer, database };
    for zone in ["UTC", "Asia/Tokyo", "Europe/Brussels"] {
        let mut client = scene
            .bouncer
            .login()
            .database(&scene.database)
            .parameter("TimeZone", zone)
            .connect();
        assert_eq!(client.one("show timezone"), zone);
        client.exchange(&[parse("s", "select 1 as a"), sync()].concat());
        client.exchange(&run_prepared("s", &[]));
    }
    scene.assert_counts(&[("show timezone", (3, 0, 0)), ("select $1 as a", (3, 0, 3))]);
}

#[test]
fn a_text_in_pieces_is_the_same_text() {
    only_pgweir!();
    let scene = Scene::new();
    let mut client = scene.client();
    let sql = "select 'it''s; one' as a, $$;$$ as b /* x */; select 2 as c";
    client.query(sql);
    let whole = scene.counts();
    for frame in [query(sql), query(sql)] {
        for byte in frame {
            client.put(&[byte]);
        }
        client.until_ready();
    }
    let in_pieces = scene.counts();
    assert_eq!(
        in_pieces.keys().collect::<Vec<_>>(),
        whole.keys().collect::<Vec<_>>()
    );
    assert_eq!(in_pieces["select $1 as c"], (3, 0, 3));
}

#[test]
fn lists_of_any_length_are_one_statement() {
    only_pgweir!();
    let scene = Scene::new();
    let mut client = scene.client();
    for length in [2, 3, 100, 5_000, 200_000] {
        let ids: Vec<String> = (0..length).map(|n| n.to_string()).collect();
        let sql = format!("select 1 as a where 1 in ({})", ids.join(","));
        assert_eq!(client.one(&sql), "1");
        assert_eq!(client.exchange(&extended(&sql, &[])).one(), "1");
    }
    let counts = scene.counts();
    let total: i64 = counts.values().map(|count| count.0).sum();
    assert_eq!(total, 10, "{counts:?}");
    // Beyond 64 KiB only the first part of a text counts: one group more, whatever the length.
    assert!(counts.len() <= 2, "{counts:?}");
}

#[test]
fn a_flushed_pipeline_is_counted_without_its_sync() {
    only_pgweir!();
    let scene = Scene::new();
    let mut client = scene.client();
    let step = [
        parse("", "select 1 as a"),
        bind("", "", &[]),
        execute("", 0),
        flush(),
    ]
    .concat();
    for _ in 0..100 {
        client.put(&step);
        client.until(b'C');
    }
    client.exchange(&sync());
    scene.assert_counts(&[("select $1 as a", (100, 0, 100))]);
}

#[test]
fn insight_off_counts_nothing_and_passes_everything() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).own("insight", 0).start();
    let scene = Scene { bouncer, database };
    let mut client = scene.client();
    assert_eq!(client.one("select 1"), "1");
    assert_eq!(client.exchange(&extended("select 2", &[])).one(), "2");
    let shown = scene.bouncer.console().query("show statements");
    assert!(shown.error().text().contains("insight = 0"));
    scene.bouncer.reload(|bouncer| bouncer.own("insight", 1));
    crate::assert_soon!(
        {
            client.one("select 3 as a");
            let shown = scene.bouncer.console().query("show statements");
            shown
                .rows
                .iter()
                .flatten()
                .flatten()
                .any(|cell| cell == "select $1 as a")
        },
        "statements counted"
    );
}

#[test]
fn an_unnamed_parse_sent_again_is_the_same_statement() {
    only_pgweir!();
    let scene = Scene::new();
    let mut client = scene.client();
    let mut run = |sql: &str| client.exchange(&extended(sql, &[]));
    for sql in [
        "select 1 as again",
        "select 1 as again",
        "select nowhere",
        "select 1 as again",
        "set work_mem = '7MB'",
        "set work_mem = '7MB'",
        "select 1 as again",
    ] {
        run(sql);
    }
    assert_eq!(run("show work_mem").one(), "7MB");
    client.ok("select 1 as again");
    let counts = scene.counts();
    assert_eq!(counts["select $1 as again"], (5, 0, 5));
    assert_eq!(counts["set work_mem = $1"], (2, 0, 0));
    let errors: i64 = counts.values().map(|(_, errors, _)| errors).sum();
    assert_eq!(errors, 1, "{counts:?}");
}

#[test]
fn a_statement_in_pieces_has_its_own_text_and_no_more_time_than_it_took() {
    only_pgweir!();
    let scene = Scene::new();
    let mut client = scene.client();
    client.ok("create table wide (a int, b text)");
    let row = |n: usize| format!("({n}, '{}')", "x".repeat(n % 40));
    let rows: Vec<_> = (0..8000).map(row).collect();
    let insert = format!("\n   insert into wide (a, b) values {}", rows.join(", "));
    assert!(insert.len() > 2 * 64 * 1024);
    let literal = format!("select length('{}') as in_pieces", "y".repeat(100_000));
    let began = std::time::Instant::now();
    for sql in [&insert, &literal] {
        client.ok(sql);
        client.exchange(&extended(sql, &[]));
    }
    let most = began.elapsed().as_secs_f64() * 1e3;
    let shown = scene.bouncer.show("show statements limit all");
    let of = |words: &str, column: &str| {
        let found = shown.cell(column, |row| row.get("query").starts_with(words));
        found.unwrap_or_default()
    };
    assert_eq!(of("insert into wide (a, b) values", "calls"), "2");
    for words in [
        "insert into wide (a, b) values ($1, $2) /*, ... */ /* truncated */",
        "select",
    ] {
        let fingerprint = of(words, "fingerprint");
        let whole = scene
            .bouncer
            .show(&format!("show statement '{fingerprint}'"));
        let value = |name: &str| {
            let cell = whole.cell("value", |row| row.get("name") == name);
            cell.and_then(|text| text.parse::<f64>().ok())
                .expect("a number")
        };
        assert!(
            value("transfer_ms") <= most,
            "{words}: {}",
            value("transfer_ms")
        );
        assert!(value("server_ms") <= most, "{words}");
    }
}
