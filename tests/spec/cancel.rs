//! Cancel requests reach exactly the right backend, or none (surface 6.5).

use crate::assert_soon;
use crate::support::frames::{cancel, copy_data, query};
use crate::support::{Authority, Bouncer, Pg, RawClient, Running, client_config};
use std::time::{Duration, Instant};

fn sleeps(pg: &Pg, database: &str) -> usize {
    let sql = format!(
        "select count(*) from pg_stat_activity where datname = '{database}' \
         and state = 'active' and query like '%pg_sleep%' and pid <> pg_backend_pid()"
    );
    pg.ask(&sql).parse().expect("a number")
}

fn setup(pool_size: u32) -> (&'static Pg, String, Running) {
    let pg = Pg::shared();
    (
        pg,
        pg.database(),
        Bouncer::new(pg).pool_size(pool_size).start(),
    )
}

#[test]
fn cancel_reaches_only_its_own_backend() {
    let (pg, database, bouncer) = setup(2);
    let (busy, other) = (bouncer.client_of(&database), bouncer.client_of(&database));
    let stop = busy.canceller();
    let stop_other = other.canceller();
    let busy = busy.spawn("select pg_sleep(60)");
    let other = other.spawn("select pg_sleep(60)");
    assert_soon!(sleeps(pg, &database) == 2, "both sleep");
    stop();
    let (mut busy, reply) = busy.join().expect("the client lives");
    assert_eq!(reply.error().sqlstate(), "57014");
    assert_eq!(sleeps(pg, &database), 1, "the other one sleeps on");
    assert_eq!(busy.one("select 1"), "1");
    stop_other();
    let (_, reply) = other.join().expect("the client lives");
    assert_eq!(reply.error().sqlstate(), "57014");
}

#[test]
fn cancel_works_inside_a_transaction() {
    let (pg, database, bouncer) = setup(1);
    let mut client = bouncer.client_of(&database);
    client.ok("begin");
    let stop = client.canceller();
    let client = client.spawn("select pg_sleep(60)");
    assert_soon!(sleeps(pg, &database) == 1, "it sleeps");
    stop();
    let (mut client, reply) = client.join().expect("the client lives");
    assert_eq!((reply.error().sqlstate(), reply.status), ("57014", b'E'));
    client.ok("rollback");
}

#[test]
fn a_cancel_for_an_idle_client_hits_nobody() {
    let (pg, database, bouncer) = setup(1);
    let mut idle = bouncer.client_of(&database);
    idle.one("select 1");
    let stop = idle.canceller();
    let busy = bouncer
        .client_of(&database)
        .spawn("select pg_sleep(1.5), 'undisturbed'");
    assert_soon!(
        sleeps(pg, &database) == 1,
        "the other client has the only server"
    );
    for _ in 0..5 {
        stop();
    }
    let (_, reply) = busy.join().expect("the client lives");
    assert!(reply.errors.is_empty(), "{reply:?}");
}

#[test]
fn a_cancel_with_an_unknown_key_is_closed_without_a_word() {
    let (pg, database, bouncer) = setup(1);
    let busy = bouncer.client_of(&database).spawn("select pg_sleep(1)");
    assert_soon!(sleeps(pg, &database) == 1, "it sleeps");
    for key in [[0_u8; 8], [0xff; 8], *b"nonsense"] {
        let mut line = bouncer.login().open().expect("connect");
        line.put(&cancel(&key));
        assert!(line.end().kinds.is_empty());
    }
    let (_, reply) = busy.join().expect("the client lives");
    assert!(reply.errors.is_empty(), "{reply:?}");
}

#[test]
fn a_late_cancel_does_not_hit_the_servers_next_user() {
    let (_, database, bouncer) = setup(1);
    let mut done = bouncer.client_of(&database);
    let mut next = bouncer.client_of(&database);
    for _ in 0..50 {
        done.one("select 1");
        let stop = done.canceller();
        let late = std::thread::spawn(stop);
        assert_eq!(next.one("select 'next'"), "next");
        late.join().expect("the cancel is taken");
    }
}

