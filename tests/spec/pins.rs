//! What really needs one server keeps it, and only for as long: advisory locks of the session,
//! temporary tables, cursors WITH HOLD, LOAD (`max_pins`, `pin_timeout`).

use crate::support::frames::{extended, query};
use crate::support::{Bouncer, Pg, RawClient, Running};
use crate::{assert_soon, only_pgweir};
use std::time::Duration;

/// How many clients keep their server.
fn pinned(bouncer: &Running) -> usize {
    let reply = bouncer.show("show clients");
    reply
        .table()
        .filter(|row| row.get("state") == "pinned")
        .count()
}

fn is_free(bouncer: &Running) -> bool {
    let mut other = bouncer.client();
    other.put(&query("select 1"));
    let is_free = !other.silent_for(Duration::from_millis(600));
    if is_free {
        other.until_ready();
    }
    is_free
}

fn two_servers() -> Running {
    Bouncer::new(Pg::shared())
        .pool_size(1)
        .own("max_pins", 1)
        .start()
}

/// `keep` pins, `work` does not unpin, `free` unpins.
fn keeps_until(keep: &str, work: &str, free: &str) {
    only_pgweir!();
    let bouncer = two_servers();
    let mut client = bouncer.client();
    let backend = client.backend();
    assert!(is_free(&bouncer), "nobody keeps it");
    client.query(keep);
    assert_soon!(pinned(&bouncer) == 1, "{keep} keeps the server");
    assert!(!is_free(&bouncer), "{keep} keeps the server");
    assert_eq!(client.backend(), backend);
    client.query(work);
    assert!(!is_free(&bouncer), "{work} changes nothing");
    assert_eq!(client.backend(), backend);
    client.query(free);
    assert_soon!(pinned(&bouncer) == 0, "{free} gives the server back");
    assert!(is_free(&bouncer), "{free} gives the server back");
}

#[test]
fn an_advisory_lock_keeps_the_server_until_the_last_is_given_back() {
    keeps_until(
        "select pg_advisory_lock(71), pg_advisory_lock(72)",
        "select pg_advisory_unlock(71)",
        "select pg_advisory_unlock(72)",
    );
}

#[test]
fn a_temporary_table_keeps_the_server_until_it_is_dropped() {
    keeps_until(
        "create temp table kept (n int)",
        "insert into kept select 1",
        "drop table kept",
    );
}

#[test]
fn temporary_objects_that_are_no_tables_keep_the_server_too() {
    keeps_until(
        "create function pg_temp.seven() returns int language sql as 'select 7'",
        "select pg_temp.seven()",
        "drop function pg_temp.seven()",
    );
    keeps_until(
        "create type pg_temp.kind as enum ('a')",
        "select 'a'::pg_temp.kind",
        "drop type pg_temp.kind",
    );
}

#[test]
fn discard_all_gives_the_server_back() {
    keeps_until(
        "create temp table kept (n int)",
        "table kept",
        "discard all",
    );
}

#[test]
fn a_cursor_with_hold_keeps_the_server_until_it_is_closed() {
    keeps_until(
        "declare c cursor with hold for select generate_series(1, 10)",
        "fetch 2 from c",
        "close c",
    );
}

#[test]
fn what_ends_with_its_transaction_keeps_nothing() {
    only_pgweir!();
    let bouncer = two_servers();
    let mut client = bouncer.client();
    for sql in [
        "select pg_advisory_xact_lock(73)",
        "begin; create temp table gone (n int) on commit drop; commit",
        "begin; create temp table gone (n int); rollback",
        "select pg_try_advisory_lock(74), pg_advisory_unlock(74)",
    ] {
        client.query(sql);
        assert!(is_free(&bouncer), "{sql}");
        assert_eq!(pinned(&bouncer), 0, "{sql}");
    }
}

#[test]
fn more_pins_than_allowed_are_refused_with_a_reason() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(2)
        .own("max_pins", 1)
        .start();
    let (mut first, mut second) = (bouncer.client(), bouncer.client());
    first.ok("create temp table kept (n int)");
    assert_soon!(pinned(&bouncer) == 1, "the first keeps its server");
    second.put(&query("create temp table kept (n int)"));
    let end = second.end();
    let error = end.errors.last().expect("an error");
    assert_eq!(error.sqlstate(), "08P01");
    assert!(error.text().contains("max_pins"), "{}", error.text());
    assert_eq!(first.one("select count(*) from kept"), "0");
    assert!(is_free(&bouncer), "the refused client's server is not kept");
}

