//! What the admin console's commands do (surface 3.3).

use crate::support::frames::query;
use crate::support::{Bouncer, Pg, RawClient, Running};
use crate::{assert_soon, only_pgweir};
use std::time::Duration;

fn start() -> Running {
    Bouncer::new(Pg::shared()).pool_size(2).start()
}

#[test]
fn set_changes_a_setting_until_the_next_reload() {
    let bouncer = start();
    let mut console = bouncer.console();
    assert_eq!(
        console.ok("set query_wait_timeout = 33").tags,
        ["SET query_wait_timeout=33"]
    );
    let value = |bouncer: &Running| {
        bouncer
            .show("show config")
            .cell("value", |row| row.get("key") == "query_wait_timeout")
            .unwrap()
    };
    assert_eq!(value(&bouncer), "33");
    console.ok("set query_wait_timeout to '1.5'");
    assert_eq!(value(&bouncer), "1.5");
    assert_eq!(console.fails("set no_such_key = 1").text(), "SET failed");
    assert_eq!(
        console.fails("set query_wait_timeout = 'abc'").text(),
        "SET failed"
    );
    bouncer.show("reload");
    assert_eq!(value(&bouncer), "120");
}

#[test]
fn pause_waits_for_transactions_and_holds_new_ones_until_resume() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(2).start();
    let (mut busy, mut next) = (bouncer.client_of(&database), bouncer.client_of(&database));
    next.one("select 1");
    busy.ok("begin");
    let mut console = bouncer.console();
    console.put(&query("pause"));
    assert!(
        console.silent_for(Duration::from_millis(500)),
        "a transaction is open"
    );
    next.put(&query("select 'resumed'"));
    busy.ok("commit");
    assert_eq!(console.until_ready().tags, ["PAUSE"]);
    assert!(next.silent_for(Duration::from_millis(300)), "held");
    assert_soon!(pg.backends(&database) == 0, "servers are closed");
    let state = bouncer.show("show state");
    assert_eq!(
        state
            .cell("value", |row| row.get("key") == "paused")
            .unwrap(),
        "yes"
    );
    assert!(console.fails("pause").text().starts_with("already "));
    assert_eq!(console.ok("resume").tags, ["RESUME"]);
    assert_eq!(next.until_ready().one(), "resumed");
    assert!(
        console
            .fails("resume")
            .text()
            .starts_with("pooler is not paused")
    );
}

#[test]
fn pause_of_one_database_leaves_the_others_alone() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = start();
    let mut held = bouncer.client_of(&database);
    held.one("select 1");
    bouncer.show(&format!("pause {database}"));
    held.put(&query("select 'later'"));
    assert!(held.silent_for(Duration::from_millis(300)));
    assert_eq!(bouncer.client().one("select 'others'"), "others");
    let shown = bouncer.show("show databases");
    assert_eq!(
        shown
            .cell("paused", |row| row.get("name") == database)
            .unwrap(),
        "1"
    );
    bouncer.show(&format!("resume {database}"));
    assert_eq!(held.until_ready().one(), "later");
    let error = bouncer.console().fails(&format!("resume {database}"));
    assert_eq!(error.text(), format!("database {database} is not paused"));
}

#[test]
fn reconnect_replaces_servers_at_their_next_release() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(1).start();
    let mut client = bouncer.client_of(&database);
    let idle = client.backend();
    bouncer.show("reconnect");
    assert_soon!(client.backend() != idle, "the idle server was replaced");
    client.ok("begin");
    let busy = client.backend();
    bouncer.show(&format!("reconnect {database}"));
    assert_eq!(client.backend(), busy, "not inside a transaction");
    let mut console = bouncer.console();
    console.put(&query("wait_close"));
    assert!(
        console.silent_for(Duration::from_millis(300)),
        "WAIT_CLOSE waits for it"
    );
    client.ok("commit");
    assert_eq!(console.until_ready().tags, ["WAIT_CLOSE"]);
    assert_ne!(client.backend(), busy);
}

#[test]
fn kill_ends_everybody_of_a_database_and_leaves_it_paused() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = start();
    let mut victim = bouncer.client_of(&database);
    victim.ok("begin");
    let mut other = bouncer.client();
    bouncer.show(&format!("kill {database}"));
    assert_eq!(victim.end().error().text(), "database removed");
    assert_eq!(other.one("select 1"), "1");
    assert_soon!(pg.backends(&database) == 0, "its servers are gone");
    bouncer.show(&format!("resume {database}"));
    assert_eq!(bouncer.client_of(&database).one("select 2"), "2");
}

#[test]
fn a_global_kill_is_undone_by_a_global_resume() {
    // PgBouncer wants a RESUME for each database (surface 8).
    only_pgweir!();
    let bouncer = start();
    let mut victim = bouncer.client();
    victim.ok("begin");
    bouncer.show("kill");
    assert_eq!(victim.end().error().text(), "database removed");
    bouncer.show("resume");
    assert_eq!(bouncer.client().one("select 2"), "2");
}

#[test]
fn kill_client_ends_exactly_that_client() {
    let bouncer = start();
    let login = |name: &str| {
        bouncer
            .login()
            .parameter("application_name", name)
            .connect()
    };
    let (mut victim, mut other) = (login("victim"), login("other"));
    victim.ok("begin");
    let clients = bouncer.show("show clients");
    let id = clients
        .cell("id", |row| row.get("application_name") == "victim")
        .expect("its id");
    assert_eq!(
        bouncer.show(&format!("kill_client {id}")).tags,
        ["KILL_CLIENT"]
    );
    assert_eq!(victim.end().error().text(), "admin forced disconnect");
    assert_eq!(other.one("select 1"), "1");
    assert_eq!(
        bouncer.console().fails("kill_client 999999").text(),
        "client not found"
    );
}

#[test]
fn disable_without_a_name_says_what_is_missing() {
    let bouncer = start();
    let mut console = bouncer.console();
    assert_eq!(console.fails("disable").text(), "a database is required");
    assert_eq!(console.fails("enable").text(), "a database is required");
}

#[test]
fn shutdown_ends_at_once() {
    let bouncer = start();
    let mut client = bouncer.client();
    client.ok("begin");
    let mut console = bouncer.console();
    console.put(&query("shutdown"));
    assert!(console.end().errors.is_empty());
    assert!(bouncer.exit().success());
    assert_eq!(client.end().status, 0);
}

#[test]
fn shutdown_wait_for_clients_serves_who_is_in_to_the_end() {
    let bouncer = start();
    let mut client = bouncer.client();
    bouncer.show("shutdown wait_for_clients");
    for _ in 0..3 {
        assert_eq!(client.one("select 1"), "1");
    }
    assert!(bouncer.login().try_connect().is_err(), "nobody new");
    client.close();
    assert!(bouncer.exit().success());
}

#[test]
fn shutdown_wait_for_servers_ends_when_transactions_have() {
    let bouncer = start();
    let (mut busy, mut idle) = (bouncer.client(), bouncer.client());
    idle.one("select 1");
    busy.ok("begin");
    let mut console: RawClient = bouncer.console();
    console.put(&query("shutdown wait_for_servers"));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(idle.fails("select 2").text(), "server shutting down");
    assert_eq!(busy.one("select 'still here'"), "still here");
    busy.ok("commit");
    assert!(bouncer.exit().success());
}
