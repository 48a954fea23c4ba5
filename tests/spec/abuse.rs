//! Clients that ask for too much of a session: a thousand settings, a storm of LISTEN, temporary
//! tables that are never dropped, blocks that are begun and left. They harm nobody else.

use crate::assert_soon;
use crate::only_pgweir;
use crate::support::frames::query;
use crate::support::witness::{UNTOUCHED, WITNESS};
use crate::support::{Bouncer, Pg, RawClient, Running};
use crate::twin::Features;
use std::fmt::Write;

/// Whether pgweir does this by now.
fn lacks(feature: u32) -> bool {
    !crate::support::is_pgweir() || !Features::on().has(feature)
}

#[track_caller]
fn sees_nothing(client: &mut RawClient) {
    let reply = client.ok(WITNESS);
    let cells: Vec<&str> = reply.rows[0]
        .iter()
        .map(|cell| cell.as_deref().unwrap_or(""))
        .collect();
    assert_eq!(cells.join("|"), UNTOUCHED);
}

fn settings_of(who: usize, names: std::ops::Range<usize>) -> String {
    names.fold(String::new(), |mut sql, n| {
        write!(sql, "set my.v{n} to 'client {who} value {n}';").unwrap();
        sql
    })
}

#[test]
fn hundreds_of_settings_each_stay_with_their_clients() {
    if lacks(Features::SETTINGS) {
        return;
    }
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(2).start();
    let mut clients: Vec<_> = (0..6).map(|_| bouncer.client_of(&database)).collect();
    for piece in 0..5 {
        for (who, client) in clients.iter_mut().enumerate() {
            client.ok(&settings_of(who, piece * 50..(piece + 1) * 50));
        }
    }
    for round in 0..5 {
        for (who, client) in clients.iter_mut().enumerate() {
            for n in [0, 99, 150 + round, 249] {
                let got = client.one(&format!("show my.v{n}"));
                assert_eq!(got, format!("client {who} value {n}"));
            }
        }
    }
    let mut stranger = bouncer.client_of(&database);
    let none = "select string_agg(coalesce(current_setting('my.v' || n, true), ''), '') from generate_series(0, 999) n";
    assert_eq!(stranger.one(none), "");
    sees_nothing(&mut stranger);
    clients[3].ok("discard all");
    assert_eq!(clients[3].one(none), "");
    assert_eq!(clients[2].one("show my.v7"), "client 2 value 7");
}

#[test]
fn a_thousand_settings_are_too_many_and_nobody_else_sees_one() {
    if lacks(Features::SETTINGS) {
        return;
    }
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(1).start();
    let mut calm = bouncer.client_of(&database);
    for who in 0..3 {
        let mut greedy = bouncer.client_of(&database);
        let error = (0..100).find_map(|piece| {
            let reply = greedy.query(&settings_of(who, piece * 10..(piece + 1) * 10));
            sees_nothing(&mut calm);
            reply.errors.first().cloned()
        });
        let error = error.expect("there is a limit");
        assert!(error.text().contains("too many settings"), "{error:?}");
        sees_nothing(&mut calm);
    }
}

#[test]
fn settings_that_come_and_go_cost_no_memory() {
    if lacks(Features::SETTINGS) {
        return;
    }
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(2).start();
    let mut clients: Vec<_> = (0..4).map(|_| bouncer.client_of(&database)).collect();
    let mut round = |n: usize| {
        for (who, client) in clients.iter_mut().enumerate() {
            client.ok(&format!("set my.marker to '{who} {n}'"));
            assert_eq!(client.one("show my.marker"), format!("{who} {n}"));
        }
    };
    (0..200).for_each(&mut round);
    let before = resident(&bouncer);
    (200..2500).for_each(&mut round);
    let grown = resident(&bouncer).saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} kB for settings that are gone");
}

/// kB of memory of the process.
fn resident(bouncer: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", bouncer.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let digits = line.unwrap().trim().trim_end_matches(" kB");
    digits.parse().unwrap()
}

