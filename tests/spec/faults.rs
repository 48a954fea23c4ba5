//! What goes wrong with PostgreSQL or a client, and what the others notice of it: nothing.

use crate::support::frames::{frame, query};
use crate::support::{Behaviour, Bouncer, FakeServer, Pg, Proxy, free_port};
use crate::{assert_soon, only_pgweir};
use std::time::Duration;

#[test]
fn nobody_listening_keeps_clients_waiting_until_their_limit() {
    let bouncer = Bouncer::at(free_port())
        .set("client_login_timeout", 2)
        .start();
    let error = bouncer.login().refused();
    assert_eq!(error.severity(), "FATAL");
    assert!(
        ["client_login_timeout (server down)", "client_login_timeout"].contains(&error.text()),
        "{error:?}"
    );
}

#[test]
fn a_server_that_comes_late_serves_who_waited() {
    let pg = Pg::start();
    pg.stop(libc::SIGINT);
    let bouncer = Bouncer::new(&pg).set("server_login_retry", 1).start();
    let login = bouncer.login();
    let waiting = std::thread::spawn(move || login.connect().one("select 'late'"));
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!waiting.is_finished());
    pg.launch();
    assert_eq!(waiting.join().expect("it is served"), "late");
}

#[test]
fn a_restart_of_postgresql_costs_running_transactions_only() {
    let pg = Pg::start();
    let bouncer = Bouncer::new(&pg).set("server_login_retry", 1).start();
    let (mut busy, mut idle) = (bouncer.client(), bouncer.client());
    idle.one("select 1");
    busy.ok("begin");
    busy.one("select 1");
    pg.stop(libc::SIGINT);
    let end = busy.end();
    let texts: Vec<&str> = end.errors.iter().map(|error| error.text()).collect();
    assert!(texts.contains(&"server conn crashed?"), "{texts:?}");
    assert_eq!(
        end.errors[0].sqlstate(),
        "57P01",
        "PostgreSQL's own word comes first"
    );
    pg.launch();
    assert_soon!(bouncer.login().try_connect().is_ok(), "new clients come in");
    assert_eq!(idle.one("select 'never noticed'"), "never noticed");
}

#[test]
fn a_backend_killed_while_idle_is_nobodys_loss() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(1).start();
    let mut client = bouncer.client_of(&database);
    for _ in 0..5 {
        let backend = client.backend();
        pg.ask(&format!("select pg_terminate_backend({backend})"));
        assert_soon!(pg.backends(&database) == 0, "it is gone");
        assert_ne!(client.backend(), backend);
    }
}

#[test]
fn a_backend_killed_in_a_query_ends_that_client_only() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(2).start();
    let mut victim = bouncer.client_of(&database);
    let mut other = bouncer.client_of(&database);
    victim.ok("begin");
    let backend = victim.backend();
    other.ok("begin");
    let victim = victim.spawn("select pg_sleep(60)");
    pg.ask(&format!("select pg_terminate_backend({backend})"));
    let (mut victim, reply) = victim.join().expect("the client lives");
    assert_eq!(reply.error().sqlstate(), "57P01");
    assert_eq!(victim.end().status, 0);
    assert_eq!(other.one("select 1"), "1");
    other.ok("commit");
    assert_eq!(bouncer.client_of(&database).one("select 2"), "2");
}

#[test]
fn a_crash_of_the_whole_server_is_survived() {
    let pg = Pg::start();
    let bouncer = Bouncer::new(&pg)
        .set("server_login_retry", 1)
        .pool_size(3)
        .start();
    let mut clients: Vec<_> = (0..3).map(|_| bouncer.client()).collect();
    clients
        .iter_mut()
        .for_each(|client| drop((client.ok("begin"), client.one("select 1"))));
    pg.stop(libc::SIGQUIT);
    for client in &mut clients {
        assert!(!client.end().errors.is_empty());
    }
    pg.launch();
    assert_soon!(
        bouncer
            .login()
            .try_connect()
            .is_ok_and(|mut client| client.one("select 1") == "1"),
        "it serves again"
    );
}

