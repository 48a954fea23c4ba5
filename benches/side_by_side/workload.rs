//! What is run: pgbench's own scripts and a few of ours.

use crate::support::{Pg, tools};
use std::process::Command;

/// How a workload is driven.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// pgbench -S with a protocol.
    Select(&'static str),
    /// pgbench's TPC-B-like script.
    TpcB,
    /// A script file of ours, by content.
    Script(&'static str),
    /// -S with a new connection for every transaction.
    Reconnect,
    /// Clients that do nothing.
    Idle,
}

pub struct Workload {
    pub name: String,
    pub title: String,
    pub kind: Kind,
    pub clients: u32,
    pub tls: bool,
    pub count_syscalls: bool,
}

pub const SCALE: u32 = 20;

/// An Odoo read as psycopg2 sends it: borrow, begin, one statement, roll back.
const ODOO_READ: &str = "\
DISCARD ALL;
BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE;
SELECT abalance FROM pgbench_accounts WHERE aid = 4711;
ROLLBACK;
";

/// Five statements that differ in every transaction. Each client writes a row that nobody else
/// writes (on a page of its own), so that no transaction fails to serialize.
const ODOO_5: &str = r#"
\set one random(1, 100000 * :scale)
\set two random(1, 100000 * :scale)
\set three random(1, 100000 * :scale)
\set branch random(1, :scale)
\set amount random(-5000, 5000)
\set own :client_id * 1000 + 1
DISCARD ALL;
BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE;
SELECT (SELECT max("bid") FROM "pgbench_branches"), (SELECT max("tid") FROM "pgbench_tellers");
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."bid", "pgbench_accounts"."abalance" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" IN (:one, :two, :three);
SELECT "pgbench_tellers"."tid", "pgbench_tellers__bid"."bbalance" FROM "pgbench_tellers" LEFT JOIN "pgbench_branches" AS "pgbench_tellers__bid" ON ("pgbench_tellers"."bid" = "pgbench_tellers__bid"."bid") WHERE "pgbench_tellers"."bid" = :branch ORDER BY "pgbench_tellers"."tid" LIMIT 80;
UPDATE "pgbench_accounts" SET "abalance" = "__tmp"."abalance"::int4 FROM (VALUES (:own, :amount)) AS "__tmp"("aid", "abalance") WHERE "pgbench_accounts"."aid" = "__tmp"."aid";
SELECT "pgbench_accounts"."abalance", COALESCE("pgbench_accounts"."filler", 'none-:amount') FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = :own;
COMMIT;
"#;

/// Twelve statements of the same kind, two of them writes.
const ODOO_12: &str = r#"
\set one random(1, 100000 * :scale)
\set two random(1, 100000 * :scale)
\set three random(1, 100000 * :scale)
\set four random(1, 100000 * :scale)
\set branch random(1, :scale)
\set teller random(1, 10 * :scale)
\set amount random(-5000, 5000)
\set own :client_id * 1000 + 1
DISCARD ALL;
BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE;
SELECT (SELECT max("bid") FROM "pgbench_branches"), (SELECT max("tid") FROM "pgbench_tellers");
SELECT "pgbench_branches"."bid" FROM "pgbench_branches" WHERE ("pgbench_branches"."bid" = :branch) AND ("pgbench_branches"."filler" IS NULL OR "pgbench_branches"."filler" != 'closed-:amount') LIMIT 1;
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."bid", "pgbench_accounts"."abalance" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" IN (:one, :two, :three, :four);
SELECT "pgbench_tellers"."tid", "pgbench_tellers__bid"."bbalance" FROM "pgbench_tellers" LEFT JOIN "pgbench_branches" AS "pgbench_tellers__bid" ON ("pgbench_tellers"."bid" = "pgbench_tellers__bid"."bid") WHERE "pgbench_tellers"."bid" = :branch ORDER BY "pgbench_tellers"."tid" LIMIT 80;
SELECT "pgbench_accounts"."abalance" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = :own;
UPDATE "pgbench_accounts" SET "abalance" = "__tmp"."abalance"::int4 FROM (VALUES (:own, :amount)) AS "__tmp"("aid", "abalance") WHERE "pgbench_accounts"."aid" = "__tmp"."aid";
SELECT "pgbench_accounts"."abalance", COALESCE("pgbench_accounts"."filler", 'none-:amount') FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = :own;
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."filler" FROM "pgbench_accounts" WHERE ("pgbench_accounts"."aid" >= :one) ORDER BY "pgbench_accounts"."aid" LIMIT 10;
SELECT COUNT(*) FROM (SELECT FROM "pgbench_accounts" WHERE ("pgbench_accounts"."aid" BETWEEN :two AND :two + 40) LIMIT 101) t;
SELECT "pgbench_tellers"."tbalance" FROM "pgbench_tellers" WHERE "pgbench_tellers"."tid" IN (:teller);
UPDATE "pgbench_accounts" SET "filler" = 'written by :client_id with :amount' WHERE "pgbench_accounts"."aid" IN (:own);
SELECT "pgbench_accounts"."bid", SUM("pgbench_accounts"."abalance"), COUNT(*) FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" IN (:three, :four, :own) GROUP BY "pgbench_accounts"."bid" ORDER BY "pgbench_accounts"."bid" ASC;
COMMIT;
"#;

pub fn all() -> Vec<Workload> {
    let plain = |name: String, title: String, kind, clients| Workload {
        name,
        title,
        kind,
        clients,
        tls: false,
        count_syscalls: false,
    };
    let mut all = Vec::new();
    for protocol in ["simple", "extended", "prepared"] {
        for clients in [1, 16, 64, 256] {
            let plural = if clients == 1 { "" } else { "s" };
            let title = format!("-S -M {protocol}, {clients} client{plural}");
            let mut one = plain(
                format!("{protocol}{clients}"),
                title,
                Kind::Select(protocol),
                clients,
            );
            one.count_syscalls = clients == 16;
            all.push(one);
        }
    }
    all.push(plain(
        "tpcb16".into(),
        "TPC-B, 16 clients".into(),
        Kind::TpcB,
        16,
    ));
    let mut odoo = plain(
        "odoo16".into(),
        "Odoo read (DISCARD ALL, BEGIN, SELECT, ROLLBACK), 16 clients".into(),
        Kind::Script(ODOO_READ),
        16,
    );
    odoo.count_syscalls = true;
    all.push(odoo);
    for (statements, script) in [(5, ODOO_5), (12, ODOO_12)] {
        let title = format!(
            "Odoo transaction (DISCARD ALL, BEGIN, {statements} statements, COMMIT), 16 clients"
        );
        let name = format!("odoo{statements}");
        let mut odoo = plain(name, title, Kind::Script(script), 16);
        odoo.count_syscalls = true;
        all.push(odoo);
    }
    let rows = |n| format!("{n} result in rows of 100 bytes");
    let small = Kind::Script("SELECT filler FROM bench_rows LIMIT 560;\n");
    let large = Kind::Script("SELECT filler FROM bench_rows LIMIT 46800;\n");
    all.push(plain(
        "60kb".into(),
        rows("60 kB") + ", 16 clients",
        small,
        16,
    ));
    all.push(plain("5mb".into(), rows("5 MB") + ", 4 clients", large, 4));
    all.push(plain(
        "login8".into(),
        "login + SELECT (-C), 8 clients".into(),
        Kind::Reconnect,
        8,
    ));
    let tls = |mut workload: Workload| {
        workload.tls = true;
        workload.title += ", TLS";
        workload
    };
    all.push(tls(plain(
        "tls16".into(),
        "-S -M simple, 16 clients".into(),
        Kind::Select("simple"),
        16,
    )));
    all.push(tls(plain(
        "tls60kb".into(),
        rows("60 kB") + ", 16 clients",
        small,
        16,
    )));
    all.push(tls(plain(
        "tlslogin8".into(),
        "login + SELECT (-C), 8 clients".into(),
        Kind::Reconnect,
        8,
    )));
    all.push(plain(
        "idle".into(),
        "bytes of RSS per idle client".into(),
        Kind::Idle,
        0,
    ));
    all
}

/// Tables for all workloads.
pub fn prepare(pg: &Pg) {
    let status = Command::new(tools().client.join("pgbench"))
        .args([
            "-i",
            "-q",
            "-s",
            &SCALE.to_string(),
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
        ])
        .args(["-p", &pg.port.to_string(), "app"])
        .output()
        .expect("pgbench");
    assert!(
        status.status.success(),
        "{}",
        String::from_utf8_lossy(&status.stderr)
    );
    let mut admin = pg.admin();
    admin.ok("create unlogged table bench_rows as \
              select n as id, repeat('x', 100) as filler from generate_series(1, 50000) n");
    admin.ok("grant all on all tables in schema public to public");
    admin.ok("vacuum analyze");
}

impl Workload {
    /// Whether pgweir also runs it with `keep_unnamed = 1`.
    pub fn is_run_kept(&self) -> bool {
        self.kind == Kind::Select("extended") && matches!(self.clients, 16 | 64)
    }

    /// pgbench's arguments but for time and place.
    pub fn arguments(&self, script: &std::path::Path) -> Vec<String> {
        let mut all: Vec<String> = vec!["-n".into(), "-c".into(), self.clients.to_string()];
        all.extend([
            "-j".into(),
            if self.clients == 1 { "1" } else { "2" }.into(),
        ]);
        match self.kind {
            Kind::Select(protocol) => all.extend(["-S".into(), "-M".into(), protocol.into()]),
            Kind::TpcB | Kind::Idle => {}
            Kind::Reconnect => all.extend(["-S".into(), "-C".into()]),
            Kind::Script(text) => {
                std::fs::write(script, text).expect("a script");
                // pgbench finds out the scale by itself only for its own scripts.
                all.extend(["-s".into(), SCALE.to_string()]);
                all.extend(["-f".into(), script.display().to_string()]);
            }
        }
        all
    }
}
