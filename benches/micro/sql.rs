//! The lexer over statements shaped like Odoo's, and over single ones that stress one part of it.
//! The bar: a mean of 1 µs and a median of 0.6 µs over `shapes`, no allocation.

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, Throughput};
use pgweir::sql::{Rules, each_statement, normalise};

#[path = "../../tests/spec/support/shapes.rs"]
mod shapes;

fn hash(sql: &str) -> u64 {
    let mut all = 0;
    each_statement(black_box(sql.as_bytes()), Rules::default(), |statement| {
        all ^= statement.fingerprint;
    });
    all
}

pub fn fingerprints(c: &mut Criterion) {
    let mut dice = shapes::Dice::new(1);
    let corpus: Vec<String> = (0..8000).map(|_| shapes::statement(&mut dice)).collect();
    say_quantiles(&corpus);
    let mut group = c.benchmark_group("sql");
    group.throughput(Throughput::Elements(corpus.len() as u64));
    group.bench_function("fingerprint, 8000 Odoo-shaped statements", |b| {
        b.iter(|| corpus.iter().fold(0, |all, sql| all ^ hash(sql)));
    });
    group.bench_function("normalised text, the same", |b| {
        b.iter(|| {
            let text = |sql: &String| normalise(sql.as_bytes(), Rules::default()).len();
            corpus.iter().map(text).sum::<usize>()
        });
    });
    let ids: Vec<String> = (0..1000).map(|n| (n * 37 + 1000).to_string()).collect();
    let single = [
        ("COMMIT", "COMMIT".to_owned()),
        (
            "SAVEPOINT",
            "SAVEPOINT \"843f69f0-e4d2-11f1-b000-0242ac110002\"".to_owned(),
        ),
        (
            "1000 ids",
            format!(
                "SELECT \"t\".\"id\" FROM \"t\" WHERE \"t\".\"id\" IN ({})",
                ids.join(", ")
            ),
        ),
        (
            "20 kB literal",
            format!("INSERT INTO t VALUES (1, '{}')", "x".repeat(20_000)),
        ),
        (
            "2 MB literal",
            format!("INSERT INTO t VALUES (1, '{}')", "x".repeat(2_000_000)),
        ),
    ];
    for (name, sql) in single {
        group.throughput(Throughput::Bytes(sql.len() as u64));
        group.bench_function(name, |b| b.iter(|| hash(&sql)));
    }
    group.finish();
}

/// Each statement by itself, its best of several short batches.
fn say_quantiles(corpus: &[String]) {
    const BATCH: u32 = 20;
    let best = |sql: &String| {
        let batch = || {
            let start = Instant::now();
            (0..BATCH).for_each(|_| {
                black_box(hash(sql));
            });
            start.elapsed() / BATCH
        };
        (0..5).map(|_| batch()).min().unwrap_or_default()
    };
    let mut times: Vec<_> = corpus.iter().map(best).collect();
    times.sort_unstable();
    let mean = times.iter().sum::<std::time::Duration>() / times.len() as u32;
    let at = |percent: usize| times[times.len() * percent / 100];
    eprintln!(
        "fingerprint: mean {mean:?}, p50 {:?}, p90 {:?}, p99 {:?}",
        at(50),
        at(90),
        at(99)
    );
}
