//! How exact the times are: what pgweir says beside what PostgreSQL and the clients measured.
//!
//! `cargo bench --bench accuracy -- [--seconds N] [--clients N] [--pool N]`
//!
//! Statements whose time is known (`pg_sleep`) are driven by several clients over a smaller pool, so
//! that they queue too. Three tables: the server's time against pg_stat_statements (insight.md 6,
//! T7), the parts against what the clients waited for, and quantiles of known distributions (T8).
//! Times are compared here and in no test: a machine that is shared is late by as much as it likes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../tests/spec/support/mod.rs"]
mod support;

use std::thread;
use std::time::{Duration, Instant};
use support::{Bouncer, Pg, RawClient, Reply, Running};

/// A statement of its own group, since it reads a table of that name, and how long it sleeps at the
/// n-th call, ms.
struct Shape {
    name: &'static str,
    sleeps_ms: fn(u64) -> f64,
}

const SHAPES: [Shape; 6] = [
    Shape {
        name: "five_ms",
        sleeps_ms: |_| 5.0,
    },
    Shape {
        name: "fifty_ms",
        sleeps_ms: |_| 50.0,
    },
    Shape {
        name: "five_hundred_ms",
        sleeps_ms: |_| 500.0,
    },
    Shape {
        name: "one_in_ten_is_slow",
        sleeps_ms: |n| if n % 10 == 0 { 80.0 } else { 4.0 },
    },
    Shape {
        name: "from_1_to_100_ms",
        sleeps_ms: |n| (n * 37 % 100 + 1) as f64,
    },
    Shape {
        name: "no_sleep",
        sleeps_ms: |_| 0.0,
    },
];

/// What the clients saw of one shape.
#[derive(Default, Clone)]
struct Seen {
    calls: u64,
    waited: Duration,
    slept_ms: Vec<f64>,
}

fn main() {
    let option = |name: &str, default: u64| {
        let words: Vec<String> = std::env::args().collect();
        let at = words.iter().position(|word| word == name);
        let value = at.and_then(|at| words.get(at + 1));
        value.map_or(default, |value| value.parse().expect("a number"))
    };
    let (clients, pool) = (option("--clients", 8), option("--pool", 3));
    let seconds = Duration::from_secs(option("--seconds", 20));
    let pg = Pg::with("shared_preload_libraries = 'pg_stat_statements'\n");
    pg.admin().ok("create extension pg_stat_statements");
    let database = pg.database();
    let bouncer = Bouncer::new(&pg).pool_size(pool as u32).start();
    for shape in &SHAPES {
        let table = shape.name;
        let sql = format!("create table {table} (n int); insert into {table} values (1)");
        bouncer.client_of(&database).ok(&sql);
    }
    pg.admin().ok("select pg_stat_statements_reset()");
    let seen = drive(&bouncer, &database, clients, seconds);
    println!(
        "{clients} clients, a pool of {pool}, {} s",
        seconds.as_secs()
    );
    let shown = bouncer.show("show statements limit all");
    against_postgres(&pg, &shown, &seen);
    against_clients(&bouncer, &shown, &seen);
    quantiles(&bouncer, &shown, &seen);
}

/// Every client plays all shapes in turn until the time is over.
fn drive(bouncer: &Running, database: &str, clients: u64, seconds: Duration) -> Vec<Seen> {
    let end = Instant::now() + seconds;
    let all: Vec<_> = (0..clients)
        .map(|number| {
            let client = bouncer.client_of(database);
            thread::spawn(move || play(client, number * 7, end))
        })
        .collect();
    let mut sums = vec![Seen::default(); SHAPES.len()];
    for client in all {
        for (sum, one) in sums.iter_mut().zip(client.join().expect("a client")) {
            sum.calls += one.calls;
            sum.waited += one.waited;
            sum.slept_ms.extend(one.slept_ms);
        }
    }
    sums
}

