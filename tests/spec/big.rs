//! Messages larger than any buffer: passed on while they come, in bounded memory.

use crate::support::frames::{bind, execute, frame, parse, query, sync};
use crate::support::{Bouncer, Pg, Running};
use std::time::Duration;

const MB: usize = 1024 * 1024;

/// How much the pooler may grow while something big passes: buffers, not the message.
const ROOM_KB: u64 = 16 * 1024;

fn bouncer() -> (Running, u64) {
    let bouncer = Bouncer::new(Pg::shared()).pool_size(2).start();
    bouncer.client().one("select 1");
    let rss = bouncer.rss_kb();
    (bouncer, rss)
}

fn assert_small(bouncer: &Running, before: u64) {
    let grown = bouncer.rss_kb().saturating_sub(before);
    assert!(grown < ROOM_KB, "grew by {grown} kB");
}

#[test]
fn a_result_row_of_64_mb_passes() {
    let (bouncer, before) = bouncer();
    let mut client = bouncer.client();
    let reply = client.ok(&format!("select repeat('r', {})", 64 * MB));
    assert_eq!(reply.one().len(), 64 * MB);
    assert_small(&bouncer, before);
    assert_eq!(client.one("select 1"), "1");
}

#[test]
fn a_query_text_of_20_mb_passes() {
    let (bouncer, before) = bouncer();
    let mut client = bouncer.client();
    let sql = format!("select length('{}')", "q".repeat(20 * MB));
    assert_eq!(client.one(&sql), (20 * MB).to_string());
    assert_small(&bouncer, before);
}

#[test]
fn a_parameter_of_32_mb_passes_with_a_named_statement() {
    let (bouncer, before) = bouncer();
    let mut client = bouncer.client();
    client.exchange(&[parse("s", "select length($1::text)"), sync()].concat());
    let value = "p".repeat(32 * MB);
    let reply = client.exchange(&[bind("", "s", &[&value]), execute("", 0), sync()].concat());
    assert_eq!(reply.one(), (32 * MB).to_string());
    assert_small(&bouncer, before);
}

#[test]
fn a_named_statement_of_5_mb_passes() {
    let (bouncer, _) = bouncer();
    let mut client = bouncer.client();
    let sql = format!("select length('{}')", "s".repeat(5 * MB));
    let bytes = [
        parse("long", &sql),
        bind("", "long", &[]),
        execute("", 0),
        sync(),
    ];
    assert_eq!(client.exchange(&bytes.concat()).one(), (5 * MB).to_string());
}

#[test]
fn a_result_of_many_rows_passes_whole() {
    let (bouncer, before) = bouncer();
    let mut client = bouncer.client();
    let reply = client.ok("select n, repeat('z', 90) from generate_series(1, 300000) n");
    assert_eq!(reply.rows.len(), 300_000);
    assert_eq!(reply.rows[299_999][0].as_deref(), Some("300000"));
    assert_small(&bouncer, before);
}

#[test]
fn a_reader_that_stops_makes_the_server_wait_not_the_pooler_grow() {
    let (bouncer, before) = bouncer();
    let mut client = bouncer.client();
    client.put(&query(&format!("select repeat('s', {})", 64 * MB)));
    std::thread::sleep(Duration::from_secs(1));
    assert_small(&bouncer, before);
    assert_eq!(bouncer.client().one("select 'meanwhile'"), "meanwhile");
    assert_eq!(client.until_ready().one().len(), 64 * MB);
}

#[test]
fn two_giants_at_once_do_not_mix() {
    let (bouncer, before) = bouncer();
    let ask = |letter: &'static str| {
        let client = bouncer.client();
        client.spawn(&format!("select repeat('{letter}', {})", 16 * MB))
    };
    for (letter, asked) in [("a", ask("a")), ("b", ask("b")), ("c", ask("c"))] {
        let (_, reply) = asked.join().expect("the client lives");
        assert_eq!(reply.one(), letter.repeat(16 * MB));
    }
    assert_small(&bouncer, before);
}

#[test]
fn a_message_above_max_packet_size_is_refused() {
    let bouncer = Bouncer::new(Pg::shared())
        .set("max_packet_size", 1_000_000)
        .start();
    let mut client = bouncer.client();
    client.ok(&format!("select length('{}')", "k".repeat(900_000)));
    let header = frame(b'Q', &vec![b'x'; 1_200_000]);
    let _ = client.send(&header[..5]);
    assert!(client.end().error().text().starts_with("bad packet header"));
    assert_eq!(bouncer.client().one("select 1"), "1");
}
