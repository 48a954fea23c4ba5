//! Nested transactions of one process: it waits for a server which only itself would give back
//! (ours; PgBouncer waits for query_wait_timeout).

use crate::support::frames::query;
use crate::support::{Bouncer, Pg, RawClient, Running};
use crate::{assert_soon, only_pgweir};
use std::time::Duration;

/// Longer than it takes to be sure of an error.
const LONG: Duration = Duration::from_millis(2500);

/// A client of the process that this name stands for.
fn of(bouncer: &Running, name: &str) -> RawClient {
    bouncer
        .login()
        .parameter("application_name", name)
        .connect()
}

/// The same, idle in its transaction.
fn inside(bouncer: &Running, name: &str) -> RawClient {
    let mut client = of(bouncer, name);
    client.ok("begin");
    client.one("select 1");
    client
}

fn asks(client: &mut RawClient) {
    client.put(&query("select 'served'"));
}

fn is_served(client: &mut RawClient) {
    assert_eq!(client.until_ready().one(), "served");
}

fn nested(bouncer: &Running, result: &str) -> bool {
    bouncer.http("/metrics").lines().any(|line| {
        line.starts_with("pgweir_nested_transactions_total{")
            && line.contains(&format!("result=\"{result}\""))
            && line.ends_with(" 1")
    })
}

#[test]
fn the_reserve_is_opened_at_once_for_a_process_that_waits_for_itself() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(1)
        .set("reserve_pool_size", 1)
        .set("reserve_pool_timeout", 600)
        .start();
    let mut outer = inside(&bouncer, "odoo-4711");
    // Somebody else waits in front; what the process needs is for the process.
    let mut stranger = of(&bouncer, "psql");
    asks(&mut stranger);
    assert!(stranger.silent_for(Duration::from_millis(400)));
    let mut inner = of(&bouncer, "odoo-4711");
    asks(&mut inner);
    is_served(&mut inner);
    assert_soon!(nested(&bouncer, "reserve"), "counted");
    is_served(&mut stranger);
    outer.ok("commit");
}

#[test]
fn without_a_reserve_the_error_names_it() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(2)
        .own("nested_transactions_ms", 1000)
        .start();
    let mut outer = inside(&bouncer, "odoo-4711");
    let mut other = inside(&bouncer, "odoo-12");
    let mut inner = of(&bouncer, "odoo-4711");
    asks(&mut inner);
    let reply = inner.end();
    let error = reply.error();
    assert_eq!((error.severity(), error.sqlstate()), ("FATAL", "53300"));
    assert!(
        error.text().starts_with("nested transactions: "),
        "{error:?}"
    );
    assert_soon!(nested(&bouncer, "error"), "counted");
    // Nobody else is touched.
    other.ok("commit");
    outer.one("select 1");
    outer.ok("commit");
    assert_eq!(of(&bouncer, "odoo-4711").one("select 1"), "1");
}

#[test]
fn the_kernel_names_the_process_on_a_unix_socket() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared()).pool_size(1).start();
    let dir = bouncer.dir();
    let connect = |name: &str| {
        let login = bouncer.login().unix(&dir);
        login.parameter("application_name", name).connect()
    };
    let mut outer = connect("shop");
    outer.ok("begin");
    outer.one("select 1");
    let mut other = connect("other");
    asks(&mut other);
    assert!(other.silent_for(LONG), "of another name");
    let mut inner = connect("shop");
    asks(&mut inner);
    assert_eq!(inner.end().error().sqlstate(), "53300");
    outer.ok("commit");
    is_served(&mut other);
}

#[test]
fn workers_that_share_a_name_may_think_for_seconds() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared()).pool_size(1).start();
    let mut outer = inside(&bouncer, "odoo-4711");
    let mut inner = of(&bouncer, "odoo-4711");
    asks(&mut inner);
    assert!(inner.silent_for(LONG), "it may be another worker");
    outer.ok("commit");
    is_served(&mut inner);
}

#[test]
fn another_process_waits_as_ever() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(1)
        .own("nested_transactions_ms", 1000)
        .start();
    for (holds, waits) in [("odoo-1", "odoo-2"), ("odoo", "odoo"), ("", "")] {
        let mut outer = inside(&bouncer, holds);
        let mut inner = of(&bouncer, waits);
        asks(&mut inner);
        assert!(inner.silent_for(LONG), "{holds} {waits}");
        outer.ok("commit");
        is_served(&mut inner);
    }
}

#[test]
fn a_server_that_is_at_work_may_come_back() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(2)
        .own("nested_transactions_ms", 1000)
        .start();
    let mut outer = inside(&bouncer, "odoo-7");
    let mut busy = of(&bouncer, "psql");
    busy.put(&query("select pg_sleep(4)"));
    let mut inner = of(&bouncer, "odoo-7");
    asks(&mut inner);
    assert!(inner.silent_for(LONG), "one server is at work");
    busy.until_ready();
    is_served(&mut inner);
    outer.ok("commit");
}

#[test]
fn a_process_that_does_something_else_too_may_end_its_transaction() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(1)
        .own("nested_transactions_ms", 1000)
        .start();
    let mut outer = inside(&bouncer, "odoo-7");
    let mut first = of(&bouncer, "odoo-7");
    let mut second = of(&bouncer, "odoo-7");
    asks(&mut first);
    asks(&mut second);
    assert!(first.silent_for(LONG), "two threads wait: a third may work");
    outer.ok("commit");
    is_served(&mut first);
    is_served(&mut second);
}

#[test]
fn it_can_be_switched_off() {
    only_pgweir!();
    for (setting, reserve) in [("wait", 1), ("reserve", 0)] {
        let bouncer = Bouncer::new(Pg::shared())
            .pool_size(1)
            .set("reserve_pool_size", reserve)
            .set("reserve_pool_timeout", 600)
            .own("nested_transactions", setting)
            .own("nested_transactions_ms", 1000)
            .start();
        let mut outer = inside(&bouncer, "odoo-7");
        let mut inner = of(&bouncer, "odoo-7");
        asks(&mut inner);
        assert!(inner.silent_for(LONG), "{setting}");
        outer.ok("commit");
        is_served(&mut inner);
    }
}
