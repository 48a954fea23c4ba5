//! currval() and lastval() behind the transaction that advanced the sequence: the client's own
//! number or an error, never a neighbour's; a client that asks for it keeps its server.

use crate::support::frames::extended;
use crate::support::{Bouncer, Pg, RawClient, Running};
use crate::{assert_soon, only_pgweir};

/// What direct and pooled connections share.
const MAKE: &str = "create sequence if not exists NAME_seq; \
    create table if not exists NAME (id serial, n int); \
    create table if not exists NAME_plain (n int)";

fn pool_of(size: u32, name: &str) -> Running {
    let bouncer = Bouncer::new(Pg::shared()).pool_size(size).start();
    bouncer.client().ok(&MAKE.replace("NAME", name));
    bouncer
}

fn is_pinned(bouncer: &Running) -> bool {
    let reply = bouncer.show("show clients");
    reply.table().any(|row| row.get("state") == "pinned")
}

/// The number, or PostgreSQL's code for a value that is not there.
fn asked(client: &mut RawClient, sql: &str) -> Option<String> {
    let reply = client.query(sql);
    match reply.errors.last() {
        None => Some(reply.rows[0][0].clone().expect("a number")),
        Some(error) => {
            assert_eq!(error.sqlstate(), "55000", "{}", error.text());
            None
        }
    }
}

/// The second time the number is the client's own, whoever is about.
fn relies(size: u32, name: &str, advance: &str, read: &str) {
    only_pgweir!();
    let bouncer = pool_of(size, name);
    let (advance, read) = (advance.replace("NAME", name), read.replace("NAME", name));
    let mut neighbours: Vec<_> = (0..size).map(|_| bouncer.client()).collect();
    for neighbour in &mut neighbours {
        neighbour.ok("set application_name to 'neighbour'");
    }
    let mut client = bouncer.client();
    let noise = |neighbours: &mut Vec<RawClient>| {
        for neighbour in neighbours {
            neighbour.put(&crate::support::frames::query(&advance));
        }
    };
    for round in 0..3 {
        noise(&mut neighbours);
        for neighbour in &mut neighbours {
            neighbour.until_ready();
        }
        let own = client.one(&advance);
        noise(&mut neighbours);
        let read = asked(&mut client, &read);
        if round > 0 {
            assert_eq!(read.as_ref(), Some(&own), "known to ask for it");
        }
        assert!(read.is_none_or(|read| read == own), "a neighbour's number");
        client.ok("discard sequences");
        assert_soon!(!is_pinned(&bouncer), "DISCARD SEQUENCES gives it back");
        for neighbour in &mut neighbours {
            neighbour.until_ready();
        }
        assert_eq!(asked(&mut client, "select lastval()"), None);
    }
}

#[test]
fn a_number_is_the_clients_own_on_one_server() {
    relies(
        1,
        "seq_a",
        "select nextval('NAME_seq')",
        "select currval('NAME_seq')",
    );
}

#[test]
fn a_number_is_the_clients_own_on_two_servers() {
    relies(2, "seq_b", "select nextval('NAME_seq')", "select lastval()");
}

#[test]
fn a_row_that_was_put_in_gives_its_number() {
    let insert = "insert into NAME (n) values (1) returning id";
    relies(2, "seq_c", insert, "select currval('NAME_id_seq')");
}

#[test]
fn alone_on_its_server_it_is_right_the_first_time() {
    only_pgweir!();
    let bouncer = pool_of(2, "seq_d");
    let mut client = bouncer.client();
    client.ok("discard all");
    let own = client.one("select nextval('seq_d_seq')");
    let read = asked(&mut client, "select currval('seq_d_seq')");
    assert!(read.is_none_or(|read| read == own));
    assert!(!is_pinned(&bouncer), "only what advances keeps the server");
    let own = client.one("select nextval('seq_d_seq')");
    assert_soon!(is_pinned(&bouncer), "the application asks for it later");
    assert_eq!(asked(&mut client, "select lastval()"), Some(own));
}

#[test]
fn nobody_is_pinned_for_numbers_of_the_same_transaction() {
    only_pgweir!();
    let bouncer = pool_of(1, "seq_e");
    let (mut client, mut other) = (bouncer.client(), bouncer.client());
    for _ in 0..3 {
        other.ok("select nextval('seq_e_seq')");
        client.ok("begin");
        let own = client.one("insert into seq_e (n) values (1) returning id");
        assert_eq!(client.one("select currval('seq_e_id_seq')"), own);
        client.ok("commit");
        assert!(!is_pinned(&bouncer));
    }
    // Known to read them, it sees nobody else's.
    client.ok("begin; insert into seq_e_plain values (1)");
    assert_eq!(
        client.fails("select currval('seq_e_seq')").sqlstate(),
        "55000"
    );
    client.ok("rollback");
}

#[test]
fn more_clients_than_servers_get_their_own_number_or_an_error() {
    only_pgweir!();
    let bouncer = pool_of(2, "seq_h");
    let mut clients: Vec<_> = (0..6).map(|_| bouncer.client()).collect();
    for _ in 0..5 {
        for client in &mut clients {
            let own = client.one("select nextval('seq_h_seq')");
            let read = asked(client, "select lastval()");
            assert!(read.is_none_or(|read| read == own), "another's number");
            client.ok("discard sequences");
        }
    }
    clients[0].one("select nextval('seq_h_seq')");
    clients[1].one("select nextval('seq_h_seq')");
    assert_soon!(is_pinned(&bouncer), "one is kept");
    clients[2].ok("select 1");
}

#[test]
fn the_extended_protocol_is_refused_and_served_alike() {
    only_pgweir!();
    let bouncer = pool_of(1, "seq_f");
    let (mut client, mut other) = (bouncer.client(), bouncer.client());
    let next = extended("select nextval('seq_f_seq')", &[]);
    let read = extended("select currval('seq_f_seq')", &[]);
    client.exchange(&next);
    other.exchange(&next);
    let reply = client.exchange(&read);
    assert_eq!(reply.errors[0].sqlstate(), "55000");
    assert_eq!(client.one("select 1"), "1", "the connection goes on");
    let own = client.exchange(&next).rows;
    other.put(&next);
    let reply = client.exchange(&read);
    assert!(reply.errors.is_empty(), "{:?}", reply.errors);
    assert_eq!(reply.rows, own);
    client.ok("discard all");
    other.until_ready();
}

#[test]
fn a_refused_query_does_nothing_and_fails_its_block() {
    only_pgweir!();
    let bouncer = pool_of(1, "seq_g");
    let (mut client, mut other) = (bouncer.client(), bouncer.client());
    client.ok("truncate seq_g_plain");
    client.ok("select nextval('seq_g_seq')");
    other.ok("select nextval('seq_g_seq')");
    client.ok("begin");
    client.ok("select 1");
    let text = "insert into seq_g_plain values (lastval())";
    assert_eq!(client.fails(text).sqlstate(), "55000");
    assert_eq!(client.fails("select 1").sqlstate(), "25P02");
    client.ok("rollback");
    assert_eq!(other.one("select count(*) from seq_g_plain"), "0");
}
