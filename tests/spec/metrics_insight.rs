//! What /metrics says of statements: exact sums, no constants, targets, flags, bounds (ours).

use crate::support::frames::query;
use crate::support::programs::find;
use crate::support::{Bouncer, Pg, Running};
use crate::{assert_soon, only_pgweir};
use std::io::Write;
use std::process::{Command, Stdio};

/// The samples of a scrape that carry a label.
struct Scrape(String);

impl Scrape {
    fn of(bouncer: &Running) -> Self {
        let answer = bouncer.http("/metrics");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        Self(body.to_owned())
    }

    /// The sum of the samples of `name` that carry all `labels`.
    fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let samples = self.0.lines().filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        });
        let values = samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum()
    }
}

fn promtool_is_content(body: &str) {
    let mut promtool = Command::new(find("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool");
    let mut input = promtool.stdin.take().expect("its input");
    input.write_all(body.as_bytes()).expect("to be read");
    drop(input);
    let output = promtool.wait_with_output().expect("its end");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn sums_are_exact_and_hold_no_constant() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_mode("transaction").start();
    let login = bouncer.login().database(&database);
    let mut client = login.parameter("application_name", "odoo-4711").connect();
    client.ok("create table herd (id int, name text)");
    client.ok("begin");
    for n in 0..10 {
        client.ok(&format!("insert into herd values ({n}, 'geheim{n}')"));
    }
    client.ok("commit");
    for n in 0..20 {
        client.ok(&format!("select name from herd where id < {n}"));
    }
    client.fails("select 1 / 0");
    client.fails("select 'geheim' from geheimnis");
    client.ok("select 'geheim'; select count(*) from herd");
    let expected = 1.0 + 12.0 + 20.0 + 2.0 + 2.0;

    let label = format!("database=\"{database}\"");
    let in_database = [label.as_str()];
    assert_soon!(
        Scrape::of(&bouncer).sum("pgweir_statements_total", &in_database) >= expected,
        "all are counted: {}",
        Scrape::of(&bouncer).0
    );
    let scrape = Scrape::of(&bouncer);
    let sum = |name: &str| scrape.sum(name, &in_database);
    let of_class = |name: &str, class: &str| scrape.sum(name, &[&label, class]);
    assert_eq!(sum("pgweir_statements_total"), expected, "{}", scrape.0);
    assert_eq!(
        of_class("pgweir_statements_total", "class=\"insert\""),
        10.0
    );
    assert_eq!(
        of_class("pgweir_statements_total", "class=\"control\""),
        2.0
    );
    assert_eq!(of_class("pgweir_statements_total", "class=\"ddl\""), 1.0);
    let selected = (0..20).map(|n| f64::from(n.min(10))).sum::<f64>() + 2.0;
    let rows = "pgweir_statement_rows_total";
    assert_eq!(of_class(rows, "class=\"select\""), selected);
    assert_eq!(of_class(rows, "class=\"insert\""), 10.0);
    assert_eq!(sum("pgweir_top_statement_rows_total"), selected + 10.0);
    let (calls, errors) = (
        sum("pgweir_top_statement_calls_total"),
        sum("pgweir_top_statement_errors_total"),
    );
    assert_eq!((calls, errors), (expected - 2.0, 2.0), "{}", scrape.0);
    for class in ["sqlstate=\"22\"", "sqlstate=\"42\""] {
        assert_eq!(of_class("pgweir_statement_errors_total", class), 1.0);
    }
    let server = of_class("pgweir_statement_part_seconds_total", "part=\"server\"");
    let top = sum("pgweir_top_statement_seconds_total");
    assert!(
        server > 0.0 && (server - top).abs() < 1e-6,
        "{server} {top}"
    );
    let apps = scrape.sum(
        "pgweir_application_statement_seconds_total",
        &["application=\"odoo-*\""],
    );
    assert!((server - apps).abs() < 1e-6, "{server} {apps}");
    assert!(
        scrape.0.contains("verb=\"insert\",table=\"herd\""),
        "{}",
        scrape.0
    );
    for constant in ["geheim\"", "geheim0", "4711"] {
        assert!(!scrape.0.contains(constant), "{constant}");
    }
    promtool_is_content(&scrape.0);

    bouncer.console().ok("reset statements");
    let after = Scrape::of(&bouncer);
    for name in [
        "pgweir_statements_total",
        "pgweir_top_statement_calls_total",
        "pgweir_statement_seconds_count",
        "pgweir_transaction_seconds_count",
    ] {
        assert_eq!(after.sum(name, &in_database), sum(name), "{name}");
        assert!(sum(name) > 0.0, "{name}");
    }
    assert_eq!(after.sum("pgweir_statement_groups", &[]), 0.0);
}

#[test]
fn many_statements_stay_bounded_and_exact() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).own("statement_table_size", 50).start();
    let mut client = bouncer.client_of(&database);
    for n in 0..300 {
        client.ok(&format!("select 1 as c{n}"));
    }
    let label = format!("database=\"{database}\"");
    assert_soon!(
        Scrape::of(&bouncer).sum("pgweir_statements_total", &[&label]) == 300.0,
        "all are counted: {}",
        Scrape::of(&bouncer).0
    );
    let scrape = Scrape::of(&bouncer);
    assert_eq!(scrape.sum("pgweir_statement_groups_limit", &[]), 50.0);
    assert!(scrape.sum("pgweir_statement_groups", &[]) <= 50.0);
    assert!(scrape.sum("pgweir_statement_evictions_total", &[]) >= 250.0);
    let top = "pgweir_top_statement_calls_total";
    assert_eq!(scrape.sum(top, &[&label]), 300.0);
    assert!(scrape.sum(top, &[&label, "fingerprint=\"(other)\""]) >= 200.0);
}

