//! The small pieces of the hot path and of a login, each alone: `cargo bench --bench micro`.
//!
//! Wall time; good for telling two versions on a quiet machine apart, not for gates. For those count
//! instructions, which come out alike on a busy machine (needs valgrind; one line per piece):
//! `cargo bench --bench micro -- --instructions`
#![allow(clippy::unwrap_used)]

#[path = "micro/checkout.rs"]
mod checkout;
#[path = "micro/instructions.rs"]
mod instructions;
#[path = "micro/sql.rs"]
mod sql;

use std::hint::black_box;
use std::sync::Arc;

use checkout::Bench;
use criterion::{BatchSize, Criterion, criterion_group};
use pgweir::auth::scram::{ClientExchange, ScramKeys, ScramSecret, ServerExchange, derive_keys};
use pgweir::net::buf::Buf;
use pgweir::server::pending::{Pending, Request};
use pgweir::session::params::Tracked;
use pgweir::wire::backend::tag;
use pgweir::wire::frame::{self, Peeked};

/// The largest length field accepted, as by default.
const MAX_FRAME: u32 = i32::MAX as u32;
/// Iterations of PostgreSQL's secrets.
const ITERATIONS: u32 = 4096;

/// A reply to a simple query: one column, `rows` rows of 20 bytes.
fn reply(rows: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::put(&mut bytes, tag::ROW_DESCRIPTION, &[0; 33]);
    for _ in 0..rows {
        frame::put(&mut bytes, tag::DATA_ROW, &[0; 26]);
    }
    frame::put(&mut bytes, tag::COMMAND_COMPLETE, b"SELECT 1\0");
    frame::put(&mut bytes, tag::READY_FOR_QUERY, b"I");
    bytes
}

/// Steps over every frame; the count keeps the work.
fn walk(mut bytes: &[u8]) -> usize {
    let mut frames = 0;
    while let Peeked::Header(header) = frame::peek(bytes, MAX_FRAME) {
        let Some(rest) = bytes.get(header.total..) else {
            break;
        };
        bytes = rest;
        frames += 1;
    }
    frames
}

fn frames(c: &mut Criterion) {
    for rows in [1, 100] {
        let bytes = reply(rows);
        c.bench_function(&format!("frame walk, {rows} rows"), |b| {
            b.iter(|| walk(black_box(&bytes)));
        });
    }
}

fn simple_query(queue: &mut Pending) -> bool {
    queue.push_final(Request::Query(None));
    for kind in [tag::ROW_DESCRIPTION, tag::DATA_ROW, tag::COMMAND_COMPLETE] {
        black_box(queue.on_reply(kind));
    }
    black_box(queue.on_ready());
    queue.is_done()
}

fn pending(c: &mut Criterion) {
    let mut queue = Pending::default();
    c.bench_function("pending, simple query", |b| {
        b.iter(|| simple_query(&mut queue));
    });
    c.bench_function("pending, extended cycle", |b| {
        b.iter(|| {
            queue.push_extended(Request::Parse(None));
            queue.push_extended(Request::Bind);
            queue.push_extended(Request::Describe);
            queue.push_extended(Request::Execute(None));
            queue.push_final(Request::Sync);
            for kind in [
                tag::PARSE_COMPLETE,
                tag::BIND_COMPLETE,
                tag::ROW_DESCRIPTION,
                tag::DATA_ROW,
                tag::COMMAND_COMPLETE,
            ] {
                black_box(queue.on_reply(kind));
            }
            black_box(queue.on_ready());
            queue.is_done()
        });
    });
}

/// A Bind whose statement name is replaced by a longer one, with more bytes behind it.
fn rename(c: &mut Criterion) {
    let mut bind = Vec::new();
    frame::put(&mut bind, b'B', b"\0s1\0\0\0\0\x01\0\0\0\x0242\0\0");
    frame::put(&mut bind, b'E', b"\0\0\0\0\0");
    frame::put(&mut bind, b'S', b"");
    c.bench_function("buffer, rename in a Bind", |b| {
        b.iter_batched_ref(
            || Buf::holding(&bind),
            |buf| {
                buf.splice(6..8, black_box(b"PGBOUNCER_1234"));
                buf.parse(usize::MAX / 2);
                buf.sent(buf.unsent().len());
            },
            BatchSize::SmallInput,
        );
    });
    c.bench_function("buffer, receive, parse and send", |b| {
        let mut buf = Buf::default();
        b.iter(|| {
            buf.space()[..bind.len()].copy_from_slice(&bind);
            buf.received(bind.len());
            buf.parse(bind.len());
            buf.sent(buf.unsent().len());
            buf.release_if_empty();
        });
    });
}

