//! Sessions at the console: waiting commands, cancels, hang-ups, broken frames, figures over time.

use crate::support::frames::{bind, execute, frame, parse, query, sync};
use crate::support::{Bouncer, Pg, RawClient, Reply, Running};
use crate::{assert_soon, only_pgweir};
use std::time::Duration;

fn start() -> Running {
    Bouncer::new(Pg::shared()).pool_size(2).start()
}

fn is_paused(bouncer: &Running) -> bool {
    let state = bouncer.show("show state");
    state
        .cell("value", |row| row.get("key") == "paused")
        .as_deref()
        == Some("yes")
}

/// A client inside a transaction, and a console whose PAUSE waits for it.
fn waiting_pause(bouncer: &Running) -> (RawClient, RawClient) {
    let mut busy = bouncer.client();
    busy.ok("begin");
    let mut console = bouncer.console();
    console.put(&query("pause"));
    assert_soon!(is_paused(bouncer), "PAUSE is in force");
    (busy, console)
}

#[test]
fn a_canceled_pause_is_answered_and_everything_goes_on() {
    // PgBouncer resumes as well, but never answers (surface 8).
    only_pgweir!();
    let bouncer = start();
    let (mut busy, mut console) = waiting_pause(&bouncer);
    let mut held = bouncer.client();
    held.put(&query("select 'held'"));
    assert!(console.silent_for(Duration::from_millis(200)));
    console.canceller()();
    let reply = console.until_ready();
    assert_eq!(reply.error().sqlstate(), "57014");
    assert_eq!(held.until_ready().one(), "held");
    assert!(!is_paused(&bouncer));
    busy.ok("commit");
    assert_eq!(console.ok("show version").rows.len(), 1);
}

#[test]
fn a_console_that_hangs_up_leaves_the_pause_in_force() {
    let bouncer = start();
    let (mut busy, console) = waiting_pause(&bouncer);
    console.vanish();
    busy.ok("commit");
    busy.put(&query("select 'later'"));
    assert!(busy.silent_for(Duration::from_millis(500)));
    bouncer.show("resume");
    assert_eq!(busy.until_ready().one(), "later");
}

#[test]
fn kill_client_ends_a_waiting_console_too() {
    only_pgweir!();
    let bouncer = start();
    let (_busy, mut console) = waiting_pause(&bouncer);
    let clients = bouncer.show("show clients");
    let id = clients.cell("id", |row| row.get("database") == "pgbouncer");
    let id = id.expect("the one that has waited longest is first");
    bouncer.show(&format!("kill_client {id}"));
    assert_eq!(console.end().error().text(), "admin forced disconnect");
}

#[test]
fn a_broken_frame_ends_its_own_session_only() {
    let bouncer = start();
    let mut other = bouncer.console();
    let broken: [(&str, Vec<u8>); 5] = [
        ("a query without its end", frame(b'Q', b"show pools")),
        ("a length below four", vec![b'Q', 0, 0, 0, 3]),
        (
            "a length of two gigabytes",
            vec![b'Q', 0x7f, 0xff, 0xff, 0xff],
        ),
        ("a bind cut short", frame(b'B', b"\0\0\0\x09")),
        ("an unknown type", frame(b'!', b"")),
    ];
    for (name, bytes) in broken {
        let mut console = bouncer.console();
        console.put(&bytes);
        let reply = console.end();
        assert!(reply.rows.is_empty(), "{name}: {reply:?}");
        assert_eq!(other.ok("show version").rows.len(), 1, "{name}");
    }
}

#[test]
fn prepared_commands_run_again_and_mistakes_wait_for_sync() {
    only_pgweir!();
    let bouncer = start();
    let mut console = bouncer.console();
    let run = [bind("", "s", &[]), execute("", 0), sync()].concat();
    console.exchange(&[parse("s", "show state"), sync()].concat());
    for _ in 0..2 {
        let reply = console.exchange(&run);
        assert_eq!(
            (reply.rows.len(), reply.tags.as_slice()),
            (3, &["SHOW".to_owned()][..])
        );
    }
    let wrong = [
        parse("", "show nothing"),
        bind("", "", &[]),
        execute("", 0),
        sync(),
    ]
    .concat();
    let reply = console.exchange(&wrong);
    assert_eq!(reply.errors.len(), 1);
    assert_eq!(
        reply.error().text(),
        "invalid command 'show nothing', use SHOW HELP;"
    );
    assert_eq!(console.ok("show state").rows.len(), 3);
}