#[test]
fn a_hung_server_ends_by_query_timeout_and_the_pool_recovers() {
    let pg = Pg::shared();
    let proxy = Proxy::new(pg.port);
    let bouncer = Bouncer::at(proxy.port)
        .pool_size(1)
        .set("query_timeout", 2)
        .set("server_connect_timeout", 2)
        .set("server_login_retry", 1)
        .start();
    let mut client = bouncer.client();
    client.one("select 1");
    proxy.freeze(true);
    assert_eq!(
        client.fails("select 'into the void'").text(),
        "query timeout"
    );
    proxy.freeze(false);
    assert_soon!(
        bouncer
            .login()
            .try_connect()
            .is_ok_and(|mut client| client.one("select 2") == "2"),
        "it serves again"
    );
}

#[test]
fn a_server_that_accepts_and_says_nothing_hits_server_connect_timeout() {
    let silent = FakeServer::new(Behaviour::Silent);
    let bouncer = Bouncer::at(silent.port)
        .set("server_connect_timeout", 1)
        .set("server_login_retry", 1)
        .set("client_login_timeout", 6)
        .start();
    let error = bouncer.login().refused();
    assert!(
        error.text().starts_with("client_login_timeout"),
        "{error:?}"
    );
    assert!(
        silent.accepted() >= 2,
        "it tried again: {}",
        silent.accepted()
    );
    assert_soon!(
        bouncer.logged("closing because: connect timeout") > 0,
        "the log says why"
    );
}

#[test]
fn connections_cut_in_the_middle_are_replaced() {
    let pg = Pg::shared();
    let proxy = Proxy::new(pg.port);
    let bouncer = Bouncer::at(proxy.port)
        .pool_size(2)
        .set("server_login_retry", 1)
        .start();
    let (mut busy, mut idle) = (bouncer.client(), bouncer.client());
    idle.one("select 1");
    busy.ok("begin");
    busy.one("select 1");
    proxy.cut();
    let texts: Vec<String> = busy
        .end()
        .errors
        .iter()
        .map(|e| e.text().to_owned())
        .collect();
    assert_eq!(texts, ["server conn crashed?"]);
    assert_soon!(
        idle.query("select 1").errors.is_empty(),
        "the idle one goes on"
    );
}

#[test]
fn a_server_that_refuses_the_login_is_asked_once_per_retry_time() {
    let refusal = frame(
        b'E',
        b"SFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0\0",
    );
    let full = FakeServer::new(Behaviour::Says(refusal));
    let bouncer = Bouncer::at(full.port).set("server_login_retry", 60).start();
    let error = bouncer.login().refused();
    assert_eq!(
        (error.sqlstate(), error.text()),
        ("53300", "sorry, too many clients already")
    );
    let asked = full.accepted();
    let login = bouncer.login();
    let waiting = std::thread::spawn(move || login.try_connect().is_err());
    std::thread::sleep(Duration::from_secs(1));
    assert!(full.accepted() <= asked + 1, "{} attempts", full.accepted());
    drop(bouncer);
    assert!(waiting.join().expect("it ends"));
}

#[test]
fn a_pool_without_servers_tries_again_for_whoever_comes_after_the_retry_time() {
    let pg = Pg::start();
    let bouncer = Bouncer::new(&pg).set("server_login_retry", 1).start();
    let (mut first, mut second) = (bouncer.client(), bouncer.client());
    first.one("select 1");
    pg.stop(libc::SIGQUIT);
    first.put(&query("select 1"));
    assert_soon!(
        bouncer.logged("closing because: connect failed") > 0,
        "the connect failed"
    );
    // Nobody waits any more: nobody is there for whom it would be tried again.
    first.vanish();
    pg.launch();
    std::thread::sleep(Duration::from_millis(1500));
    let mut served = || second.query("select 'served'").rows.len() == 1;
    assert!(
        served() || bouncer.client().one("select 1") == "1",
        "it goes on"
    );
}

