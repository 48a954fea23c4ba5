//! LISTEN, NOTIFY and UNLISTEN in transaction mode behave as on a direct connection.

use std::process::Command;
use std::time::Duration;

use futures_util::{StreamExt, stream};

use crate::assert_soon;
use crate::only_pgweir;
use crate::support::frames::{extended, query, sync};
use crate::support::{Bouncer, Login, Notification, Pg, RawClient, Running, output_of};

const MOMENT: Duration = Duration::from_millis(300);

struct World {
    pg: &'static Pg,
    database: String,
    bouncer: Running,
}

fn world(size: u32) -> World {
    let pg = Pg::shared();
    World {
        pg,
        database: pg.database(),
        bouncer: Bouncer::new(pg)
            .pool_size(size)
            .set("server_login_retry", 1)
            .start(),
    }
}

impl World {
    fn client(&self) -> RawClient {
        self.bouncer.client_of(&self.database)
    }

    /// Not through the pooler.
    fn direct(&self) -> RawClient {
        Login::new(self.pg.port)
            .user("app")
            .database(&self.database)
            .connect()
    }

    fn listening_backends(&self) -> usize {
        let sql = format!(
            "select count(*) from pg_stat_activity \
             where datname = '{}' and application_name = 'pgweir listen'",
            self.database
        );
        self.pg.ask(&sql).parse().unwrap()
    }

    fn end_listening_backend(&self) {
        let sql = format!(
            "select pg_terminate_backend(pid) from pg_stat_activity \
             where datname = '{}' and application_name = 'pgweir listen'",
            self.database
        );
        assert_eq!(self.pg.ask(&sql), "t");
    }
}

/// The next message, which must be a notification.
fn next(client: &mut RawClient) -> Notification {
    let message = client.receive().expect("a notification, not the end");
    assert_eq!(message.tag as char, 'A');
    Notification::parse(&message.body)
}

fn payloads(notes: &[Notification]) -> Vec<&str> {
    notes.iter().map(|note| note.payload.as_str()).collect()
}

#[test]
fn an_idle_client_gets_a_notification_at_once_with_pid_channel_and_payload() {
    only_pgweir!();
    let world = world(1);
    let (mut listener, mut sender) = (world.client(), world.client());
    assert_eq!(listener.ok("listen imbus").tags, ["LISTEN"]);
    let pid = sender.backend();
    sender.ok("notify imbus, 'It''s \u{e9}t\u{e9}'");
    let got = next(&mut listener);
    let (channel, payload) = ("imbus".to_owned(), "It's \u{e9}t\u{e9}".to_owned());
    assert_eq!(
        got,
        Notification {
            pid,
            channel,
            payload
        }
    );
    assert_eq!(listener.one("select 1"), "1");
}

#[test]
fn odoos_cron_and_bus_wake_up_on_one_server_that_others_keep_busy() {
    only_pgweir!();
    let world = world(1);
    let mut cron = world.client();
    cron.ok("begin");
    cron.ok("select pg_is_in_recovery()");
    cron.ok("listen cron_trigger");
    cron.ok("commit");
    let mut worker = world.client();
    for n in 0..20 {
        worker.ok("begin");
        worker.ok(&format!("select pg_notify('cron_trigger', '{n}')"));
        worker.ok("select 1");
        worker.ok("commit");
        assert_eq!(next(&mut cron).payload, n.to_string());
    }
    assert_eq!(cron.one("select 2"), "2");
}

#[test]
fn listen_holds_from_its_commit_and_not_after_a_rollback() {
    only_pgweir!();
    let world = world(1);
    let (mut listener, mut sender) = (world.client(), world.client());
    listener.ok("begin; listen a; rollback");
    listener.ok("begin");
    listener.ok("listen a");
    listener.ok("rollback");
    listener.ok("begin");
    listener.ok("listen kept");
    listener.ok("savepoint s");
    listener.ok("listen a");
    listener.ok("rollback to s");
    listener.ok("commit");
    listener.query("listen a; select 1 / 0");
    sender.ok("notify a, 'lost'");
    sender.ok("notify kept, 'found'");
    assert_eq!(next(&mut listener).payload, "found");
    assert!(listener.silent_for(MOMENT));
}

