//! Corners of the protocol where a server could be held for ever, given back in the middle of a
//! frame, or lose count of what it has prepared.

use crate::support::frames::{
    bind, close, copy_data, copy_done, describe, execute, flush, frame, parse, query, run_prepared,
    sync, terminate,
};
use crate::support::{Bouncer, Pg, RawClient, Running};
use crate::{assert_soon, only_pgweir};

fn pool_of(size: u32, max_prepared: u32) -> (String, Running) {
    let pg = Pg::shared();
    let bouncer = Bouncer::new(pg)
        .pool_size(size)
        .set("max_prepared_statements", max_prepared)
        .start();
    (pg.database(), bouncer)
}

fn prepare(client: &mut RawClient, name: &str, sql: &str) {
    let reply = client.exchange(&[parse(name, sql), sync()].concat());
    assert_eq!(reply.kinds, "1Z", "{reply:?}");
}

fn copy_target(bouncer: &Running, database: &str) -> RawClient {
    let mut client = bouncer.client_of(database);
    client.ok("create table t (n int)");
    client
}

/// The first half of a CopyData frame behind one that PostgreSQL refuses.
fn bad_line_and_half_a_frame() -> Vec<u8> {
    let mut bytes = copy_data(b"no number\n");
    bytes.extend_from_slice(&frame(b'd', &[b'x'; 1000])[..100]);
    bytes
}

#[test]
fn a_client_gone_in_the_middle_of_a_frame_leaves_no_half_frame_on_its_server() {
    let (database, bouncer) = pool_of(1, 100);
    let mut client = copy_target(&bouncer, &database);
    client.put(&query("copy t from stdin"));
    client.until(b'G');
    client.put(&bad_line_and_half_a_frame());
    assert_eq!(client.until_ready().error().sqlstate(), "22P02");
    client.vanish();
    assert_eq!(bouncer.client_of(&database).one("select 'next'"), "next");
}

#[test]
fn the_rest_of_a_refused_copy_does_not_keep_the_server() {
    let (database, bouncer) = pool_of(1, 100);
    let mut client = copy_target(&bouncer, &database);
    client.put(&query("copy t from stdin"));
    client.until(b'G');
    client.put(&bad_line_and_half_a_frame());
    assert_eq!(client.until_ready().error().sqlstate(), "22P02");
    client.put(&[&frame(b'd', &[b'x'; 1000])[100..], &copy_done()].concat());
    assert_eq!(bouncer.client_of(&database).one("select 'next'"), "next");
    assert_eq!(client.one("select 'still here'"), "still here");
}

#[test]
fn terminate_behind_a_batch_without_sync_frees_the_pool() {
    let (database, bouncer) = pool_of(1, 100);
    let mut client = bouncer.client_of(&database);
    let batch = [parse("", "select 1"), bind("", "", &[]), execute("", 0)];
    client.put(&[batch.concat(), terminate()].concat());
    assert_eq!(bouncer.client_of(&database).one("select 'next'"), "next");
}

#[test]
fn terminate_behind_the_start_of_a_copy_frees_the_pool() {
    let (database, bouncer) = pool_of(1, 100);
    let mut client = copy_target(&bouncer, &database);
    client.put(&[query("copy t from stdin"), terminate()].concat());
    assert_eq!(bouncer.client_of(&database).one("select 'next'"), "next");
}

#[test]
fn terminate_behind_a_query_and_an_open_batch_carries_out_the_query() {
    let (database, bouncer) = pool_of(1, 100);
    let mut client = copy_target(&bouncer, &database);
    client.put(
        &[
            query("insert into t values (1)"),
            parse("", "select 1"),
            terminate(),
        ]
        .concat(),
    );
    let mut next = bouncer.client_of(&database);
    assert_soon!(
        next.one("select count(*) from t") == "1",
        "the insert is there"
    );
}

#[test]
fn a_copy_sent_whole_in_one_extended_batch_frees_the_server() {
    let (database, bouncer) = pool_of(1, 100);
    let mut client = copy_target(&bouncer, &database);
    let batch = [
        parse("", "copy t from stdin"),
        bind("", "", &[]),
        execute("", 0),
        copy_data(b"1\n2\n"),
        copy_done(),
        sync(),
    ];
    let reply = client.exchange(&batch.concat());
    assert_eq!(reply.tags, ["COPY 2"], "{reply:?}");
    assert_eq!(
        bouncer.client_of(&database).one("select count(*) from t"),
        "2"
    );
}

#[test]
fn a_copy_refused_before_it_reads_frees_the_server() {
    let (database, bouncer) = pool_of(1, 100);
    let mut client = copy_target(&bouncer, &database);
    client.ok("create view v as select 1 as n");
    let batch = [
        parse("", "copy v from stdin"),
        bind("", "", &[]),
        execute("", 0),
        sync(),
    ];
    assert_eq!(client.exchange(&batch.concat()).errors.len(), 1);
    assert_eq!(bouncer.client_of(&database).one("select 'next'"), "next");
    prepare(&mut client, "s", "select 's'");
    assert_eq!(client.exchange(&run_prepared("s", &[])).one(), "s");
}