#[test]
fn a_database_that_is_created_later_can_be_used_at_once() {
    only_pgweir!();
    let pg = Pg::shared();
    let bouncer = Bouncer::new(pg).set("server_login_retry", 600).start();
    let login = || bouncer.login().database("made_later");
    let error = login().refused();
    assert_eq!(error.sqlstate(), "3D000");
    pg.admin().ok("create database made_later");
    assert_soon!(login().try_connect().is_ok(), "it is there");
}

#[test]
fn a_database_that_was_dropped_lets_nobody_in() {
    only_pgweir!();
    let pg = Pg::shared();
    let bouncer = Bouncer::new(pg).set("server_login_retry", 600).start();
    let mut admin = pg.admin();
    for leaves_dirty in [false, true, false] {
        admin.ok("create database comes_and_goes");
        let login = || bouncer.login().database("comes_and_goes");
        let mut client = login().connect();
        client.one("select 1");
        if leaves_dirty {
            // As pg_dump: its server is closed with it.
            client.ok("begin; select 1");
            client.close();
        }
        // As Odoo drops one: its servers are ended first.
        admin.ok("select pg_terminate_backend(pid) from pg_stat_activity \
             where datname = 'comes_and_goes'");
        admin.ok("drop database comes_and_goes");
        assert_soon!(
            login().try_connect().is_err(),
            "whoever asks whether it is there hears that it is not"
        );
        assert_eq!(login().refused().sqlstate(), "3D000");
    }
}

#[test]
fn a_server_that_is_down_lets_clients_in_as_before() {
    let pg = Pg::start();
    let bouncer = Bouncer::new(&pg).set("server_login_retry", 1).start();
    let mut client = bouncer.client();
    client.one("select 1");
    pg.stop(libc::SIGQUIT);
    let mut waiting = bouncer.client();
    pg.launch();
    assert_soon!(waiting.query("select 1").errors.is_empty(), "it is served");
}

#[test]
fn after_failed_logins_clients_with_a_query_fail_fast() {
    let pg = Pg::start();
    let bouncer = Bouncer::new(&pg)
        .set("server_login_retry", 30)
        .set("query_wait_timeout", 20)
        .start();
    let mut clients: Vec<_> = (0..3).map(|_| bouncer.client()).collect();
    clients[0].one("select 1");
    pg.stop(libc::SIGQUIT);
    // The first one's connect fails; whoever comes then is told the reason at once.
    clients[0].put(&query("select 1"));
    assert_soon!(
        bouncer.logged("closing because: connect failed") > 0,
        "the connect failed"
    );
    let error = clients[1].fails("select 1");
    assert!(
        error
            .text()
            .starts_with("server login has been failing, cached error: "),
        "{error:?}"
    );
    assert!(error.text().ends_with("(server_login_retry)"), "{error:?}");
}

#[test]
fn nonsense_from_the_server_ends_its_connection_and_nobody_crashes() {
    let mut cases: Vec<(&str, Vec<u8>)> = vec![
        ("zero length", vec![b'D', 0, 0, 0, 0]),
        ("length too small", vec![b'T', 0, 0, 0, 3]),
        ("negative length", vec![b'C', 0xff, 0xff, 0xff, 0xff]),
        ("unknown type", frame(b'~', b"what is this")),
        ("half a header", vec![b'D', 0, 0]),
        ("half a message", [&frame(b'D', &[0; 1000])[..100]].concat()),
        ("empty ready", frame(b'Z', b"")),
        ("odd ready", frame(b'Z', b"?")),
        ("all zeros", vec![0; 4096]),
        ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
    ];
    cases.push((
        "ready twice",
        [frame(b'Z', b"I"), frame(b'Z', b"I"), frame(b'Z', b"I")].concat(),
    ));
    cases.push(("parameter without end", frame(b'S', b"TimeZone")));
    for (name, bytes) in cases {
        let fake = FakeServer::new(Behaviour::AnswersQuery(bytes));
        let bouncer = Bouncer::at(fake.port)
            .set("server_tls_sslmode", "disable")
            .set("query_timeout", 3)
            .set("server_login_retry", 1)
            .start();
        let mut client = bouncer.client();
        client.put(&query("select 1"));
        // It may be passed on, or end the client: it must end, and the process must not.
        let mut chunk = [0; 65536];
        while matches!(client.read_some(&mut chunk), Ok(n) if n > 0) {
            if chunk.starts_with(b"Z") {
                break;
            }
        }
        assert!(bouncer.ended().is_none(), "{name}: {}", bouncer.log());
        assert_eq!(bouncer.show("show version").rows.len(), 1, "{name}");
    }
}

