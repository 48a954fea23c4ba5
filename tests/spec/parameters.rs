//! Settings a client made follow it from server to server (surface 6.3).

use crate::only_pgweir;
use crate::support::frames::{
    bind, cstr, execute, extended, frame, parse, parse_typed, query, sync,
};
use crate::support::{Bouncer, Login, Pg, Running};

fn one_server() -> Running {
    Bouncer::new(Pg::shared()).pool_size(1).start()
}

#[test]
fn each_client_keeps_its_own_tracked_settings_on_a_shared_server() {
    let bouncer = one_server();
    let zones = ["Asia/Tokyo", "Europe/Brussels", "America/Lima"];
    let mut clients: Vec<_> = zones
        .iter()
        .map(|zone| {
            bouncer
                .login()
                .parameter("TimeZone", zone)
                .parameter("application_name", zone)
                .connect()
        })
        .collect();
    for _ in 0..3 {
        for (client, zone) in clients.iter_mut().zip(zones) {
            assert_eq!(client.one("show timezone"), zone);
            assert_eq!(client.one("show application_name"), zone);
        }
    }
}

#[test]
fn a_set_inside_a_session_follows_the_client() {
    let bouncer = one_server();
    let (mut a, mut b) = (bouncer.client(), bouncer.client());
    let reply = a.ok("set datestyle to 'German'; set timezone to 'Asia/Tokyo'");
    assert!(
        reply.parameters.iter().any(|(key, _)| key == "DateStyle"),
        "reported at once"
    );
    assert_eq!(b.one("select '2026-02-01'::date"), "2026-02-01");
    assert_eq!(a.one("select '2026-02-01'::date"), "01.02.2026");
    assert_eq!(a.one("show timezone"), "Asia/Tokyo");
    assert_eq!(b.one("show timezone"), "UTC");
}

#[test]
fn a_set_that_is_rolled_back_does_not_stay() {
    let bouncer = one_server();
    let (mut a, mut b) = (bouncer.client(), bouncer.client());
    a.ok("begin");
    a.ok("set application_name to 'never'");
    a.ok("rollback");
    b.ok("select 1");
    assert_eq!(a.one("show application_name"), "");
}

#[test]
fn client_encoding_follows_the_client() {
    let bouncer = one_server();
    let mut latin = bouncer
        .login()
        .parameter("client_encoding", "LATIN1")
        .connect();
    let mut utf = bouncer.client();
    assert_eq!(utf.one("select octet_length(chr(233))"), "2");
    for _ in 0..3 {
        assert_eq!(latin.one("show client_encoding"), "LATIN1");
        assert_eq!(utf.one("show client_encoding"), "UTF8");
    }
}

#[test]
fn values_with_quotes_and_backslashes_are_set_as_they_are() {
    let bouncer = one_server();
    for name in [
        "it's",
        "back\\slash",
        "semi;colon",
        "'; drop table x; --",
        "\"quoted\"",
    ] {
        let mut client = bouncer
            .login()
            .parameter("application_name", name)
            .connect();
        assert_eq!(client.one("show application_name"), name);
        assert_eq!(bouncer.client().one("show application_name"), "");
    }
}

#[test]
fn the_first_reply_to_a_client_shows_nothing_of_the_switch() {
    let bouncer = one_server();
    let mut a = bouncer
        .login()
        .parameter("TimeZone", "Asia/Tokyo")
        .connect();
    let mut b = bouncer
        .login()
        .parameter("TimeZone", "America/Lima")
        .connect();
    for _ in 0..3 {
        for client in [&mut a, &mut b] {
            let reply = client.ok("select 1");
            assert_eq!(reply.kinds.replace('S', ""), "TDCZ", "{reply:?}");
        }
    }
}

#[test]
fn a_tracked_setting_the_server_rejects_ends_the_client() {
    let bouncer = one_server();
    let mut client = bouncer
        .login()
        .parameter("TimeZone", "Nowhere/Land")
        .connect();
    let error = client.fails("select 1");
    assert_eq!(
        (error.severity(), error.text()),
        ("FATAL", "invalid server parameter")
    );
    assert_eq!(bouncer.client().one("select 1"), "1");
}