#[test]
fn a_waiting_client_can_be_cancelled_away_or_served_but_nobody_else_is_hit() {
    let (pg, database, bouncer) = setup(1);
    let holder = bouncer
        .client_of(&database)
        .spawn("select pg_sleep(2), 'held'");
    assert_soon!(sleeps(pg, &database) == 1, "the server is taken");
    let waiting = bouncer.client_of(&database);
    let stop = waiting.canceller();
    let waiting = waiting.spawn("select 'waited'");
    std::thread::sleep(Duration::from_millis(200));
    stop();
    let (_, reply) = holder.join().expect("the client lives");
    assert!(
        reply.errors.is_empty(),
        "the holder is not the target: {reply:?}"
    );
    let (_, reply) = waiting.join().expect("the client lives");
    assert!(
        reply.errors.is_empty() || reply.error().sqlstate() == "57014",
        "{reply:?}"
    );
}

#[test]
fn cancel_works_when_the_pool_and_the_database_limit_are_full() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .pool_size(1)
        .set("max_db_connections", 1)
        .start();
    let client = bouncer.client_of(&database);
    let stop = client.canceller();
    let client = client.spawn("select pg_sleep(60)");
    assert_soon!(sleeps(pg, &database) == 1, "it sleeps");
    stop();
    let (_, reply) = client.join().expect("the client lives");
    assert_eq!(reply.error().sqlstate(), "57014");
}

#[test]
fn many_cancels_and_queries_at_once_stay_apart() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(4).start();
    let until = Instant::now() + Duration::from_secs(3);
    let victims = (0..3).map(|_| victim(&bouncer, &database, until));
    let bystanders = (0..4).map(|n| bystander(&bouncer, &database, n, until));
    let all: Vec<_> = victims.chain(bystanders).collect();
    for one in all {
        one.join().expect("no reply went astray");
    }
}

/// Starts sleeping queries and cancels each; every one must end by its own cancel.
fn victim(bouncer: &Running, database: &str, until: Instant) -> std::thread::JoinHandle<()> {
    let mut client = bouncer.client_of(database);
    std::thread::spawn(move || {
        while Instant::now() < until {
            let stop = client.canceller();
            let asked = client.spawn("select pg_sleep(20)");
            std::thread::sleep(Duration::from_millis(150));
            stop();
            let (back, reply) = asked.join().expect("the client lives");
            assert_eq!(reply.error().sqlstate(), "57014");
            client = back;
        }
    })
}

/// Runs short queries and is never cancelled.
fn bystander(
    bouncer: &Running,
    database: &str,
    n: u32,
    until: Instant,
) -> std::thread::JoinHandle<()> {
    let mut client: RawClient = bouncer.client_of(database);
    std::thread::spawn(move || {
        let sql = format!("select 'bystander {n}' from pg_sleep(0.01)");
        while Instant::now() < until {
            assert_eq!(client.one(&sql), format!("bystander {n}"));
        }
    })
}

#[test]
fn cancel_works_in_plain_and_in_tls_where_tls_is_required() {
    let (pg, authority) = (Pg::shared(), Authority::new("ca"));
    let database = pg.database();
    let new = Bouncer::new(pg);
    let (cert, key) = authority.sign("localhost");
    let (cert, key) = (new.file("server.crt", &cert), new.file("server.key", &key));
    let bouncer = new
        .set("client_tls_sslmode", "require")
        .set("client_tls_cert_file", cert)
        .set("client_tls_key_file", key)
        .start();
    let login = bouncer
        .login()
        .database(&database)
        .tls(client_config(None, None));
    for over_tls in [false, true] {
        let client = login.connect();
        let stop = if over_tls {
            client.tls_canceller()
        } else {
            client.canceller()
        };
        let client = client.spawn("select pg_sleep(60)");
        assert_soon!(sleeps(pg, &database) == 1, "it sleeps");
        stop();
        let (_, reply) = client.join().expect("the client lives");
        assert_eq!(reply.error().sqlstate(), "57014", "over TLS: {over_tls}");
    }
}

#[test]
fn a_copy_can_be_cancelled() {
    let (pg, database, bouncer) = setup(1);
    let mut client = bouncer.client_of(&database);
    client.ok("create table t (x text)");
    let stop = client.canceller();
    client.put(&query(
        "copy (select repeat('c', 100), pg_sleep(0.01) from generate_series(1, 100000)) to stdout",
    ));
    client.until(b'H');
    stop();
    assert_eq!(client.until_ready().error().sqlstate(), "57014");
    client.put(&query("copy t from stdin"));
    client.until(b'G');
    stop();
    // PostgreSQL looks for it when the next piece of data has come.
    client.put(&copy_data(b"one more line\n"));
    let reply = client.until_ready();
    assert_eq!(reply.error().sqlstate(), "57014");
    assert_eq!(client.one("select 'fine'"), "fine");
    assert!(pg.backends(&database) <= 1);
}