#[test]
fn what_was_committed_before_listen_is_not_delivered_though_another_client_gets_it() {
    only_pgweir!();
    let world = world(2);
    let (mut early, mut late, mut sender) = (world.client(), world.client(), world.client());
    early.ok("listen a");
    for n in 0..50 {
        sender.ok(&format!("notify a, 'before {n}'"));
        late.ok("listen a");
        sender.ok(&format!("notify a, 'after {n}'"));
        assert_eq!(next(&mut late).payload, format!("after {n}"));
        late.ok("unlisten a");
        assert_eq!(next(&mut early).payload, format!("before {n}"));
        assert_eq!(next(&mut early).payload, format!("after {n}"));
    }
}

#[test]
fn nothing_comes_inside_a_transaction_and_all_of_it_with_its_end() {
    only_pgweir!();
    let world = world(2);
    let (mut listener, mut sender) = (world.client(), world.client());
    listener.ok("listen a");
    listener.ok("begin");
    listener.ok("select 1");
    for n in 0..3 {
        sender.ok(&format!("notify a, '{n}'"));
    }
    assert!(listener.silent_for(MOMENT));
    assert!(listener.ok("select 2").notifications.is_empty());
    let end = listener.ok("commit");
    assert_eq!(payloads(&end.notifications), ["0", "1", "2"]);
    assert_eq!(end.kinds, "CAAAZ");
}

#[test]
fn a_held_begin_counts_as_a_transaction() {
    only_pgweir!();
    let world = world(2);
    let (mut listener, mut sender) = (world.client(), world.client());
    listener.ok("listen a");
    listener.ok("begin");
    sender.ok("notify a, 'x'");
    assert!(listener.silent_for(MOMENT));
    // In front of the ReadyForQuery where a server was found for the BEGIN, else behind it.
    let mut got = listener.ok("rollback").notifications;
    if got.is_empty() {
        got.push(next(&mut listener));
    }
    assert_eq!(payloads(&got), ["x"]);
}

#[test]
fn a_clients_own_notify_comes_with_the_end_of_its_transaction() {
    only_pgweir!();
    let world = world(1);
    let mut client = world.client();
    client.ok("listen a");
    for n in 0..50 {
        let own = client.ok(&format!("notify a, '{n}'"));
        assert_eq!(payloads(&own.notifications), [n.to_string()]);
        client.ok("begin");
        client.ok("select pg_notify('a', 'in')");
        let end = client.ok("commit");
        assert_eq!(payloads(&end.notifications), ["in"]);
    }
}

#[test]
fn listen_and_notify_in_one_transaction_deliver_once() {
    only_pgweir!();
    let world = world(1);
    let (mut client, mut other) = (world.client(), world.client());
    for _ in 0..10 {
        client.ok("begin");
        client.ok("listen a");
        client.ok("notify a, 'own'");
        let end = client.ok("commit");
        assert_eq!(payloads(&end.notifications), ["own"]);
        other.ok("notify a, 'other'");
        assert_eq!(next(&mut client).payload, "other");
        client.ok("unlisten *");
        let whole = client.ok("listen a; notify a, 'whole'");
        assert_eq!(payloads(&whole.notifications), ["whole"]);
        other.ok("listen a");
        let again = client.ok("listen a; notify a, 'again'");
        assert_eq!(payloads(&again.notifications), ["again"]);
        assert_eq!(next(&mut other).payload, "again");
        other.ok("unlisten *");
        client.ok("unlisten *");
    }
    assert!(client.silent_for(MOMENT) && other.silent_for(MOMENT));
}