#[test]
fn a_target_counts_its_calls_and_those_that_missed_it() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let rules = pgweir::sql::Rules::default();
    let of = |sql: &str| pgweir::sql::single(sql.as_bytes(), rules).fingerprint;
    let (sleep, quick) = (of("select pg_sleep(1)"), of("select 42"));
    let bouncer = Bouncer::new(pg);
    let file = bouncer.file(
        "targets.ini",
        &format!("nap = 100 {sleep:016x}\nquick = 60000 {quick:016x}\n"),
    );
    let bouncer = bouncer.own("targets_file", file).start();
    let mut client = bouncer.client_of(&database);
    for pause in ["0.001", "0.3"] {
        client.ok(&format!("select pg_sleep({pause})"));
    }
    client.ok("select 1");
    client.ok("select 'no number'");
    let read = |name: &str, target: &str| {
        Scrape::of(&bouncer).sum(name, &[&format!("target=\"{target}\"")])
    };
    assert_soon!(
        read("pgweir_target_calls_total", "quick") >= 2.0,
        "calls are counted: {}",
        Scrape::of(&bouncer).0
    );
    assert_eq!(read("pgweir_target_calls_total", "nap"), 2.0);
    assert_eq!(read("pgweir_target_calls_total", "quick"), 2.0);
    assert!(read("pgweir_target_missed_total", "nap") >= 1.0);
    assert_eq!(read("pgweir_target_missed_total", "quick"), 0.0);
}

#[test]
fn a_client_that_waits_is_flagged_in_metrics_and_log() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .pool_mode("transaction")
        .pool_size(1)
        .start();
    let mut holder = bouncer.client_of(&database);
    holder.ok("begin");
    let waiting = bouncer.client_of(&database).spawn("select 1");
    let label = format!("database=\"{database}\"");
    let queued = [label.as_str(), "flag=\"queued\""];
    assert_soon!(
        Scrape::of(&bouncer).sum("pgweir_sessions_flagged", &queued) == 1.0,
        "it is flagged: {}",
        Scrape::of(&bouncer).0
    );
    assert!(Scrape::of(&bouncer).sum("pgweir_oldest_queued_seconds", &[&label]) > 1.0);
    assert_soon!(bouncer.logged("queued for") == 1, "{}", bouncer.log());
    holder.ok("commit");
    waiting.join().expect("an answer");
    assert_soon!(
        Scrape::of(&bouncer).sum("pgweir_sessions_flagged", &queued) == 0.0,
        "it is over: {}",
        Scrape::of(&bouncer).0
    );
    assert_soon!(bouncer.logged("no longer queued") == 1, "{}", bouncer.log());
    assert!(Scrape::of(&bouncer).sum("pgweir_flags_total", &queued) >= 1.0);
}

#[test]
fn series_beyond_the_limit_are_left_out_and_counted() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).own("metrics_series_limit", 200).start();
    let mut client = bouncer.client_of(&database);
    for n in 0..60 {
        client.ok(&format!("select 1 as c{n}"));
    }
    let label = format!("database=\"{database}\"");
    assert_soon!(
        Scrape::of(&bouncer).sum("pgweir_statement_groups", &[]) >= 60.0,
        "all are counted: {} {label}",
        Scrape::of(&bouncer).0
    );
    let scrape = Scrape::of(&bouncer);
    let samples = scrape.0.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(samples.count(), 201);
    let dropped = scrape.sum("pgweir_metrics_series_dropped_total", &[]);
    let later = Scrape::of(&bouncer).sum("pgweir_metrics_series_dropped_total", &[]);
    assert!(0.0 < dropped && dropped < later, "{dropped} {later}");
}

#[test]
fn texts_that_never_come_back_cost_no_memory() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).own("statement_table_size", 500).start();
    let mut client = bouncer.client_of(&database);
    let filler = "x".repeat(3000);
    let mut run = |from: usize| {
        for batch in (from..from + 8_000).step_by(50) {
            let texts = (batch..batch + 50).map(|n| format!("select 1 as c{n}, 2 as {filler}"));
            let queries: Vec<u8> = texts.flat_map(|text| query(&text)).collect();
            client.put(&queries);
            for _ in 0..50 {
                client.until_ready();
            }
        }
    };
    // The lanes' tables and the windows have their size by then.
    run(0);
    run(8_000);
    let before = bouncer.rss_kb();
    run(16_000);
    run(24_000);
    let after = bouncer.rss_kb();
    // 16,000 texts of 3 kB would be 96 MB, normalised and redacted.
    assert!(after < before + 24_000, "{before} kB, then {after} kB");
    let scrape = Scrape::of(&bouncer);
    let label = format!("database=\"{database}\"");
    let counted = scrape.sum("pgweir_top_statement_calls_total", &[&label]);
    assert_eq!(counted, 32_000.0);
}
