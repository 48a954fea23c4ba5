//! Nothing spins: whoever waits for bytes, a server, a reader or time costs no CPU.

use crate::support::frames::{query, startup};
use crate::support::{Bouncer, Pg, Proxy, RawClient, Running};
use std::time::Duration;

/// Seconds looked at.
const SECONDS: u64 = 2;

/// CPU ticks (100 per second) of the pooler while nothing should happen. A spinning thread takes
/// 200; the maintenance three times a second and the statistics take one or two.
#[track_caller]
fn assert_quiet(bouncer: &Running, what: &str) {
    std::thread::sleep(Duration::from_millis(500));
    let before = ticks(bouncer.pid());
    std::thread::sleep(Duration::from_secs(SECONDS));
    let used = ticks(bouncer.pid()) - before;
    assert!(used < 60, "{what}: {used} ticks in {SECONDS} s");
}

fn ticks(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let after = text.rsplit_once(')').expect("a name").1;
    after
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|n| n.parse::<u64>().expect("a number"))
        .sum()
}

fn one_server() -> Running {
    Bouncer::new(Pg::shared())
        .pool_size(1)
        .own("lanes", 2)
        .start()
}

fn holder(bouncer: &Running) -> RawClient {
    let mut client = bouncer.client();
    client.ok("begin");
    client
}

#[test]
fn idle_clients_cost_nothing() {
    let bouncer = one_server();
    let mut all: Vec<RawClient> = (0..50).map(|_| bouncer.client()).collect();
    all.iter_mut()
        .for_each(|client| drop(client.one("select 1")));
    assert_quiet(&bouncer, "50 idle clients");
}

#[test]
fn waiting_clients_cost_nothing() {
    let bouncer = one_server();
    let _holder = holder(&bouncer);
    let mut waiting: Vec<RawClient> = (0..20).map(|_| bouncer.client()).collect();
    for client in &mut waiting {
        // More than fits any buffer waits behind the query.
        client.put(&query("select 1").repeat(2000));
    }
    assert_quiet(&bouncer, "20 waiting clients");
}

#[test]
fn half_closed_and_vanished_clients_cost_nothing() {
    let bouncer = one_server();
    let _holder = holder(&bouncer);
    for _ in 0..5 {
        let mut waiting = bouncer.client();
        waiting.put(&query("select 1"));
        waiting.vanish();
    }
    let mut half = bouncer.login().open().expect("a connection");
    half.put(&startup(196_608, &[("user", "app"), ("database", "app")])[..10]);
    half.vanish();
    assert_quiet(&bouncer, "clients that went away");
}

#[test]
fn a_reader_that_stopped_costs_nothing() {
    let bouncer = one_server();
    let mut slow = bouncer.client();
    slow.put(&query("select repeat('x', 50000000)"));
    assert_quiet(&bouncer, "a client that does not read");
    assert_eq!(slow.until_ready().one().len(), 50_000_000);
}

#[test]
fn a_server_that_does_not_read_costs_nothing() {
    let pg = Pg::shared();
    let proxy = Proxy::new(pg.port);
    let bouncer = Bouncer::at(proxy.port).pool_size(1).start();
    let mut client = bouncer.client();
    client.one("select 1");
    proxy.freeze(true);
    let sql = format!("select length('{}')", "x".repeat(20_000_000));
    let writer = std::thread::spawn(move || client.one(&sql));
    assert_quiet(&bouncer, "a server that does not read");
    proxy.freeze(false);
    assert_eq!(writer.join().expect("it goes on"), "20000000");
}

#[test]
fn a_dead_server_costs_nothing() {
    let bouncer = Bouncer::at(crate::support::free_port())
        .own("lanes", 2)
        .start();
    let mut lines = Vec::new();
    for _ in 0..10 {
        let mut line = bouncer.login().open().expect("a connection");
        line.put(&bouncer.login().startup());
        lines.push(line);
    }
    assert_quiet(&bouncer, "clients that wait for a dead server");
}

#[test]
fn a_pause_costs_nothing() {
    let bouncer = one_server();
    let mut clients: Vec<RawClient> = (0..10).map(|_| bouncer.client()).collect();
    clients[0].one("select 1");
    bouncer.show("pause");
    clients
        .iter_mut()
        .for_each(|client| client.put(&query("select 1")));
    assert_quiet(&bouncer, "a pause");
    bouncer.show("resume");
    clients
        .iter_mut()
        .for_each(|client| assert_eq!(client.until_ready().one(), "1"));
}
