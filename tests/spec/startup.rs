//! Settings of the startup packet and of its options, tracked or not (ours; PgBouncer refuses what
//! it does not track).

use crate::only_pgweir;

use crate::support::{Bouncer, Login, Pg, RawClient, Running};

const OPTIONS: &str = "-c work_mem=5MB -c search_path=Shop,\\ \"$user\" --app.user-id=7 \
                       -c TimeZone=Asia/Tokyo -c IntervalStyle=iso_8601 -c work_mem=6MB";

const SHOWN: [&str; 7] = [
    "work_mem",
    "search_path",
    "app.user_id",
    "TimeZone",
    "IntervalStyle",
    "lock_timeout",
    "geqo",
];

fn with_settings(login: Login) -> RawClient {
    let login = login.parameter("options", OPTIONS);
    let login = login.parameter("lock_timeout", "3s");
    login.parameter("GEQO", "off").connect()
}

/// A custom setting that was reset is empty in PostgreSQL, one that never was set is NULL.
fn shown(client: &mut RawClient) -> Vec<String> {
    SHOWN
        .iter()
        .map(|name| {
            client.one(&format!(
                "select coalesce(current_setting('{name}', true), '')"
            ))
        })
        .collect()
}

/// Two servers, each of which the others' clients have used.
fn pool_of_two(pg: &Pg) -> Running {
    Bouncer::new(pg).pool_size(2).start()
}

#[test]
fn settings_of_the_startup_packet_hold_on_every_server() {
    only_pgweir!();
    let pg = Pg::shared();
    let bouncer = pool_of_two(pg);
    let direct = shown(&mut with_settings(Login::new(pg.port)));
    assert_eq!(direct[0], "6MB");
    let plain = shown(&mut Login::new(pg.port).connect());
    let mut client = with_settings(bouncer.login());
    let mut other = bouncer.client();
    assert_eq!(client.parameter("IntervalStyle"), Some("iso_8601"));
    for round in 0..3 {
        assert_eq!(shown(&mut client), direct, "{round}");
        assert_eq!(shown(&mut other), plain, "{round}");
        // The one server is taken: the other one is next.
        other.ok("begin");
        other.one("select 1");
        assert_eq!(shown(&mut client), direct, "{round}");
        other.ok("commit");
    }
}

#[test]
fn reset_goes_back_to_the_value_of_the_startup_packet() {
    only_pgweir!();
    let pg = Pg::shared();
    let bouncer = pool_of_two(pg);
    for (reset, still) in [
        ("reset work_mem", "5s"),
        ("set work_mem to default", "5s"),
        ("reset all", "3s"),
        ("discard all", "3s"),
    ] {
        for login in [Login::new(pg.port), bouncer.login()] {
            let mut client = with_settings(login);
            client.ok("set work_mem to '1MB'");
            client.ok("set lock_timeout to '5s'");
            assert_eq!(client.one("show work_mem"), "1MB");
            client.ok(reset);
            assert_eq!(client.one("show work_mem"), "6MB", "{reset}");
            assert_eq!(client.one("show lock_timeout"), still, "{reset}");
        }
    }
    let mut client = with_settings(bouncer.login());
    client.ok("begin");
    client.ok("set work_mem to '1MB'");
    client.ok("reset work_mem");
    assert_eq!(client.one("show work_mem"), "6MB", "inside a transaction");
    client.ok("rollback");
    assert_eq!(client.one("show work_mem"), "6MB");
}

#[test]
fn set_local_to_default_is_the_value_of_the_startup_packet_for_the_transaction() {
    only_pgweir!();
    let pg = Pg::shared();
    let bouncer = pool_of_two(pg);
    for login in [Login::new(pg.port), bouncer.login()] {
        let mut client = with_settings(login);
        client.ok("set search_path to public");
        client.ok("set timezone to 'America/Lima'");
        client.ok("begin");
        client.ok("set local search_path to default");
        client.ok("set local time zone default");
        client.ok("set local work_mem = default");
        client.ok("savepoint a");
        assert_eq!(client.one("show search_path"), "Shop, \"$user\"");
        assert_eq!(client.one("show timezone"), "Asia/Tokyo");
        assert_eq!(client.parameter("TimeZone"), Some("Asia/Tokyo"));
        assert_eq!(client.one("show work_mem"), "6MB");
        client.ok("commit");
        assert_eq!(client.one("show search_path"), "public");
        assert_eq!(client.one("show timezone"), "America/Lima");
        assert_eq!(client.parameter("TimeZone"), Some("America/Lima"));
        client.ok("set local time zone default");
        assert_eq!(client.one("show timezone"), "America/Lima");
        client.ok("begin; savepoint a");
        client.fails("set local time zone default; select 1/0");
        client.ok("rollback to a");
        assert_eq!(client.one("show timezone"), "America/Lima");
        client.ok("rollback");
    }
}

#[test]
fn what_postgresql_refuses_is_told_in_its_own_words() {
    only_pgweir!();
    let pg = Pg::shared();
    let bouncer = pool_of_two(pg);
    let bad = |login: Login| login.parameter("work_mem", "much");
    let direct = bad(Login::new(pg.port)).refused();
    let mut client = bad(bouncer.login()).connect();
    let error = client.fails("select 1");
    assert_eq!(
        (error.severity(), error.sqlstate(), error.text()),
        ("FATAL", direct.sqlstate(), direct.text())
    );
    assert_eq!(bouncer.client().one("select 1"), "1");
}

#[test]
fn a_crowd_on_two_servers_keeps_its_own_settings() {
    only_pgweir!();
    let pg = Pg::shared();
    for mode in ["strict", "tracked"] {
        let bouncer = Bouncer::new(pg)
            .pool_size(2)
            .own("session_state", mode)
            .start();
        let mut clients: Vec<_> = (1..=20)
            .map(|number| {
                let options = format!("-c work_mem={number}MB -c app.number={number}");
                bouncer.login().parameter("options", &options).connect()
            })
            .collect();
        for round in 0..3 {
            for (index, client) in clients.iter_mut().enumerate() {
                let sql = "select current_setting('work_mem') || current_setting('app.number')";
                let number = index + 1;
                assert_eq!(
                    client.one(sql),
                    format!("{number}MB{number}"),
                    "{mode} {round}"
                );
            }
        }
    }
}

#[test]
fn what_is_to_be_ignored_is_not_set() {
    only_pgweir!();
    let pg = Pg::shared();
    let bouncer = Bouncer::new(pg)
        .set("ignore_startup_parameters", "work_mem")
        .start();
    let login = bouncer.login().parameter("work_mem", "7MB");
    assert_ne!(login.connect().one("show work_mem"), "7MB");
}

#[test]
fn set_local_to_default_never_tells_another_value_than_the_clients_own() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared()).pool_size(1).start();
    let mut client = bouncer
        .login()
        .parameter("TimeZone", "Asia/Tokyo")
        .connect();
    client.ok("begin");
    for sql in [
        "set local timezone to 'UTC'",
        "set local timezone to default",
    ] {
        client.ok(sql);
    }
    assert_eq!(client.parameter("TimeZone"), Some("Asia/Tokyo"));
    assert_eq!(client.one("show timezone"), "Asia/Tokyo");
}