#[test]
fn nobody_gets_the_notifications_of_another_client_of_its_server() {
    only_pgweir!();
    let world = world(1);
    let (mut listener, mut other) = (world.client(), world.client());
    listener.ok("listen a");
    let mut direct = world.direct();
    for _ in 0..20 {
        direct.ok("notify a, 'x'");
        assert!(other.ok("select 1").notifications.is_empty());
        assert_eq!(next(&mut listener).payload, "x");
    }
    assert!(other.silent_for(MOMENT));
}

#[test]
fn a_listen_that_code_runs_disturbs_nobody_and_ends_with_the_next_client() {
    only_pgweir!();
    let world = world(1);
    let (mut coder, mut other) = (world.client(), world.client());
    coder.ok("do $$ begin execute 'listen hidden'; end $$");
    let mut direct = world.direct();
    direct.ok("notify hidden, 'x'");
    assert!(other.ok("select 1").notifications.is_empty());
    assert_eq!(
        other.one("select count(*) from pg_listening_channels()"),
        "0"
    );
    assert!(coder.silent_for(MOMENT) && other.silent_for(MOMENT));
}

#[test]
fn unlisten_and_discard_all_end_it() {
    only_pgweir!();
    let world = world(1);
    let (mut client, mut sender) = (world.client(), world.client());
    client.ok("listen a; listen b; listen c");
    client.ok("unlisten b");
    client.ok("begin; unlisten a; rollback");
    sender.ok("notify b, 'no'; notify a, 'yes'");
    assert_eq!(next(&mut client).payload, "yes");
    for ending in ["unlisten *", "discard all"] {
        client.ok("listen a; listen c");
        client.ok(ending);
        sender.ok("notify a, 'no'; notify c, 'no'");
        assert!(client.silent_for(MOMENT), "{ending}");
    }
    client.ok("listen a");
    sender.ok("notify a, 'again'");
    assert_eq!(next(&mut client).payload, "again");
}

#[test]
fn names_are_folded_quoted_and_cut_as_postgresql_does() {
    only_pgweir!();
    let world = world(1);
    let (mut client, mut sender) = (world.client(), world.client());
    let long = "x".repeat(70);
    for (listen, notify) in [
        ("FooBar", "foobar"),
        ("\"FooBar\"", "\"FooBar\""),
        ("\"we\"\"ird; name\"", "\"we\"\"ird; name\""),
        ("\"\u{e9}t\u{e9}\"", "\"\u{e9}t\u{e9}\""),
        (long.as_str(), &long[..63]),
    ] {
        client.ok(&format!("listen {listen}"));
        sender.ok(&format!("notify {notify}, 'x'"));
        assert_eq!(next(&mut client).payload, "x", "{listen}");
        client.ok("unlisten *");
    }
}

#[test]
fn a_name_that_is_not_understood_is_no_silent_loss() {
    only_pgweir!();
    let world = world(1);
    let mut client = world.client();
    client.put(&query("listen U&\"d\\0061ta\""));
    let end = client.end();
    assert!(end.error().text().starts_with("LISTEN failed"), "{end:?}");
}

#[test]
fn listen_by_the_extended_protocol_works_too() {
    only_pgweir!();
    let world = world(1);
    let (mut client, mut sender) = (world.client(), world.client());
    let mut bytes = extended("listen a", &[]);
    if !bytes.ends_with(&sync()) {
        bytes.extend(sync());
    }
    let reply = client.exchange(&bytes);
    assert!(reply.errors.is_empty(), "{reply:?}");
    sender.ok("notify a, 'x'");
    assert_eq!(next(&mut client).payload, "x");
}

#[test]
fn requests_behind_a_listen_in_one_write_are_answered() {
    only_pgweir!();
    let world = world(1);
    let (mut client, mut sender) = (world.client(), world.client());
    client.put(&[query("listen a"), query("select 1"), query("select 2")].concat());
    for _ in 0..3 {
        assert_eq!(client.until_ready().status, b'I');
    }
    sender.ok("notify a, 'x'");
    assert_eq!(next(&mut client).payload, "x");
}