#[test]
fn nonsense_during_the_servers_login_is_an_error_not_a_crash() {
    for bytes in [
        vec![0; 100],
        b"HTTP/1.1 400\r\n\r\n".to_vec(),
        frame(b'R', b""),
        frame(b'R', &[0, 0, 0, 99]),
        frame(b'E', b""),
        frame(b'K', b"x"),
        vec![b'S', 0xff, 0xff, 0xff, 0xff],
    ] {
        let fake = FakeServer::new(Behaviour::Says(bytes.clone()));
        let bouncer = Bouncer::at(fake.port)
            .set("server_tls_sslmode", "disable")
            .set("server_connect_timeout", 1)
            .set("client_login_timeout", 2)
            .start();
        let error = bouncer.login().refused();
        assert!(!error.text().is_empty(), "{bytes:?}: {error:?}");
        assert!(bouncer.ended().is_none(), "{bytes:?}: {}", bouncer.log());
    }
}

#[test]
fn a_client_killed_in_a_query_costs_its_server_and_nobody_else() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(1).start();
    let mut victim = bouncer.client_of(&database);
    let backend = victim.backend();
    victim.put(&query("select pg_sleep(1), repeat('stale', 1000)"));
    std::thread::sleep(Duration::from_millis(100));
    victim.vanish();
    let mut next = bouncer.client_of(&database);
    assert_eq!(next.one("select 'fresh'"), "fresh");
    assert_ne!(next.backend(), backend);
}

#[test]
fn a_client_killed_while_reading_a_big_result_leaves_nothing_behind() {
    let bouncer = Bouncer::new(Pg::shared()).pool_size(1).start();
    for _ in 0..5 {
        let mut victim = bouncer.client();
        victim.put(&query("select repeat('stale', 4000000)"));
        victim.receive();
        victim.vanish();
        assert_eq!(bouncer.client().one("select 'fresh'"), "fresh");
    }
}

#[test]
fn tls_to_the_server_is_tried_required_and_verified() {
    let authority = crate::support::Authority::new("pg");
    let (with_tls, without) = (Pg::with_tls(&authority), Pg::shared());
    let ssl = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    let prefer = Bouncer::new(&with_tls).start();
    assert_eq!(prefer.client().one(ssl), "t");
    assert_eq!(Bouncer::new(without).start().client().one(ssl), "f");
    let require = Bouncer::new(without)
        .set("server_tls_sslmode", "require")
        .set("client_login_timeout", 2)
        .start();
    assert_eq!(require.login().refused().severity(), "FATAL");
    let disable = Bouncer::new(&with_tls)
        .set("server_tls_sslmode", "disable")
        .start();
    assert_eq!(disable.client().one(ssl), "f");
    let verified = |ca: &str, host: &str| {
        let line = format!("app = host={host} port={}", with_tls.port);
        let bouncer = Bouncer::new(&with_tls).only_databases(&[&line]);
        let ca = bouncer.file("ca.crt", ca);
        bouncer
            .set("server_tls_sslmode", "verify-full")
            .set("server_tls_ca_file", ca)
            .set("server_login_retry", 1)
            .set("client_login_timeout", 4)
            .start()
    };
    assert_eq!(verified(&authority.pem, "127.0.0.1").client().one(ssl), "t");
    let stranger = crate::support::Authority::new("stranger");
    assert_eq!(
        verified(&stranger.pem, "127.0.0.1")
            .login()
            .refused()
            .severity(),
        "FATAL"
    );
    let wrong_name = verified(&authority.pem, "localhost").login().refused();
    assert_eq!(
        wrong_name.severity(),
        "FATAL",
        "the certificate is for 127.0.0.1"
    );
}