#[test]
fn a_linked_client_and_its_server_point_at_each_other() {
    let bouncer = start();
    let mut client = bouncer.client();
    client.ok("begin");
    let (clients, servers) = (bouncer.show("show clients"), bouncer.show("show servers"));
    let client = clients.table().find(|row| row.get("state") == "active");
    let server = servers.table().find(|row| row.get("state") == "active");
    let (client, server) = (client.expect("linked"), server.expect("linked"));
    assert_eq!(client.get("link"), server.get("ptr"));
    assert_eq!(server.get("link"), client.get("ptr"));
    assert!(client.get("ptr").starts_with("0x"));
    assert!(server.number("remote_pid") > 0);
}

#[test]
fn averages_and_the_stats_line_follow_the_load() {
    let bouncer = Bouncer::new(Pg::shared()).set("stats_period", 1).start();
    let mut client = bouncer.client();
    let average = |name: &str| {
        let stats = bouncer.show("show stats");
        let value = stats.cell(name, |row| row.get("database") == "app");
        value.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0)
    };
    assert_soon!(
        {
            client.one("select pg_sleep(0.01)");
            average("avg_query_count") > 0
                && average("avg_query_time") >= 10_000
                && average("avg_xact_time") >= average("avg_query_time") / 2
        },
        "the averages show the load"
    );
    assert_soon!(bouncer.logged("stats: ") > 0, "the line is in the log");
    let log = bouncer.log();
    let line = log
        .lines()
        .rfind(|line| line.contains(" stats: "))
        .expect("there");
    for part in [
        "xacts/s, ",
        "queries/s, ",
        " client logins/s, in ",
        " B/s, xact ",
        " us, wait ",
    ] {
        assert!(line.contains(part), "{part:?} in {line}");
    }
    drop(client);
    assert_soon!(average("avg_query_count") == 0, "and its end");
}

#[test]
fn a_console_that_does_not_read_can_be_ended() {
    let bouncer = start();
    let mut stuck = bouncer.console();
    // More than two socket buffers can hold, so that the session is stuck in a write.
    stuck.put(&query("show config").repeat(500));
    let console = |reply: &Reply| {
        let id = reply.cell("id", |row| row.get("database") == "pgbouncer");
        id.expect("there")
    };
    let id = console(&bouncer.show("show clients"));
    bouncer.show(&format!("kill_client {id}"));
    assert_soon!(console(&bouncer.show("show clients")) != id, "it is gone");
    drop(stuck);
}

#[test]
fn the_console_shows_itself() {
    let bouncer = start();
    let login = bouncer.login().user("admin").database("pgbouncer");
    let mut console = login.parameter("application_name", "watcher").connect();
    let clients = console.ok("show clients");
    let row = clients
        .table()
        .find(|row| row.get("database") == "pgbouncer");
    let row = row.expect("its own");
    assert_eq!((row.get("type"), row.get("user")), ("C", "admin"));
    assert_eq!(row.get("application_name"), "watcher");
    assert_eq!(row.number("port"), i64::from(console.local_port()));
    let pools = console.ok("show pools");
    let row = pools.table().find(|row| row.get("database") == "pgbouncer");
    let row = row.expect("its pool");
    assert_eq!((row.get("user"), row.number("cl_active")), ("pgbouncer", 1));
    let stats = console.ok("show stats_totals");
    let row = stats.table().find(|row| row.get("database") == "pgbouncer");
    assert!(row.expect("counted").number("query_count") >= 1);
}

#[test]
fn many_consoles_look_while_the_pool_works() {
    let bouncer = start();
    let mut client = bouncer.client();
    let mut consoles: Vec<_> = (0..10).map(|_| bouncer.console()).collect();
    for round in 0..20 {
        assert_eq!(client.one(&format!("select {round}")), round.to_string());
        for console in &mut consoles {
            console.put(&query("show sockets"));
        }
        for console in &mut consoles {
            assert!(console.until_ready().rows.len() >= 11);
        }
    }
}