#[test]
fn a_huge_value_is_a_value() {
    if lacks(Features::SETTINGS) {
        return;
    }
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(1).start();
    let (mut a, mut b) = (bouncer.client_of(&database), bouncer.client_of(&database));
    for length in [1000, 20_000, 60_000] {
        a.ok(&format!("set my.var to '{}'", "x".repeat(length)));
        sees_nothing(&mut b);
        assert_eq!(
            a.one("select length(current_setting('my.var'))"),
            length.to_string()
        );
        sees_nothing(&mut b);
    }
    a.query(&format!("set my.var to '{}'", "x".repeat(1_000_000)));
    sees_nothing(&mut b);
}

#[test]
fn a_storm_of_listen_ends_at_its_limit_and_harms_nobody() {
    if lacks(Features::LISTEN) {
        return;
    }
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .pool_size(2)
        .own("max_listen_channels", 50)
        .start();
    let mut calm = bouncer.client_of(&database);
    calm.ok("listen calm");
    let mut greedy = bouncer.client_of(&database);
    let refused = (0..200).find_map(|n| {
        let reply = greedy.query(&format!("listen storm_{n}"));
        reply.errors.first().cloned().map(|error| (n, error))
    });
    let (n, error) = refused.expect("there is a limit");
    assert!((50..=51).contains(&n), "{n}: {error:?}");
    assert!(error.text().contains("max_listen_channels"), "{error:?}");
    let mut sender = bouncer.client_of(&database);
    sender.ok("notify storm_7; notify calm, 'still here'");
    let message = calm.receive().expect("the notification");
    assert_eq!(message.tag, b'A');
}

#[test]
fn many_listeners_hear_each_their_own() {
    if lacks(Features::LISTEN) {
        return;
    }
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .pool_size(2)
        .set("max_client_conn", 200)
        .start();
    let mut listeners: Vec<_> = (0..60).map(|_| bouncer.client_of(&database)).collect();
    for (n, client) in listeners.iter_mut().enumerate() {
        client.ok(&format!("listen own_{n}; listen third_{}", n % 3));
    }
    let mut sender = bouncer.client_of(&database);
    for n in 0..60 {
        sender.ok(&format!("notify own_{n}, 'for {n}'"));
    }
    for n in 0..3 {
        sender.ok(&format!("notify third_{n}, 'for all of {n}'"));
    }
    for (n, client) in listeners.iter_mut().enumerate() {
        for expected in [
            format!("own_{n}\0for {n}\0"),
            format!("third_{}\0for all of {}\0", n % 3, n % 3),
        ] {
            let message = client.receive().expect("a notification");
            assert_eq!(message.tag, b'A');
            assert_eq!(String::from_utf8_lossy(&message.body[4..]), expected);
        }
    }
    assert_soon!(pg.backends(&database) <= 3, "no listener keeps a server");
}

#[test]
fn a_burst_of_notifications_larger_than_a_buffer_arrives_whole() {
    if lacks(Features::LISTEN) {
        return;
    }
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(2).start();
    let mut listener = bouncer.client_of(&database);
    listener.ok("listen burst");
    let mut sender = bouncer.client_of(&database);
    let sql = "select pg_notify('burst', n || repeat(' ', 7000)) from generate_series(0, 99) n";
    for _ in 0..3 {
        sender.ok(sql);
        for n in 0..100 {
            let message = listener.receive().expect("a notification");
            let heard = String::from_utf8_lossy(&message.body[4..]).into_owned();
            assert!(heard.starts_with(&format!("burst\0{n} ")), "{n}");
        }
    }
}

#[test]
fn a_listener_that_never_reads_is_ended_and_the_others_hear_everything() {
    if lacks(Features::LISTEN) {
        return;
    }
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .pool_size(2)
        .own("listen_buffer", 1_000_000)
        .start();
    let mut deaf = bouncer.client_of(&database);
    deaf.ok("listen flood");
    let mut listener = bouncer.client_of(&database);
    listener.ok("listen flood");
    let mut sender = bouncer.client_of(&database);
    // The one that reads keeps up with the sender; for the other it piles up.
    for n in (0..6000).step_by(20) {
        let text = "x".repeat(7000);
        let sql: String = (n..n + 20)
            .map(|n| format!("notify flood, '{n} {text}';"))
            .collect();
        sender.ok(&sql);
        for n in n..n + 20 {
            let message = listener.receive().expect("a notification");
            let heard = String::from_utf8_lossy(&message.body[4..]).into_owned();
            assert!(heard.starts_with(&format!("flood\0{n} ")), "{n}");
        }
    }
    assert_soon!(
        bouncer.show("show clients").rows.len() < 4,
        "the deaf one is gone: {:?}",
        bouncer.show("show clients").rows
    );
    drop(deaf);
}

