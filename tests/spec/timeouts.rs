//! Everything that ends by itself after a while. No test measures how late, only that it happens.

use crate::assert_soon;
use crate::support::{Bouncer, Pg};
use std::time::Duration;

#[test]
fn query_timeout_ends_a_running_query() {
    let bouncer = Bouncer::new(Pg::shared()).set("query_timeout", 1).start();
    let mut client = bouncer.client();
    let error = client.fails("select pg_sleep(60)");
    assert_eq!((error.severity(), error.text()), ("FATAL", "query timeout"));
    assert_soon!(
        bouncer.logged("closing because: query timeout") > 0,
        "the log says why"
    );
    assert_eq!(bouncer.client().one("select 1"), "1");
}

#[test]
fn idle_transaction_timeout_ends_a_silent_transaction() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(1)
        .set("idle_transaction_timeout", 1)
        .start();
    let mut client = bouncer.client();
    client.ok("begin");
    let reply = client.end();
    assert_eq!(reply.error().text(), "idle transaction timeout");
    assert_eq!(
        bouncer.client().one("select 1"),
        "1",
        "the server is free again"
    );
}

#[test]
fn a_long_query_is_no_idle_transaction() {
    let bouncer = Bouncer::new(Pg::shared())
        .set("idle_transaction_timeout", 1)
        .start();
    let mut client = bouncer.client();
    client.ok("begin");
    assert_eq!(client.ok("select pg_sleep(2.5)").status, b'T');
    client.ok("commit");
}

#[test]
fn transaction_timeout_ends_the_whole_transaction() {
    let bouncer = Bouncer::new(Pg::shared())
        .set("transaction_timeout", 1)
        .start();
    let mut client = bouncer.client();
    client.ok("begin");
    let error = client.fails("select pg_sleep(60)");
    assert_eq!(error.text(), "transaction timeout");
}

#[test]
fn client_idle_timeout_ends_a_silent_client_only() {
    let bouncer = Bouncer::new(Pg::shared())
        .set("client_idle_timeout", 2)
        .start();
    let mut silent = bouncer.client();
    let mut talking = bouncer.client();
    let talker = std::thread::spawn(move || {
        for _ in 0..12 {
            talking.one("select 1");
            std::thread::sleep(Duration::from_millis(300));
        }
    });
    assert_eq!(silent.end().error().text(), "client_idle_timeout");
    talker.join().expect("who talks stays");
}

#[test]
fn server_idle_timeout_closes_servers_nobody_uses() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).set("server_idle_timeout", 1).start();
    let mut client = bouncer.client_of(&database);
    client.one("select 1");
    assert_soon!(pg.backends(&database) == 0, "the idle server is closed");
    assert_soon!(
        bouncer.logged("closing because: server idle timeout") > 0,
        "the log says why"
    );
    assert_eq!(client.one("select 2"), "2");
}

#[test]
fn server_lifetime_replaces_old_servers_without_a_clients_notice() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(1)
        .set("server_lifetime", 1)
        .start();
    let mut client = bouncer.client();
    let first = client.backend();
    assert_soon!(client.backend() != first, "a new server");
    assert_soon!(
        bouncer.logged("closing because: server lifetime over") > 0,
        "the log says why"
    );
}

#[test]
fn a_server_lifetime_of_zero_uses_a_server_once() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(1)
        .set("server_lifetime", 0)
        .start();
    let mut client = bouncer.client();
    assert_ne!(client.backend(), client.backend());
}

#[test]
fn a_transaction_outlives_server_lifetime() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(1)
        .set("server_lifetime", 1)
        .start();
    let mut client = bouncer.client();
    client.ok("begin");
    let backend = client.backend();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(client.backend(), backend);
    client.ok("commit");
}

#[test]
fn an_idle_server_is_checked_before_it_is_used_again() {
    let pg = Pg::with("log_statement = all");
    let bouncer = Bouncer::new(&pg)
        .set("server_check_delay", 0)
        .set("server_check_query", "select 'checking'")
        .start();
    let mut client = bouncer.client();
    client.one("select 1");
    client.one("select 2");
    assert_soon!(
        pg.log().contains("select 'checking'"),
        "the check query ran"
    );
}

#[test]
fn a_check_that_fails_costs_the_server_not_the_client() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(2)
        .set("server_check_delay", 0)
        .set("server_check_query", "select 1 / (random() * 0)::int")
        .set("query_wait_timeout", 10)
        .start();
    let mut client = bouncer.client();
    assert_eq!(client.one("select 1"), "1", "a fresh server needs no check");
    assert_eq!(client.one("select 2"), "2");
}

#[test]
fn query_wait_notify_tells_a_waiting_client() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(1)
        .set("query_wait_notify", 1)
        .start();
    let mut holder = bouncer.client();
    holder.ok("begin");
    let mut waiting = bouncer.client();
    waiting.put(&crate::support::frames::query("select 'at last'"));
    let notice = waiting.until(b'N').notices[0].clone();
    assert_eq!(notice.severity(), "NOTICE");
    assert_eq!(
        notice.text(),
        "No server connection available in postgres backend, client being queued"
    );
    holder.ok("commit");
    assert_eq!(waiting.until_ready().one(), "at last");
}

#[test]
fn timeouts_of_a_user_count_before_the_global_ones() {
    let bouncer = Bouncer::new(Pg::shared())
        .user("other = query_timeout=1")
        .start();
    let mut other = bouncer.login().user("other").connect();
    assert_eq!(other.fails("select pg_sleep(60)").text(), "query timeout");
    assert_eq!(bouncer.client().ok("select pg_sleep(2)").status, b'I');
}