#[test]
fn clients_that_leave_take_their_channels_along() {
    only_pgweir!();
    let world = world(1);
    let (mut stays, mut goes, mut vanishes) = (world.client(), world.client(), world.client());
    stays.ok("listen kept");
    goes.ok("listen gone");
    vanishes.ok("listen gone");
    goes.close();
    vanishes.vanish();
    let channels = || {
        let shown = world.bouncer.show("show listeners");
        shown.rows.len()
    };
    assert_soon!(channels() == 1, "only one client listens");
    let mut sender = world.client();
    sender.ok("notify gone, 'x'");
    sender.ok("notify kept, 'y'");
    assert_eq!(next(&mut stays).payload, "y");
}

#[test]
fn the_listening_connection_is_one_and_goes_when_nobody_listens() {
    only_pgweir!();
    let world = world(1);
    let mut clients: Vec<_> = (0..10).map(|_| world.client()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.ok(&format!("listen common; listen own{n}"));
    }
    assert_eq!(world.listening_backends(), 1);
    assert_eq!(world.bouncer.servers(&world.database, "app"), 1);
    drop(clients);
    assert_soon!(
        world.pg.backends(&world.database) <= 1,
        "the listening connection goes"
    );
    world
        .bouncer
        .console()
        .ok(&format!("kill {}", world.database));
    let drop_it = format!("drop database {}", world.database);
    assert_soon!(
        world.pg.admin().query(&drop_it).errors.is_empty(),
        "the database can be dropped"
    );
}

#[test]
fn a_lost_listening_connection_is_made_anew_and_everybody_is_woken() {
    only_pgweir!();
    let world = world(1);
    let (mut one, mut two) = (world.client(), world.client());
    one.ok("listen a; listen b");
    two.ok("listen b");
    world.end_listening_backend();
    let mut woken = [next(&mut one), next(&mut one)];
    woken.sort_by(|x, y| x.channel.cmp(&y.channel));
    assert_eq!(woken.each_ref().map(|it| it.channel.as_str()), ["a", "b"]);
    assert!(woken.iter().all(|it| it.payload.is_empty()));
    let other = next(&mut two);
    assert_eq!((other.channel.as_str(), other.payload.as_str()), ("b", ""));
    assert_eq!(other.pid, woken[0].pid);
    let mut sender = world.client();
    sender.ok("notify b, 'x'");
    assert_eq!(next(&mut one).payload, "x");
    assert_eq!(next(&mut two).payload, "x");
    assert_eq!(world.listening_backends(), 1);
}

#[test]
fn reconnect_makes_the_listening_connection_anew_and_pause_keeps_it() {
    only_pgweir!();
    let world = world(1);
    let mut client = world.client();
    client.ok("listen a");
    let mut direct = world.direct();
    let mut console = world.bouncer.console();
    console.ok(&format!("pause {}", world.database));
    direct.ok("notify a, 'paused'");
    assert_eq!(next(&mut client).payload, "paused");
    console.ok(&format!("resume {}", world.database));
    console.ok(&format!("reconnect {}", world.database));
    assert_eq!(next(&mut client).payload, "");
    direct.ok("notify a, 'new'");
    assert_eq!(next(&mut client).payload, "new");
}

#[test]
fn a_database_that_is_removed_takes_its_listeners_along() {
    only_pgweir!();
    let pg = Pg::shared();
    let name = pg.database();
    let line = format!("gone = host=127.0.0.1 port={} dbname={name}", pg.port);
    let other = format!("stays = host=127.0.0.1 port={} dbname={name}", pg.port);
    let bouncer = Bouncer::new(pg).only_databases(&[&line, &other]).start();
    let (mut gone, mut stays) = (bouncer.client_of("gone"), bouncer.client_of("stays"));
    gone.ok("listen a");
    stays.ok("listen a");
    bouncer.reload(|it| it.only_databases(&[&other]));
    assert_eq!(gone.end().error().text(), "database removed");
    let mut sender = bouncer.client_of("stays");
    sender.ok("notify a, 'x'");
    assert_eq!(next(&mut stays).payload, "x");
    assert_soon!(pg.backends(&name) <= 2, "its listening connection is gone");
}