#[test]
fn a_name_parsed_and_closed_in_a_failed_batch_is_free() {
    only_pgweir!();
    let (database, bouncer) = pool_of(1, 100);
    let mut client = bouncer.client_of(&database);
    for bad in ["selec 1", "select 1 / 0"] {
        let batch = [
            parse("s", bad),
            bind("", "s", &[]),
            execute("", 0),
            close(b'S', "s"),
            sync(),
        ];
        assert_eq!(client.exchange(&batch.concat()).errors.len(), 1, "{bad}");
        client.exchange(&[close(b'S', "s"), sync()].concat());
    }
    let batch = [
        bind("", "", &["no such portal"]),
        parse("s", "select 1"),
        close(b'S', "s"),
        sync(),
    ];
    assert_eq!(client.exchange(&batch.concat()).errors.len(), 1);
    prepare(&mut client, "s", "select 'free'");
    assert_eq!(client.exchange(&run_prepared("s", &[])).one(), "free");
}

#[test]
fn a_failed_one_shot_batch_may_be_repeated() {
    only_pgweir!();
    let (database, bouncer) = pool_of(1, 100);
    let mut client = bouncer.client_of(&database);
    for _ in 0..3 {
        let batch = [
            parse("s", "selec 1"),
            bind("", "s", &[]),
            execute("", 0),
            close(b'S', "s"),
            sync(),
        ];
        let reply = client.exchange(&batch.concat());
        assert_eq!((reply.error().sqlstate(), reply.status), ("42601", b'I'));
    }
}

#[test]
fn close_and_parse_of_one_name_in_a_batch_replace_it_or_leave_it() {
    let (database, bouncer) = pool_of(1, 100);
    let mut client = bouncer.client_of(&database);
    prepare(&mut client, "s", "select 'first'");
    let replace = [close(b'S', "s"), parse("s", "select 'second'")].concat();
    let batch = [replace.clone(), run_prepared("s", &[])].concat();
    assert_eq!(client.exchange(&batch).one(), "second");
    let failing = [bind("", "", &["x"]), replace, sync()].concat();
    assert_eq!(client.exchange(&failing).errors.len(), 1);
    assert_eq!(client.exchange(&run_prepared("s", &[])).one(), "second");
}

#[test]
fn a_statement_whose_eviction_was_skipped_is_still_known() {
    only_pgweir!();
    let (database, bouncer) = pool_of(1, 1);
    let mut client = bouncer.client_of(&database);
    prepare(&mut client, "a", "select 10 / $1::int");
    let batch = [
        bind("", "a", &["0"]),
        execute("", 0),
        parse("b", "select 'b'"),
        sync(),
    ];
    assert_eq!(client.exchange(&batch.concat()).error().sqlstate(), "22012");
    assert_eq!(client.exchange(&run_prepared("a", &["5"])).one(), "2");
    prepare(&mut client, "b", "select 'b'");
    assert_eq!(client.exchange(&run_prepared("b", &[])).one(), "b");
    assert_eq!(client.exchange(&run_prepared("a", &["2"])).one(), "5");
}

#[test]
fn a_statement_prepared_behind_deallocate_all_stays() {
    let (database, bouncer) = pool_of(1, 100);
    let (mut client, mut other) = (bouncer.client_of(&database), bouncer.client_of(&database));
    for forget in ["deallocate all", "discard all"] {
        let sql = format!("select 'behind' as \"{forget}\"");
        let batch = [query(forget), parse("s", &sql), run_prepared("s", &[])];
        client.put(&batch.concat());
        assert!(client.until_ready().errors.is_empty());
        assert_eq!(client.until_ready().one(), "behind");
        assert_eq!(client.exchange(&run_prepared("s", &[])).one(), "behind");
        prepare(&mut other, "o", &sql);
        assert_eq!(other.exchange(&run_prepared("o", &[])).one(), "behind");
        for one in [&mut client, &mut other] {
            one.exchange(&[close(b'S', "s"), close(b'S', "o"), sync()].concat());
        }
    }
}

#[test]
fn endless_answers_of_ours_to_a_client_that_does_not_read_are_bounded() {
    only_pgweir!();
    let (database, bouncer) = pool_of(1, 100);
    let mut client = bouncer.client_of(&database);
    client.one("select 1");
    let before = bouncer.rss_kb();
    let closes = close(b'S', "x").repeat(10_000);
    let sender = std::thread::spawn(move || {
        for _ in 0..500 {
            if client.send(&closes).is_err() {
                break;
            }
        }
        client
    });
    std::thread::sleep(std::time::Duration::from_secs(4));
    let grown = bouncer.rss_kb().saturating_sub(before);
    assert!(grown < 16_000, "{grown} kB for one client");
    drop(bouncer);
    let _ = sender.join();
}

#[test]
fn replies_and_requests_cut_at_every_byte_stay_whole() {
    let (database, bouncer) = pool_of(1, 2);
    let mut client = bouncer.client_of(&database);
    let batch = [
        parse("cut", "select 'cut ' || $1::text"),
        describe(b'S', "cut"),
        bind("", "cut", &["here"]),
        execute("", 0),
        flush(),
        close(b'S', "cut"),
        sync(),
    ]
    .concat();
    for at in 1..batch.len() {
        client.put(&batch[..at]);
        std::thread::sleep(std::time::Duration::from_millis(1));
        client.put(&batch[at..]);
        let reply = client.until_ready();
        assert_eq!(
            (reply.one(), reply.kinds.as_str()),
            ("cut here".into(), "1tT2DC3Z")
        );
    }
}