#[test]
fn an_idle_client_that_keeps_its_server_is_closed_after_pin_timeout() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(1)
        .own("pin_timeout", 1)
        .start();
    let mut client: RawClient = bouncer.client();
    client.ok("create temp table kept (n int)");
    let end = client.end();
    let error = end.errors.last().expect("an error");
    assert!(error.text().contains("pin_timeout"), "{}", error.text());
    assert!(is_free(&bouncer), "its server is replaced");
}

#[test]
fn start_values_come_back_on_a_server_that_is_kept() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared()).pool_size(1).start();
    let mut client = bouncer
        .login()
        .parameter("options", "-c TimeZone=Asia/Tokyo -c work_mem=9MB")
        .connect();
    client.ok("create temp table kept (n int)");
    assert_soon!(pinned(&bouncer) == 1, "it keeps the server");
    for sql in ["reset all", "set work_mem to default", "reset timezone"] {
        client.ok("set work_mem to '11MB'");
        client.ok(sql);
        if sql != "reset timezone" {
            assert_eq!(client.one("show work_mem"), "9MB", "{sql}");
        }
        assert_eq!(client.one("show timezone"), "Asia/Tokyo", "{sql}");
    }
}

#[test]
fn what_code_leaves_is_kept_for_its_client_and_nobody_elses() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(2).own("max_pins", 2).start();
    let mut client = bouncer.client_of(&database);
    client.ok("create function hides() returns void language plpgsql as \
               'begin create temp table hidden as select 1 as n; perform pg_advisory_lock(75); end'");
    client.query("select hides()");
    let mut other = bouncer.client_of(&database);
    assert_eq!(other.fails("select * from hidden").sqlstate(), "42P01");
    assert_eq!(other.one("select pg_try_advisory_lock(75)"), "f");
    assert_eq!(client.one("select n from hidden"), "1");
    assert_eq!(client.one("select pg_advisory_unlock(75)"), "t");
    other.query("do 'begin create temp table known as select 1 as n; end'");
    assert_soon!(pinned(&bouncer) == 2, "a DO block is asked about");
    assert_eq!(other.one("select n from known"), "1");
}

/// As `keeps_until`, with functions of the application's own.
fn function_keeps_until(sql: &str, keep: &str, free: &str) {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(1).start();
    let mut client = bouncer.client_of(&database);
    client.ok(sql);
    let backend = client.backend();
    client.query(keep);
    assert_soon!(pinned(&bouncer) == 1, "{keep} keeps the server");
    let mut other = bouncer.client_of(&database);
    other.put(&query("select 1"));
    assert!(other.silent_for(Duration::from_millis(300)), "{keep}");
    assert_eq!(client.backend(), backend);
    client.query(free);
    assert_soon!(pinned(&bouncer) == 0, "{free} gives the server back");
    other.until_ready();
}

const LOCKING: &str = "create function take_it(n int) returns void language plpgsql as \
    'begin perform pg_advisory_lock(n); end'; \
    create function give_it(n int) returns bool language sql as 'select pg_advisory_unlock(n)'";

#[test]
fn a_lock_that_a_function_takes_keeps_the_server_until_one_gives_it_back() {
    function_keeps_until(LOCKING, "select take_it(81)", "select give_it(81)");
    function_keeps_until(
        LOCKING,
        "begin; select take_it(82); select 1; commit",
        "select pg_advisory_unlock(82)",
    );
    function_keeps_until(
        LOCKING,
        "begin; select take_it(83); rollback",
        "discard all",
    );
}

#[test]
fn a_temporary_table_that_a_function_makes_keeps_the_server() {
    function_keeps_until(
        "create function make_it() returns void language plpgsql as \
         'begin create temp table made (n int); end'",
        "select make_it()",
        "drop table made",
    );
}

#[test]
fn a_table_is_temporary_by_the_search_path_too() {
    only_pgweir!();
    let bouncer = two_servers();
    let mut client = bouncer.client();
    client.ok("set search_path to pg_temp, public");
    let ways = [
        query("create table kept (n int)"),
        query("select 1 as n into kept"),
        query("begin; create table kept (n int); commit"),
        extended("create table kept (n int)", &[]),
    ];
    for way in ways {
        client.put(&way);
        client.until_ready();
        assert_soon!(pinned(&bouncer) == 1, "it keeps the server");
        client.ok("drop table kept");
        assert_soon!(pinned(&bouncer) == 0, "it gives the server back");
    }
}

#[test]
fn a_lock_that_goes_from_hand_to_hand_takes_no_second_pin() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(2)
        .own("max_pins", 1)
        .start();
    let worker = || {
        let mut client = bouncer.client();
        for _ in 0..50 {
            client.ok("select pg_advisory_lock(76)");
            client.ok("select pg_advisory_unlock(76)");
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .for_each(|one| one.join().expect("nobody is refused"));
    });
}
