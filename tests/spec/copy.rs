//! COPY in both directions, and its failures (surface 6.2).

use crate::support::frames::{
    bind, copy_data, copy_done, copy_fail, execute, parse, query, sync, terminate,
};
use crate::support::{Bouncer, Pg, RawClient, Running};
use std::time::Duration;

fn setup() -> (Running, RawClient) {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(1).start();
    let mut client = bouncer.client_of(&database);
    client.ok("create table t (n int, x text)");
    (bouncer, client)
}

fn begin_copy(client: &mut RawClient) {
    client.put(&query("copy t from stdin"));
    assert_eq!(client.until(b'G').kinds, "G");
}

#[test]
fn copy_in_stores_every_row() {
    let (_bouncer, mut client) = setup();
    begin_copy(&mut client);
    for chunk in 0..100 {
        let lines: String = (0..1000)
            .map(|n| format!("{}\tline {n}\n", chunk * 1000 + n))
            .collect();
        client.put(&copy_data(lines.as_bytes()));
    }
    let reply = client.exchange(&copy_done());
    assert_eq!(
        (reply.kinds.as_str(), reply.tags[0].as_str()),
        ("CZ", "COPY 100000")
    );
    assert_eq!(client.one("select count(distinct n) from t"), "100000");
}

#[test]
fn copy_out_gives_every_row() {
    let (_bouncer, mut client) = setup();
    client.ok("insert into t select n, repeat('y', 100) from generate_series(1, 50000) n");
    let reply = client.ok("copy t to stdout");
    assert_eq!(
        reply.copied.iter().filter(|byte| **byte == b'\n').count(),
        50_000
    );
    assert_eq!(reply.tags, ["COPY 50000"]);
}

#[test]
fn a_client_may_give_up_a_copy() {
    let (_bouncer, mut client) = setup();
    begin_copy(&mut client);
    client.put(&copy_data(b"1\tone\n"));
    let reply = client.exchange(&copy_fail("changed my mind"));
    assert_eq!(reply.error().sqlstate(), "57014");
    assert!(reply.error().text().contains("changed my mind"));
    assert_eq!(client.one("select count(*) from t"), "0");
}

#[test]
fn data_sent_after_the_server_refused_the_copy_is_dropped() {
    let (bouncer, mut client) = setup();
    begin_copy(&mut client);
    client.put(&copy_data(b"not a number\tone\n"));
    let reply = client.until_ready();
    assert_eq!(reply.error().sqlstate(), "22P02");
    client.put(&[copy_data(b"2\ttwo\n"), copy_done()].concat());
    assert_eq!(client.one("select count(*) from t"), "0");
    assert_eq!(bouncer.client().one("select 1"), "1");
}

#[test]
fn a_copy_that_fails_in_the_middle_of_a_big_stream_ends_in_one_error() {
    let (_bouncer, mut client) = setup();
    begin_copy(&mut client);
    let good = "1\tfine\n".repeat(5000);
    client.put(&copy_data(good.as_bytes()));
    client.put(&copy_data(b"bad\tline\n"));
    for _ in 0..20 {
        client.put(&copy_data(good.as_bytes()));
    }
    client.put(&copy_done());
    let reply = client.until_ready();
    assert_eq!((reply.errors.len(), reply.status), (1, b'I'));
    assert_eq!(client.one("select count(*) from t"), "0");
}

#[test]
fn nobody_else_gets_the_server_during_a_copy() {
    let (bouncer, mut client) = setup();
    let database = client.one("select current_database()");
    let mut other = bouncer.client_of(&database);
    begin_copy(&mut client);
    other.put(&query("select 'other'"));
    assert!(other.silent_for(Duration::from_millis(400)));
    client.put(&copy_data(b"1\tone\n"));
    client.exchange(&copy_done());
    assert_eq!(other.until_ready().one(), "other");
}

#[test]
fn vanishing_inside_a_copy_stores_nothing() {
    let (bouncer, mut client) = setup();
    let database = client.one("select current_database()");
    begin_copy(&mut client);
    client.put(&copy_data(b"1\tone\n"));
    client.vanish();
    let mut next = bouncer.client_of(&database);
    assert_eq!(next.one("select count(*) from t"), "0");
}

#[test]
fn copy_works_with_the_extended_protocol() {
    let (_bouncer, mut client) = setup();
    let begin = [
        parse("", "copy t from stdin"),
        bind("", "", &[]),
        execute("", 0),
        sync(),
    ];
    client.put(&begin.concat());
    client.until(b'G');
    let reply = client.exchange(&[copy_data(b"1\tone\n"), copy_done(), sync()].concat());
    assert!(reply.kinds.ends_with("CZ"), "{reply:?}");
    assert_eq!(client.one("select count(*) from t"), "1");
}

#[test]
fn a_goodbye_in_the_middle_of_a_copy_ends_it() {
    let pg = Pg::shared();
    let bouncer = Bouncer::new(pg).pool_size(1).start();
    let mut client = bouncer.client();
    client.ok("create table if not exists left_in_copy (a text)");
    client.put(&query("copy left_in_copy from stdin"));
    assert_eq!(client.receive().expect("an answer").tag, b'G');
    client.put(&[copy_data(b"x\n"), terminate()].concat());
    let mut other = bouncer.client();
    assert_eq!(other.one("select count(*) from left_in_copy"), "0");
}