#[test]
fn clients_of_another_encoding_get_their_own() {
    only_pgweir!();
    let world = world(1);
    let mut latin = world
        .bouncer
        .login()
        .database(&world.database)
        .parameter("client_encoding", "LATIN1")
        .connect();
    let mut utf = world.client();
    latin.ok("listen a");
    utf.ok("listen a");
    world.direct().ok("notify a, '\u{e9}'");
    assert_eq!(next(&mut utf).payload, "\u{e9}");
    let raw = latin.receive().unwrap();
    assert_eq!(raw.body[4..], *b"a\0\xe9\0");
}

#[test]
fn a_listener_keeps_its_notifications_while_it_is_pinned() {
    only_pgweir!();
    let world = world(2);
    let (mut client, mut sender) = (world.client(), world.client());
    client.ok("listen a");
    client.ok("select pg_advisory_lock(4711)");
    sender.ok("notify a, 'pinned'");
    assert_eq!(next(&mut client).payload, "pinned");
    client.ok("listen b");
    for n in 0..5 {
        sender.ok(&format!("notify b, '{n}'"));
        assert_eq!(next(&mut client).payload, n.to_string());
    }
    client.ok("select pg_advisory_unlock(4711)");
    sender.ok("notify b, 'free'");
    assert_eq!(next(&mut client).payload, "free");
    assert!(client.silent_for(MOMENT));
}

#[test]
fn a_listen_that_cannot_be_served_closes_the_client_with_the_reason() {
    only_pgweir!();
    let pg = Pg::start();
    pg.admin().ok("create role few login connection limit 1");
    let bouncer = Bouncer::new(&pg)
        .userlist("\"few\" \"\"\n")
        .set("server_connect_timeout", 5)
        .start();
    let mut client = bouncer.login().user("few").connect();
    client.put(&query("listen a"));
    let end = client.end();
    let error = end.error();
    assert_eq!((error.severity(), error.sqlstate()), ("FATAL", "08P01"));
    assert!(
        error.text().starts_with("LISTEN failed: ")
            && error.text().contains("too many connections"),
        "{error:?}"
    );
    let mut next = bouncer.login().user("few").connect();
    assert_eq!(next.one("select 1"), "1");
}

#[test]
fn tokio_postgres_gets_its_notifications() {
    only_pgweir!();
    let world = world(1);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let words = format!(
        "host=127.0.0.1 port={} user=app dbname={}",
        world.bouncer.port, world.database
    );
    runtime.block_on(async {
        let (client, mut connection) = tokio_postgres::connect(&words, tokio_postgres::NoTls)
            .await
            .unwrap();
        let messages = stream::poll_fn(move |cx| connection.poll_message(cx));
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(messages.for_each(move |message| {
            if let Ok(tokio_postgres::AsyncMessage::Notification(note)) = message {
                let _ = tell.send((note.channel().to_owned(), note.payload().to_owned()));
            }
            std::future::ready(())
        }));
        // Prepared, as drivers do: Parse, Describe, Sync; then Bind, Execute, Sync.
        client.execute("listen a", &[]).await.unwrap();
        client.batch_execute("listen b").await.unwrap();
        for channel in ["a", "b"] {
            let sql = "select pg_notify($1, 'x')";
            client.query(sql, &[&channel]).await.unwrap();
            let got = told.recv().await.unwrap();
            assert_eq!(got, (channel.to_owned(), "x".to_owned()));
        }
    });
}

#[test]
fn psycopg2_sees_its_notifications_in_select_and_right_behind_commit() {
    only_pgweir!();
    let world = world(1);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/listen.py");
    let mut command = Command::new(crate::odoo::python());
    let port = world.bouncer.port.to_string();
    command
        .arg(script)
        .args(["--port", &port, "--database", &world.database]);
    let (status, out, error) = output_of(&mut command);
    assert!(status.success(), "{out}{error}\n{}", world.bouncer.log());
    assert!(out.contains("all as on a direct connection"), "{out}");
}