#[test]
fn who_hoards_temporary_tables_gets_an_error_and_the_pool_lives() {
    if lacks(Features::TEMP) {
        return;
    }
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(3).own("max_pins", 2).start();
    let mut hoarders = Vec::new();
    let mut refused = 0;
    for _ in 0..6 {
        let mut client = bouncer.client_of(&database);
        let reply = client.query("create temp table hoard as select 1 as n");
        match reply.errors.first() {
            None => assert_eq!(client.one("select n from hoard"), "1"),
            Some(error) => {
                assert!(error.text().contains("max_pins"), "{error:?}");
                refused += 1;
            }
        }
        hoarders.push(client);
    }
    assert_eq!(refused, 4);
    let mut calm = bouncer.client_of(&database);
    for _ in 0..10 {
        sees_nothing(&mut calm);
    }
    drop(hoarders);
    assert_soon!(
        bouncer
            .client_of(&database)
            .query("create temp table later (n int)")
            .errors
            .is_empty(),
        "pins end with their clients"
    );
}

#[test]
fn a_pin_ends_after_its_time() {
    if lacks(Features::TEMP) {
        return;
    }
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(1).own("pin_timeout", 1).start();
    let mut hoarder = bouncer.client_of(&database);
    hoarder.ok("create temp table hoard as select 1 as n");
    let mut calm = bouncer.client_of(&database);
    sees_nothing(&mut calm);
    let last = hoarder.end();
    assert!(last.error().text().contains("pin_timeout"), "{last:?}");
}

#[test]
fn blocks_that_are_begun_and_left_cost_nothing() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .pool_size(1)
        .set("max_client_conn", 500)
        .start();
    let mut calm = bouncer.client_of(&database);
    let half = query("select 'half a statement'");
    for n in 0..100 {
        let mut client = bouncer.client_of(&database);
        client.put(&query("begin isolation level serializable"));
        match n % 4 {
            0 => {}
            1 => drop(client.until_ready()),
            2 => client.put(&half[..10]),
            _ => {
                client.until_ready();
                client.put(&query("select 'whole'"));
            }
        }
        client.vanish();
        if n % 10 == 0 {
            assert_eq!(calm.one("show transaction_isolation"), "read committed");
        }
    }
    assert_eq!(calm.one("show transaction_isolation"), "read committed");
    assert_soon!(
        bouncer.pool(&database, "app", "sv_active") == 0
            && bouncer.pool(&database, "app", "cl_waiting") == 0,
        "nobody is left"
    );
}

#[test]
fn a_bad_value_in_the_startup_packet_hurts_only_its_client() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(1).start();
    let login = bouncer.login().database(&database);
    for (key, value) in [
        ("TimeZone", "Nowhere/Land"),
        ("work_mem", "a lot"),
        ("no_such_setting", "1"),
        ("options", "-c lock_timeout=soon"),
        ("options", "-c log_min_messages=debug5"),
        ("role", "nobody"),
        ("my.var\"; drop table x; --", "1"),
        ("search_path", "'; set work_mem to '99MB"),
    ] {
        if let Ok(mut client) = login.clone().parameter(key, value).try_connect() {
            let _ = client.query("select 1");
            let _ = client.query("begin; select 1");
            client.vanish();
        }
        let mut next = bouncer.client_of(&database);
        assert_eq!(next.one("show work_mem"), "4MB", "{key}={value}");
        assert_eq!(next.one("show timezone"), "UTC", "{key}={value}");
        if !lacks(Features::SETTINGS) {
            sees_nothing(&mut next);
        }
    }
}