fn play(mut client: RawClient, first: u64, end: Instant) -> Vec<Seen> {
    let mut all = vec![Seen::default(); SHAPES.len()];
    'time: for n in first.. {
        for (shape, seen) in SHAPES.iter().zip(&mut all) {
            if Instant::now() > end {
                break 'time;
            }
            let ms = (shape.sleeps_ms)(n);
            let sql = format!("select pg_sleep({}) from {}", ms / 1e3, shape.name);
            let began = Instant::now();
            client.ok(&sql);
            seen.waited += began.elapsed();
            seen.calls += 1;
            seen.slept_ms.push(ms);
        }
    }
    all
}

/// A column of the shape's row in SHOW STATEMENTS.
fn told(shown: &Reply, shape: &Shape, column: &str) -> String {
    let ends = format!(" from {}", shape.name);
    let cell = shown.cell(column, |row| row.get("query").ends_with(&ends));
    cell.unwrap_or_default()
}

/// Everything of one statement, by name.
fn whole(bouncer: &Running, shown: &Reply, shape: &Shape) -> impl Fn(&str) -> f64 {
    let fingerprint = told(shown, shape, "fingerprint");
    let sheet = bouncer.show(&format!("show statement '{fingerprint}'"));
    move |name| {
        let cell = sheet.cell("value", |row| row.get("name") == name);
        cell.and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
    }
}

/// T7: totals within 2 % and 0.2 ms a call; calls exact.
fn against_postgres(pg: &Pg, shown: &Reply, seen: &[Seen]) {
    println!(
        "\n| shape | calls: clients, pgweir, PostgreSQL | server ms a call | pg_stat_statements | difference a call, ms |"
    );
    println!("|---|---|---|---|---|");
    for (shape, seen) in SHAPES.iter().zip(seen) {
        let of = |column: &str| {
            let sql = format!(
                "select {column} from pg_stat_statements where query like '% from {}'",
                shape.name
            );
            pg.ask(&sql).parse::<f64>().unwrap_or(f64::NAN)
        };
        let calls = seen.calls.max(1) as f64;
        let server = told(shown, shape, "server_ms").parse().unwrap_or(f64::NAN) / calls;
        let theirs = of("total_exec_time") / calls;
        println!(
            "| {} | {}, {}, {} | {server:.3} | {theirs:.3} | {:+.3} |",
            shape.name,
            seen.calls,
            told(shown, shape, "calls"),
            of("calls"),
            server - theirs
        );
    }
}

/// The parts are what the client waited for, but for the way there and back.
fn against_clients(bouncer: &Running, shown: &Reply, seen: &[Seen]) {
    println!(
        "\n| shape | clients waited, ms a call | pool wait | server | transfer | the parts are |"
    );
    println!("|---|---|---|---|---|---|");
    for (shape, seen) in SHAPES.iter().zip(seen) {
        let of = whole(bouncer, shown, shape);
        let calls = seen.calls.max(1) as f64;
        let waited = seen.waited.as_secs_f64() * 1e3 / calls;
        let parts = ["wait_ms", "server_ms", "transfer_ms"].map(|name| of(name) / calls);
        let [wait, server, transfer] = parts;
        let share = 100.0 * parts.iter().sum::<f64>() / waited;
        println!(
            "| {} | {waited:.3} | {wait:.3} | {server:.3} | {transfer:.3} | {share:.1} % |",
            shape.name
        );
    }
}

/// T8: within 12.5 % of what was slept, as far as the machine keeps to it.
fn quantiles(bouncer: &Running, shown: &Reply, seen: &[Seen]) {
    println!("\n| shape | p50: slept, told | p95: slept, told | p99: slept, told |");
    println!("|---|---|---|---|");
    for (shape, seen) in SHAPES.iter().zip(seen) {
        let of = whole(bouncer, shown, shape);
        let mut slept = seen.slept_ms.clone();
        slept.sort_by(f64::total_cmp);
        let cells = [("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99)].map(|(name, q)| {
            let at = (slept.len() as f64 * q) as usize;
            let known = slept.get(at).copied().unwrap_or(f64::NAN);
            let told = of(name);
            format!(
                "{known:.1}, {told:.2} ({:+.1} %)",
                100.0 * (told / known - 1.0)
            )
        });
        println!("| {} | {} |", shape.name, cells.join(" | "));
    }
}
