//! What functions do to the session that calls them (`session_state = strict`): PostgreSQL is asked
//! what they have left, and, once for each statement, whether they may leave anything at all.

use crate::support::frames::{bind, execute, parse, query, sync};
use crate::support::{Bouncer, Login, Pg, RawClient, Running};
use crate::{assert_soon, only_pgweir};

const TAKES: &str = "create or replace function takes(n int) returns int language plpgsql as \
    'begin perform pg_advisory_lock(n); return n; end'";

/// One server, and a database of its own.
struct Setting {
    bouncer: Running,
    database: String,
}

impl Setting {
    fn new() -> Self {
        let pg = Pg::shared();
        let database = pg.database();
        let bouncer = Bouncer::new(pg).pool_size(1).start();
        Self { bouncer, database }
    }

    fn client(&self) -> RawClient {
        self.bouncer.client_of(&self.database)
    }

    fn pinned(&self) -> usize {
        let reply = self.bouncer.show("show clients");
        let rows = reply.table();
        rows.filter(|row| row.get("state") == "pinned").count()
    }

    /// How often a server was given its settings anew because of a function.
    fn suspected(&self) -> f64 {
        let metrics = self.bouncer.http("/metrics");
        let lines = metrics
            .lines()
            .filter(|line| line.starts_with("pgweir_suspect_servers_total"));
        let mine = lines.filter(|line| line.contains("reason=\"function\""));
        mine.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}

#[test]
fn a_function_is_asked_about_however_it_is_called() {
    only_pgweir!();
    let setting = Setting::new();
    let mut client = setting.client();
    client.ok(TAKES);
    let ways: [(&str, Vec<u8>); 3] = [
        (
            "unnamed",
            [
                parse("", "select takes(91)"),
                bind("", "", &[]),
                execute("", 0),
                sync(),
            ]
            .concat(),
        ),
        (
            "named",
            [
                parse("s", "select takes(91)"),
                bind("", "s", &[]),
                execute("", 0),
                sync(),
            ]
            .concat(),
        ),
        ("text", query("prepare p as select takes(91); select 1")),
    ];
    for (way, bytes) in ways {
        client.put(&bytes);
        client.until_ready();
        if way == "text" {
            client.ok("execute p");
        }
        assert_soon!(setting.pinned() == 1, "{way}");
        client.query("discard all");
        assert_soon!(setting.pinned() == 0, "{way}");
    }
}

#[test]
fn functions_that_leave_nothing_make_nobody_suspect() {
    only_pgweir!();
    let setting = Setting::new();
    let mut client = setting.client();
    client.ok("create function twice(n int) returns int immutable language sql as 'select 2 * n'");
    client.ok("create function counts() returns int language plpgsql as \
               'declare n int; begin -- set nothing
                update seen set n = seen.n + 1 returning seen.n into n; return twice(n); end'");
    client.ok("create table seen (n int); insert into seen values (0)");
    client.ok("create function sets() returns int language plpgsql as \
               'begin set work_mem = ''9MB''; return 1; end'");
    client.ok("create function hides_it() returns int language sql as 'select sets()'");
    let mut calls = || {
        let before = setting.suspected();
        for _ in 0..5 {
            client.ok("select twice(1)");
            client.ok("select counts()");
        }
        setting.suspected() == before
    };
    assert_soon!(calls(), "once it is known what they do, nobody is suspect");
    assert!(calls(), "and it stays so");
    let before = setting.suspected();
    for _ in 0..3 {
        client.ok("select hides_it()");
        assert_eq!(setting.client().one("show work_mem"), "4MB");
    }
    assert!(setting.suspected() >= before + 3.0);
}

#[test]
fn a_function_of_a_known_extension_leaves_nothing() {
    only_pgweir!();
    let setting = Setting::new();
    let mut client = setting.client();
    client.ok("create extension pg_trgm");
    let mut calls = || {
        let before = setting.suspected();
        (0..5).for_each(|_| drop(client.ok("select similarity('a', 'b')")));
        setting.suspected() == before
    };
    assert_soon!(calls(), "once it is known what it does, nobody is suspect");
    assert!(calls(), "and it stays so");
    // This one of the same extension sets a parameter.
    client.ok("select set_limit(0.9)");
    client.ok("select set_limit(0.9)");
    let mut other = setting.client();
    assert_eq!(other.one("select show_limit()"), "0.3");
}

#[test]
fn a_default_argument_counts() {
    only_pgweir!();
    let setting = Setting::new();
    let mut client = setting.client();
    client.ok(TAKES);
    client.ok(
        "create function by_default(n int default takes(97)) returns int immutable \
               language sql as 'select n'",
    );
    for _ in 0..2 {
        client.ok("select by_default()");
        assert_soon!(setting.pinned() == 1, "the default takes a lock");
        client.query("discard all");
        assert_soon!(setting.pinned() == 0, "it is given back");
    }
}

#[test]
fn what_a_function_calls_counts_however_deep() {
    only_pgweir!();
    let setting = Setting::new();
    let mut client = setting.client();
    client.ok(TAKES);
    client.ok("create function calls0(n int) returns int language sql as 'select takes(n)'");
    for depth in 1..12 {
        client.ok(&format!(
            "create function calls{depth}(n int) returns int language sql as 'select calls{}(n)'",
            depth - 1
        ));
    }
    client.ok(
        "create function performs(n int) returns int language plpgsql as \
               'begin perform calls0(n); return n; end'",
    );
    for name in ["calls0", "performs", "calls3", "calls11"] {
        for _ in 0..2 {
            client.ok(&format!("select {name}(98)"));
            assert_soon!(setting.pinned() == 1, "{name} takes a lock");
            client.query("discard all");
            assert_soon!(setting.pinned() == 0, "{name} has given it back");
        }
    }
}

#[test]
fn a_function_that_is_replaced_is_asked_about_again() {
    only_pgweir!();
    let setting = Setting::new();
    let (mut client, mut other) = (setting.client(), setting.client());
    client.ok("create function takes(n int) returns int immutable language sql as 'select n'");
    for _ in 0..3 {
        client.ok("select takes(92)");
    }
    assert_eq!(setting.pinned(), 0);
    other.ok(TAKES);
    client.ok("select takes(92)");
    assert_soon!(setting.pinned() == 1, "the new one takes a lock");
}

#[test]
fn an_overload_in_another_schema_counts() {
    only_pgweir!();
    let setting = Setting::new();
    let mut client = setting.client();
    client.ok("create function takes(n int) returns int immutable language sql as 'select n'");
    client.ok("create schema elsewhere");
    client.ok(&TAKES.replace("takes", "elsewhere.takes"));
    client.ok("select takes(93)");
    client.ok("set search_path to elsewhere, public");
    client.ok("select takes(93)");
    assert_soon!(setting.pinned() == 1, "the other one takes a lock");
}

#[test]
fn an_aggregate_is_what_its_functions_are() {
    only_pgweir!();
    let setting = Setting::new();
    let mut client = setting.client();
    client.ok(&TAKES.replace("(n int)", "(s int, n int)"));
    client.ok("create aggregate takes_all(int) (sfunc = takes, stype = int, initcond = 0)");
    client.ok("select takes_all(94)");
    assert_soon!(setting.pinned() == 1, "its function takes a lock");
}

#[test]
fn a_function_that_forgets_every_statement_is_asked_about_all_the_same() {
    only_pgweir!();
    let setting = Setting::new();
    let mut client = setting.client();
    client.ok(TAKES);
    client.ok(
        "create function forgets(n int) returns int language plpgsql as \
               'begin perform pg_advisory_lock(n); deallocate all; return n; end'",
    );
    // The question is prepared on the server.
    client.ok("select takes(95), pg_advisory_unlock(95)");
    assert_eq!(setting.pinned(), 0);
    client.ok("select forgets(95)");
    assert_soon!(setting.pinned() == 1, "it is asked again");
}

#[test]
fn what_cannot_be_asked_about_is_taken_away() {
    only_pgweir!();
    let setting = Setting::new();
    let mut owner = Login::new(Pg::shared().port)
        .user("postgres")
        .database(&setting.database)
        .connect();
    owner.ok("revoke select on pg_locks from public");
    let mut client = setting.client();
    client.ok("create function hides(n int) returns int language plpgsql as \
               'begin perform pg_advisory_lock(n); create temp table hidden (n int); return n; end'");
    client.ok("select hides(96)");
    let mut other = setting.client();
    assert_eq!(other.fails("select * from hidden").sqlstate(), "42P01");
    let locks = "select count(*) from pg_locks where locktype = 'advisory' and objid = 96";
    assert_eq!(owner.one(locks), "0");
}
