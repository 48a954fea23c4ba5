//! Session and statement mode, alone and beside transaction mode.

use crate::assert_soon;
use crate::support::frames::query;
use crate::support::{Bouncer, Pg};
use std::time::Duration;

#[test]
fn session_mode_keeps_the_server_until_the_client_leaves() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_mode("session")
        .pool_size(1)
        .start();
    let mut a = bouncer.client();
    let backend = a.backend();
    let mut b = bouncer.client();
    b.put(&query("select pg_backend_pid()"));
    assert!(b.silent_for(Duration::from_millis(400)));
    a.ok("create temp table mine (n int)");
    a.ok("insert into mine values (1)");
    assert_eq!(a.one("select n from mine"), "1");
    a.close();
    assert_eq!(
        b.until_ready().one(),
        backend.to_string(),
        "the same server, after a reset"
    );
}

#[test]
fn session_mode_cleans_the_server_for_the_next_client() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_mode("session")
        .pool_size(1)
        .start();
    let mut a = bouncer.client();
    a.ok("create temp table leftover (n int)");
    a.ok("set work_mem to '77MB'");
    a.ok("prepare leftover as select 1");
    a.ok("select pg_advisory_lock(77)");
    a.close();
    let mut b = bouncer.client();
    assert_eq!(
        b.one("select count(*) from pg_class where relname = 'leftover'"),
        "0"
    );
    assert_ne!(b.one("show work_mem"), "77MB");
    assert_eq!(b.one("select count(*) from pg_prepared_statements"), "0");
    assert_eq!(
        b.one("select count(*) from pg_locks where locktype = 'advisory'"),
        "0"
    );
}

#[test]
fn session_mode_delivers_notifications_to_an_idle_client() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_mode("session")
        .pool_size(2)
        .start();
    let (mut listener, mut sender) = (bouncer.client(), bouncer.client());
    listener.ok("listen session_bell");
    sender.ok("notify session_bell, 'ding'");
    let reply = listener.until(b'A');
    assert!(reply.kinds.ends_with('A'), "{reply:?}");
}

#[test]
fn a_client_that_leaves_mid_transaction_costs_its_server_in_session_mode_too() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_mode("session")
        .pool_size(1)
        .start();
    let mut a = bouncer.client();
    a.ok("begin");
    let backend = a.backend();
    a.close();
    assert_ne!(bouncer.client().backend(), backend);
}

#[test]
fn server_reset_query_always_cleans_in_transaction_mode_too() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(1)
        .set("server_reset_query_always", 1)
        .own("session_state", "pgbouncer")
        .start();
    let mut client = bouncer.client();
    client.ok("set work_mem to '77MB'");
    assert_ne!(client.one("show work_mem"), "77MB");
}

#[test]
fn statement_mode_refuses_transactions() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_mode("statement")
        .pool_size(1)
        .start();
    let (mut a, mut b) = (bouncer.client(), bouncer.client());
    assert_eq!(a.one("select 1"), "1");
    assert_eq!(b.one("select 2"), "2");
    let refused = a.query("begin");
    let after = a.end();
    let mut texts = refused
        .errors
        .iter()
        .chain(&after.errors)
        .map(|error| error.text());
    assert!(texts.any(|text| text == "transaction blocks not allowed in statement pooling mode"));
    assert_eq!(b.one("select 3"), "3");
}

#[test]
fn each_database_may_have_its_own_mode() {
    // As Odoo's operators do for the bus: `postgres` in session mode beside the rest.
    let pg = Pg::shared();
    let line = format!(
        "postgres = host=127.0.0.1 port={} pool_mode=session",
        pg.port
    );
    let bouncer = Bouncer::new(pg).database(line).pool_size(1).start();
    let mut bus = bouncer.client_of("postgres");
    bus.ok("listen imbus");
    let (mut a, mut b) = (bouncer.client(), bouncer.client());
    assert_eq!(a.backend(), b.backend());
    let mut direct = pg.admin();
    direct.ok("select 1");
    let mut in_postgres = crate::support::Login::new(pg.port)
        .database("postgres")
        .connect();
    in_postgres.ok("select pg_notify('imbus', 'hello')");
    assert!(bus.until(b'A').kinds.ends_with('A'));
    let pools = bouncer.show("show pools");
    let mode = |name: &str| {
        pools
            .cell("pool_mode", |row| row.get("database") == name)
            .unwrap()
    };
    assert_eq!(
        (mode("postgres").as_str(), mode("app").as_str()),
        ("session", "transaction")
    );
}

#[test]
fn the_mode_of_a_user_counts_before_the_databases() {
    let bouncer = Bouncer::new(Pg::shared())
        .user("other = pool_mode=session")
        .pool_size(1)
        .start();
    let mut other = bouncer.login().user("other").connect();
    other.ok("create temp table mine (n int)");
    assert_eq!(other.one("select count(*) from mine"), "0");
    let (mut a, mut b) = (bouncer.client(), bouncer.client());
    assert_eq!(a.backend(), b.backend());
}

#[test]
fn a_changed_mode_counts_from_the_next_transaction() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_mode("session")
        .pool_size(1)
        .start();
    let mut a = bouncer.client();
    a.backend();
    bouncer.reload(|ini| ini.pool_mode("transaction"));
    let mut b = bouncer.client();
    a.one("select 1");
    assert_soon!(b.one("select 2") == "2", "both are served");
}
