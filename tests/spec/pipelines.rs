//! Long pipelines: what is outstanding is bounded, whatever a client sends ahead.

use crate::only_pgweir;
use crate::support::frames::{bind, execute, extended, parse, query, run_prepared, sync};
use crate::support::{Bouncer, Pg, Running};
use std::time::Duration;

fn one_server() -> Running {
    Bouncer::new(Pg::shared())
        .pool_size(1)
        .set("max_prepared_statements", 2)
        .start()
}

#[test]
fn thousands_of_requests_without_sync_are_all_answered() {
    let bouncer = one_server();
    let one = [
        parse("", "select $1::int"),
        bind("", "", &["7"]),
        execute("", 0),
    ]
    .concat();
    let batch = [one.repeat(5000), sync()].concat();
    let mut client = bouncer.client();
    client.put_behind(batch);
    let reply = client.until_ready();
    assert_eq!(reply.kinds, format!("{}Z", "12DC".repeat(5000)));
    assert_eq!(client.one("select 1"), "1");
}

#[test]
fn a_flood_behind_a_slow_query_keeps_little_in_memory() {
    only_pgweir!();
    let bouncer = one_server();
    let mut client = bouncer.client();
    let cancel = client.canceller();
    let count = 1_500_000;
    let before = bouncer.rss_kb();
    let flood = [query("select pg_sleep(600)"), sync().repeat(count)].concat();
    client.put_behind(flood);
    std::thread::sleep(Duration::from_secs(2));
    let grown = bouncer.rss_kb().saturating_sub(before);
    assert!(grown < 4096, "{grown} kB for what is outstanding");
    cancel();
    assert_eq!(client.until_ready().error().sqlstate(), "57014");
    for _ in 0..count {
        assert_eq!(client.until_ready().kinds, "Z");
    }
}

#[test]
fn statements_put_in_by_the_thousand_keep_little_in_memory() {
    only_pgweir!();
    let bouncer = one_server();
    let mut client = bouncer.client();
    for n in 0..4 {
        let text = format!("select {n} /* {} */", "x".repeat(60_000));
        client.exchange(&[parse(&format!("s{n}"), &text), sync()].concat());
    }
    let before = bouncer.peak_rss_kb();
    // Two fit on the server: each use needs its Parse again.
    let round: Vec<u8> = (0..4)
        .flat_map(|n| run_prepared(&format!("s{n}"), &[]))
        .collect();
    client.put_behind(round.repeat(400));
    for n in 0..1600 {
        assert_eq!(client.until_ready().one(), (n % 4).to_string());
    }
    let grown = bouncer.peak_rss_kb().saturating_sub(before);
    assert!(grown < 8192, "{grown} kB for statements put in");
}

#[test]
fn a_parse_that_fails_in_front_of_another_takes_nothing_from_it() {
    let pg = Pg::shared();
    let bouncer = Bouncer::new(pg).pool_size(1).start();
    let mut client = bouncer.client();
    for fails in ["select /* open", "selec 1"] {
        let batches = [extended(fails, &[]), extended("select 'kept'", &[])];
        client.put(&batches.concat());
        for _ in &batches {
            client.until_ready();
        }
        bouncer.client().exchange(&extended("select 'other'", &[]));
        let again = [bind("", "", &[]), execute("", 0), sync()].concat();
        assert_eq!(client.exchange(&again).rows[0][0].as_deref(), Some("kept"));
    }
}
