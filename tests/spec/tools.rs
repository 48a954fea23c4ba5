//! The programs people point at a pooler: psql, pgbench, pg_dump, pg_restore, tokio-postgres.

use crate::support::{Bouncer, Pg, Running, output_of, tools};
use std::process::Command;

fn tool(name: &str, bouncer: &Running) -> Command {
    let folder = match name {
        "pg_dump" | "pg_restore" => tools().dump.as_ref().unwrap_or(&tools().client),
        _ => &tools().client,
    };
    let mut command = Command::new(folder.join(name));
    command
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &bouncer.port.to_string(),
            "-U",
            "app",
        ])
        .env("PGPASSWORD", "app-secret");
    command
}

#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let (status, out, error) = output_of(command);
    assert!(status.success(), "{command:?}: {out}{error}");
    out
}

#[test]
fn pg_dump_and_restore_give_back_the_same_rows() {
    let pg = Pg::shared();
    let (source, target) = (pg.database(), pg.database());
    let bouncer = Bouncer::new(pg)
        .set("auth_type", "md5")
        .pool_size(5)
        .start();
    let mut client = bouncer.login().database(&source).connect();
    client.ok("create table cow (id serial primary key, name text, born date, blob bytea)");
    client.ok(
        "insert into cow (name, born, blob) select 'cow ''' || n, '2020-01-01'::date + n, \
         decode(md5(n::text), 'hex') from generate_series(1, 5000) n",
    );
    client.ok("create view old_cow as select * from cow where born < '2021-01-01'");
    client.ok("create function moo() returns text language sql as $$ select 'moo' $$");
    let file = bouncer.dir().join("dump.fc").display().to_string();
    // The folder belongs to the server account; the tool runs as us.
    let file = if std::fs::write(&file, "").is_ok() {
        file
    } else {
        panic!("a folder for the dump")
    };
    succeeds(tool("pg_dump", &bouncer).args(["-Fc", "-f", &file, &source]));
    let (_, _, said) =
        output_of(tool("pg_restore", &bouncer).args(["--no-owner", "-d", &target, &file]));
    // A pg_restore newer than the server sets a parameter the server does not know yet.
    let errors = said.lines().filter(|line| line.contains("error:"));
    assert!(
        errors
            .clone()
            .all(|line| line.contains("transaction_timeout")),
        "{said}"
    );
    let sum = "select md5(string_agg(c::text, ',' order by id)) || count(*) from cow c";
    let mut restored = bouncer.login().database(&target).connect();
    // pg_dump leaves an empty search_path behind on its server, with any transaction pooler.
    let sum_there = sum.replace("from cow", "from public.cow");
    let sum_here = client.one(&sum_there);
    assert_eq!(restored.one(&sum_there), sum_here);
    assert_eq!(restored.one("select public.moo()"), "moo");
}

#[test]
fn pgbench_with_many_clients_adds_up() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .pool_size(20)
        .set("max_client_conn", 300)
        .start();
    succeeds(tool("pgbench", &bouncer).args(["-i", "-q", "-s", "5", &database]));
    // -M prepared waits for each Parse in a blocking call: with more clients than servers, threads
    // of pgbench would wait for each other for ever. It gets the script without transactions.
    for (protocol, script) in [
        ("simple", "tpcb-like"),
        ("extended", "tpcb-like"),
        ("prepared", "select-only"),
    ] {
        let words = [
            "-n", "-c", "200", "-j", "2", "-T", "3", "-b", script, "-M", protocol,
        ];
        let out = succeeds(tool("pgbench", &bouncer).args(words).arg(&database));
        assert!(
            out.contains("number of failed transactions: 0"),
            "{protocol}: {out}"
        );
    }
    let mut client = bouncer.client_of(&database);
    let sums = client.ok(
        "select (select sum(abalance) from pgbench_accounts), (select sum(tbalance) from pgbench_tellers), \
         (select sum(bbalance) from pgbench_branches), (select sum(delta) from pgbench_history)",
    );
    let cells: Vec<_> = sums.rows[0].iter().flatten().collect();
    assert!(cells.windows(2).all(|pair| pair[0] == pair[1]), "{cells:?}");
}

#[test]
fn psql_runs_a_script() {
    let bouncer = Bouncer::new(Pg::shared())
        .set("auth_type", "scram-sha-256")
        .start();
    let out = succeeds(tool("psql", &bouncer).args([
        "-X",
        "-A",
        "-t",
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
        "select 1",
        "-c",
        "begin; create temp table t (n int); insert into t values (1), (2); commit",
        "-c",
        "\\d",
        "app",
    ]));
    assert!(out.starts_with("1\n"), "{out}");
}

#[test]
fn tokio_postgres_works_with_prepared_statements_and_transactions() {
    let bouncer = Bouncer::new(Pg::shared()).pool_size(2).start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let words = format!("host=127.0.0.1 port={} user=app dbname=app", bouncer.port);
    runtime.block_on(async {
        let (mut client, connection) = tokio_postgres::connect(&words, tokio_postgres::NoTls)
            .await
            .unwrap();
        let driver = tokio::spawn(connection);
        let statement = client.prepare("select $1::int4 + 1").await.unwrap();
        for n in 0..20_i32 {
            let row = client.query_one(&statement, &[&n]).await.unwrap();
            assert_eq!(row.get::<_, i32>(0), n + 1);
        }
        let transaction = client.transaction().await.unwrap();
        transaction
            .execute("create temp table t (n int) on commit drop", &[])
            .await
            .unwrap();
        assert!(
            transaction
                .query("select * from t", &[])
                .await
                .unwrap()
                .is_empty()
        );
        transaction.commit().await.unwrap();
        assert!(client.query("select * from t", &[]).await.is_err());
        drop(client);
        driver.await.unwrap().unwrap();
    });
}