#[test]
fn no_set_is_sent_while_nothing_differs() {
    let pg = Pg::with("log_statement = all");
    let bouncer = Bouncer::new(&pg).pool_size(1).start();
    let mut a = bouncer.login().parameter("datestyle", "ISO").connect();
    let mut b = bouncer.login().parameter("datestyle", "iso").connect();
    for n in 0..10 {
        a.one(&format!("select {n}"));
        b.one(&format!("select {n}"));
    }
    let sets = pg
        .log()
        .lines()
        .filter(|line| line.contains("SET "))
        .count();
    assert!(sets <= 2, "{sets} SETs\n{}", pg.log());
}

#[test]
fn discard_all_gives_back_the_values_of_the_clients_login() {
    // PgBouncer gives back the server connection's values (surface 6.3); a direct connection and
    // we give back the client's own. Odoo sends DISCARD ALL at every borrow.
    only_pgweir!();
    let bouncer = one_server();
    let mut client = bouncer
        .login()
        .parameter("application_name", "odoo-1")
        .parameter("TimeZone", "Asia/Tokyo")
        .connect();
    for undo in ["discard all", "reset all", "discard all"] {
        client.ok("set application_name to 'changed'");
        client.ok(undo);
        assert_eq!(client.one("show application_name"), "odoo-1", "{undo}");
        assert_eq!(client.one("show timezone"), "Asia/Tokyo", "{undo}");
    }
}

#[test]
fn extra_parameters_are_tracked_when_asked_for() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(1)
        .set("track_extra_parameters", "IntervalStyle")
        .start();
    let (mut a, mut b) = (bouncer.client(), bouncer.client());
    a.ok("set intervalstyle to 'iso_8601'");
    assert_eq!(b.one("select interval '1 day'"), "1 day");
    assert_eq!(a.one("select interval '1 day'"), "P1D");
}

/// Bind with all values in binary format.
fn bind_binary(statement: &str, values: &[&[u8]]) -> Vec<u8> {
    let mut body = [cstr(""), cstr(statement)].concat();
    body.extend([0, 1, 0, 1]);
    body.extend((values.len() as u16).to_be_bytes());
    for value in values {
        body.extend((value.len() as u32).to_be_bytes());
        body.extend(*value);
    }
    body.extend([0, 0]);
    frame(b'B', &body)
}

#[test]
fn what_set_config_sets_by_parameters_is_the_clients_own() {
    only_pgweir!();
    let bouncer = one_server();
    let (mut client, mut other) = (bouncer.client(), bouncer.client());
    let setting = "select current_setting('my.tenant', true)";
    let run = [execute("", 0), sync()].concat();
    let typed = |sql: &str| parse_typed("typed", sql, &[25, 25, 16]);
    let ways: [(&str, Vec<u8>); 5] = [
        (
            "it's",
            extended("select set_config('my.tenant', $1, false)", &["it's"]),
        ),
        (
            "two",
            extended(
                "select set_config($1, $2::text, $3)",
                &["my.tenant", "two", "off"],
            ),
        ),
        (
            "3",
            [
                parse(
                    "named",
                    "select set_config('my.tenant', $1, false), $2::int",
                ),
                bind("", "named", &["3", "3"]),
                run.clone(),
            ]
            .concat(),
        ),
        (
            "binary",
            [
                typed("select set_config($1, $2, $3)"),
                bind_binary("typed", &[b"my.tenant", b"binary", &[0]]),
                run.clone(),
            ]
            .concat(),
        ),
        ("again", [bind("", "named", &["again", "1"]), run].concat()),
    ];
    for (value, bytes) in ways {
        client.put(&bytes);
        client.until_ready();
        other.ok("set my.tenant to 'other'");
        assert_eq!(client.one(setting), value);
        assert_eq!(other.one(setting), "other");
    }
    client.put(&extended(
        "select set_config('my.tenant', $1, true)",
        &["local"],
    ));
    client.until_ready();
    client.ok("begin");
    client.put(&extended(
        "select set_config('my.tenant', $1, false)",
        &["undone"],
    ));
    client.until_ready();
    client.ok("rollback");
    other.ok("select 1");
    assert_eq!(client.one(setting), "again");
}