fn params(c: &mut Criterion) {
    let tracked = Tracked::with_extra(&["IntervalStyle"]);
    let usual = [
        ("DateStyle", "ISO, MDY"),
        ("client_encoding", "UTF8"),
        ("TimeZone", "UTC"),
        ("standard_conforming_strings", "on"),
        ("application_name", "psql"),
        ("IntervalStyle", "postgres"),
    ];
    let same = tracked.set_of(usual.into_iter());
    let mut changed = usual;
    changed[4].1 = "odoo";
    let other = tracked.set_of(changed.into_iter());
    c.bench_function("parameters, shared", |b| {
        b.iter(|| Arc::ptr_eq(black_box(&same), black_box(&same)));
    });
    c.bench_function("parameters, one differs", |b| {
        b.iter(|| tracked.difference(black_box(&same), black_box(&other)));
    });
    c.bench_function("parameters, one reported", |b| {
        b.iter(|| tracked.with_value(black_box(&same), 4, "odoo"));
    });
}

/// Both halves of an exchange against a stored secret; the keys are derived beforehand, as with a
/// cached login.
fn login(keys: &ScramKeys, secret: &Arc<ScramSecret>) -> bool {
    let (client, first) = ClientExchange::start().unwrap();
    let (server, challenge) = ServerExchange::start(&first, Arc::clone(secret), false).unwrap();
    let (_, last) = client.challenge(&challenge).unwrap().respond(keys);
    server.finish(&last).is_ok()
}

fn scram(c: &mut Criterion) {
    let keys = derive_keys(b"pencil", b"0123456789abcdef", ITERATIONS);
    let secret = Arc::new(ScramSecret::from_keys(
        &keys,
        b"0123456789abcdef",
        ITERATIONS,
    ));
    assert!(login(&keys, &secret));
    c.bench_function("SCRAM, both halves", |b| {
        b.iter(|| login(black_box(&keys), black_box(&secret)));
    });
    c.bench_function("SCRAM, keys from a password", |b| {
        b.iter(|| derive_keys(black_box(b"pencil"), b"0123456789abcdef", ITERATIONS));
    });
}

fn pool(c: &mut Criterion) {
    let bench = Bench::open();
    c.bench_function("checkout and release", |b| b.iter(|| bench.turn()));
}

/// The pieces whose instructions are counted: `times` times each.
fn piece(name: &str, times: usize) {
    match name {
        "frame walk, 1 row" => {
            let bytes = reply(1);
            for _ in 0..times {
                black_box(walk(black_box(&bytes)));
            }
        }
        "pending, simple query" => {
            let mut queue = Pending::default();
            for _ in 0..times {
                black_box(simple_query(&mut queue));
            }
        }
        "checkout and release" => {
            let bench = Bench::open();
            (0..times).for_each(|_| bench.turn());
        }
        "SCRAM, both halves" => {
            let keys = derive_keys(b"pencil", b"0123456789abcdef", 1);
            let salt = b"0123456789abcdef";
            let secret = Arc::new(ScramSecret::from_keys(&keys, salt, ITERATIONS));
            for _ in 0..times {
                black_box(login(&keys, &secret));
            }
        }
        _ => panic!("no piece {name}"),
    }
}

const PIECES: [&str; 4] = [
    "frame walk, 1 row",
    "pending, simple query",
    "checkout and release",
    "SCRAM, both halves",
];

criterion_group!(
    micro,
    frames,
    pending,
    rename,
    params,
    pool,
    scram,
    sql::fingerprints
);

fn main() {
    if instructions::is_asked_for(&PIECES, piece) {
        return;
    }
    micro();
    Criterion::default().configure_from_args().final_summary();
}
