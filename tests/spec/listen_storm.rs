//! LISTEN under load and under attack: each notification once, in order, in bounded memory.

use std::collections::HashMap;
use std::thread;

use crate::assert_soon;
use crate::only_pgweir;
use crate::support::frames::query;
use crate::support::{Bouncer, Login, Notification, Pg, RawClient, Running};

fn read(client: &mut RawClient) -> Notification {
    let message = client.receive().expect("a notification, not the end");
    assert_eq!(message.tag as char, 'A');
    Notification::parse(&message.body)
}

fn metric(bouncer: &Running, name: &str, database: &str) -> u64 {
    let label = format!("database=\"{database}\"");
    let text = bouncer.http("/metrics");
    let of_database = |line: &&str| line.starts_with(name) && line.contains(&label);
    let lines = text.lines().filter(of_database);
    let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.sum::<f64>() as u64
}

#[test]
fn each_listener_gets_each_notification_once_and_in_order() {
    only_pgweir!();
    const LISTENERS: usize = 40;
    const CHANNELS: usize = 5;
    const SENDERS: usize = 4;
    const EACH: usize = 250;
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(2).start();
    let listeners: Vec<_> = (0..LISTENERS)
        .map(|n| {
            let mut client = bouncer.client_of(&database);
            // Two channels of five each.
            client.ok(&format!("listen c{}", n % CHANNELS));
            client.ok(&format!("listen c{}", (n + 1) % CHANNELS));
            client
        })
        .collect();
    let receivers: Vec<_> = listeners
        .into_iter()
        .map(|mut client| {
            thread::spawn(move || {
                let mut seen: HashMap<(String, String), usize> = HashMap::new();
                for _ in 0..2 * SENDERS * EACH {
                    let note = read(&mut client);
                    let (sender, number) = note.payload.split_once(' ').expect("two words");
                    let count = seen.entry((note.channel, sender.to_owned())).or_default();
                    assert_eq!(number, count.to_string());
                    *count += 1;
                }
                assert_eq!(client.one("select 1"), "1");
                seen
            })
        })
        .collect();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let mut client = bouncer.client_of(&database);
            thread::spawn(move || {
                for n in 0..EACH {
                    let all = (0..CHANNELS).map(|c| format!("notify c{c}, '{sender} {n}';"));
                    client.ok(&all.collect::<String>());
                }
            })
        })
        .collect();
    for sender in senders {
        sender.join().unwrap();
    }
    for receiver in receivers {
        let seen = receiver.join().unwrap();
        assert_eq!(seen.len(), 2 * SENDERS);
        assert!(seen.values().all(|count| *count == EACH));
    }
    let received = (CHANNELS * SENDERS * EACH) as u64;
    let name = "pgweir_notifications_received_total";
    assert_eq!(metric(&bouncer, name, &database), received);
    let delivered = (LISTENERS * 2 * SENDERS * EACH) as u64;
    let name = "pgweir_notifications_delivered_total";
    assert_eq!(metric(&bouncer, name, &database), delivered);
}

#[test]
fn a_storm_of_channels_is_bounded_and_harms_nobody() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .pool_size(2)
        .own("max_listen_channels", 300)
        .start();
    let mut quiet = bouncer.client_of(&database);
    quiet.ok("listen quiet");
    let storms: Vec<_> = (0..4)
        .map(|storm| {
            let mut client = bouncer.client_of(&database);
            thread::spawn(move || {
                let listens = (0..300).map(|n| query(&format!("listen s{storm}_{n}")));
                client.put(&listens.collect::<Vec<_>>().concat());
                for _ in 0..300 {
                    assert_eq!(client.until_ready().status, b'I');
                }
                client.ok("unlisten *");
                client.ok("begin");
                for n in 0..300 {
                    client.ok(&format!("listen t{storm}_{n}"));
                }
                client.ok("commit");
                client.put(&query("listen one_too_many"));
                client.end()
            })
        })
        .collect();
    for storm in storms {
        let end = storm.join().unwrap();
        let text = end.error().text();
        assert!(text.contains("max_listen_channels = 300"), "{text}");
    }
    let shown = |bouncer: &Running| bouncer.show("show listeners");
    assert_soon!(
        shown(&bouncer).rows.len() == 1,
        "only the quiet one is left"
    );
    let channels = || metric(&bouncer, "pgweir_listen_channels", &database);
    assert_soon!(channels() == 1, "its channel alone is left");
    let mut sender = bouncer.client_of(&database);
    sender.ok("notify quiet, 'x'");
    assert_eq!(read(&mut quiet).payload, "x");
}

#[test]
fn a_listener_that_never_reads_is_closed_and_the_others_are_served() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .pool_size(2)
        .own("listen_buffer", 256 * 1024)
        .start();
    let mut deaf = bouncer.client_of(&database);
    let mut good = bouncer.client_of(&database);
    deaf.ok("listen flood");
    good.ok("listen flood");
    let payload = "x".repeat(7000);
    let mut sender = bouncer.client_of(&database);
    let before = bouncer.rss_kb();
    // Far more than the socket's buffers and listen_buffer hold.
    for n in 0..4000 {
        sender.ok(&format!("notify flood, '{n} {payload}'"));
        assert!(read(&mut good).payload.starts_with(&format!("{n} ")));
    }
    let dropped = || metric(&bouncer, "pgweir_notifications_dropped_total", &database);
    assert_soon!(dropped() > 0, "what it did not take is dropped and counted");
    assert_soon!(
        bouncer.show("show listeners").rows.len() == 1,
        "it listens no longer"
    );
    let grown = bouncer.rss_kb().saturating_sub(before);
    assert!(grown < 12 * 1024, "{grown} kB more");
    assert!(bouncer.logged("which does not take them (listen_buffer)") > 0);
    // What was on its way is whole, and then the connection ends.
    let end = deaf.end();
    assert!(!end.notifications.is_empty());
}

#[test]
fn a_listener_whose_transaction_lasts_is_told_why_it_is_closed() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .pool_size(2)
        .own("listen_buffer", 64 * 1024)
        .start();
    let mut busy = bouncer.client_of(&database);
    busy.ok("listen flood");
    busy.ok("begin");
    busy.ok("select 1");
    let payload = "x".repeat(7000);
    let mut sender = bouncer.client_of(&database);
    for n in 0..20 {
        sender.ok(&format!("notify flood, '{n} {payload}'"));
    }
    let end = busy.end();
    assert!(end.error().text().contains("(listen_buffer)"), "{end:?}");
}

#[test]
fn a_hundred_idle_listeners_stay_small() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .pool_size(2)
        .set("max_client_conn", 1200)
        .start();
    let crowd = |count: usize, sql: &str| -> Vec<RawClient> {
        (0..count)
            .map(|_| {
                let mut client = bouncer.client_of(&database);
                client.ok(sql);
                client
            })
            .collect()
    };
    let warm = crowd(100, "listen imbus");
    let before = bouncer.rss_kb();
    let mut more = crowd(500, "listen imbus");
    let each = bouncer.rss_kb().saturating_sub(before) * 1024 / 500;
    assert!(each < 6 * 1024, "{each} bytes for an idle listener");
    let mut sender = Login::new(pg.port)
        .user("app")
        .database(&database)
        .connect();
    sender.ok("notify imbus, 'all'");
    for client in &mut more {
        assert_eq!(read(client).payload, "all");
    }
    drop(warm);
}