#[test]
fn what_is_set_by_a_portal_that_is_read_in_pieces_counts() {
    only_pgweir!();
    let bouncer = one_server();
    let (mut client, mut other) = (bouncer.client(), bouncer.client());
    let setting = "select coalesce(current_setting('my.tenant', true), '')";
    for (value, sql) in [
        ("bound", "select set_config('my.tenant', $1, false)"),
        ("said", "select set_config('my.tenant', 'said', false), $1"),
    ] {
        let run = [bind("", "", &[value]), execute("", 1), sync()].concat();
        client.put(&[parse("", sql), run].concat());
        client.until_ready();
        assert_eq!(other.one(setting), "");
        assert_eq!(client.one(setting), value);
    }
    let long = "x".repeat(20_000);
    client.put(&extended(
        "select set_config('my.tenant', $1, false)",
        &[&long],
    ));
    client.until_ready();
    assert_eq!(other.one(setting), "");
    assert_eq!(client.one(setting), long);
    // What a cast makes of a value is not known here, so it is not kept, and never wrong.
    client.ok("select set_config('my.tenant', 't'::bool::text, false)");
    assert_ne!(client.one(setting), "t");
}

#[test]
fn what_set_config_computes_is_asked_for() {
    only_pgweir!();
    let bouncer = one_server();
    let (mut client, mut other) = (bouncer.client(), bouncer.client());
    let setting = "select coalesce(current_setting('my.tenant', true), '')";
    let direct = Pg::shared();
    let mut direct = Login::new(direct.port).connect();
    for sql in [
        "select set_config('my.tenant', 'a' || 1, false)",
        "select set_config('my.tenant', ('b'), false), now()",
        "select set_config('my.tenant', cast('c' as text), false)",
        "select * from set_config('my.tenant', 'd', false) as result",
        "select set_config('my.tenant', 'e', false) from generate_series(1, 3) limit 1",
        "select set_config('my.tenant', upper(n), 0::bool) from (values ('x'), ('y')) v (n)",
        "with q as (select set_config('my.tenant', 'f', false)) select * from q",
        "begin; select set_config('my.tenant', 'g' || 1, false); commit",
        "begin; select set_config('my.tenant', 'h' || 1, false); rollback",
        "begin; savepoint a; select set_config('my.tenant', 'i' || 1, false); rollback to a; commit",
        "select set_config('my.tenant', 'j' || 1, not false)",
        "select case when false then set_config('my.tenant', 'k', false) end",
        "select set_config('my.tenant', $q$it's \\ 'l'$q$ || 1, false)",
        "select set_config('search_path', 'pg_catalog, ' || 'public', false)",
        "select set_config('port', '1' || 1, false) where false",
        "select set_config('work_mem', '9' || 'MB', false) where false",
        "select set_config('my.tenant', 'm' || 1, false), 1 / 0",
    ] {
        for who in [&mut client, &mut direct] {
            who.query(sql);
        }
        other.ok("set my.tenant to 'other'; set search_path to public");
        for ask in [setting, "show search_path"] {
            assert_eq!(client.one(ask), direct.one(ask), "{sql}");
        }
        assert_eq!(other.one(setting), "other");
    }
    // Behind other messages in one write, where it cannot be asked for.
    other.ok("reset my.tenant");
    let alone = query("select set_config('my.tenant', 'n' || 1, false)");
    let batch = [extended("select 1", &[]), alone, extended("select 2", &[])];
    client.put(&batch.concat());
    for _ in &batch {
        client.until_ready();
    }
    assert_eq!(other.one(setting), "");
    assert_eq!(client.one(setting), "n1");
}

#[test]
fn what_is_asked_for_hides_nothing_that_is_not_known() {
    only_pgweir!();
    let bouncer = one_server();
    let (mut client, mut other) = (bouncer.client(), bouncer.client());
    client.ok("begin");
    client.ok("select set_config('my.' || n, 'left', false) from (values ('hidden')) v (n)");
    client.ok("select set_config('my.tenant', 'a' || 1, false)");
    client.ok("commit");
    let hidden = "select coalesce(current_setting('my.hidden', true), '')";
    assert_eq!(other.one(hidden), "");
    assert_eq!(client.one("select current_setting('my.tenant')"), "a1");
}
