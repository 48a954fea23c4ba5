//! The console's own screens and verbs: who is at what, and how it is ended.

use crate::support::frames::{extended, parse, query, sync};
use crate::support::{Bouncer, Pg, RawClient, Reply, Running, output_of, tools};
use crate::{assert_soon, only_pgweir};
use std::process::Command;

fn start() -> Running {
    Bouncer::new(Pg::shared()).pool_size(2).start()
}

/// A client whose application_name is `app`.
fn client(bouncer: &Running, database: &str, app: &str) -> RawClient {
    let login = bouncer.login().database(database);
    login.parameter("application_name", app).connect()
}

/// A column of an application's row in SHOW ACTIVITY; empty without a row.
fn activity(bouncer: &Running, app: &str, column: &str) -> String {
    let reply = bouncer.show("show activity limit all");
    let cell = reply.cell(column, |row| row.get("app") == app);
    cell.unwrap_or_default()
}

/// SHOW CLIENTS.id of an application.
fn id(bouncer: &Running, app: &str) -> String {
    let reply = bouncer.show("show clients");
    let cell = reply.cell("id", |row| row.get("application_name") == app);
    cell.unwrap_or_else(|| panic!("no client {app}"))
}

fn notice(reply: &Reply) -> &str {
    reply.notices.first().map_or("", |notice| notice.text())
}

#[test]
fn screens_have_the_documented_columns_before_and_after_they_run() {
    only_pgweir!();
    let bouncer = start();
    let mut console = bouncer.console();
    for (screen, columns) in [
        (
            "statements",
            "fingerprint database user pct calls errors rows_call server_ms mean_ms p95_ms max_ms \
             blocked_ms wait_ms query",
        ),
        (
            "slow",
            "ended total_ms wait_ms server_ms blocked_ms transfer_ms rows sqlstate id app client \
             fingerprint query",
        ),
        (
            "activity",
            "id state state_s xact_s behind blocked_by flags user app client pid statement pinned \
             pinned_s",
        ),
        (
            "blocked",
            "tree id pid state wait_s behind lock app client statement end_it",
        ),
        (
            "transactions",
            "app heaviest xacts commits rollbacks stmts mean_hold_ms p95_hold_ms server_pct \
             think_pct max_repeat repeated database user fingerprint",
        ),
        ("alerts", "alert state value limit culprit next"),
    ] {
        let options = "last 5m for app user app app 'x' min calls 1 limit 3";
        for text in [
            format!("show {screen}"),
            format!("SHOW {screen} {options};"),
        ] {
            let simple = console.ok(&text);
            assert_eq!(simple.columns.join(" "), columns, "{text}");
            assert_eq!(simple.tags, ["SHOW"]);
            assert!(!notice(&simple).is_empty(), "{text}: a notice with totals");
            let prepared = console.exchange(&extended(&text, &[]));
            assert_eq!(prepared.columns, simple.columns, "{text}");
            assert_eq!(prepared.types, simple.types, "{text}");
        }
    }
    let benchmark = console.ok("show benchmark 'B2C Order' last 1m");
    assert_eq!(
        benchmark.columns.join("|"),
        "Date|Workload|TPS|Avg latency|95th percentile|Notes"
    );
    let workload = benchmark.table().next().expect("a row");
    assert_eq!(workload.get("Workload"), "B2C Order");
}

#[test]
fn activity_shows_who_is_executing_idle_in_a_transaction_or_queued() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(2).start();
    let state = |app: &str| activity(&bouncer, app, "state");
    let mut holder = client(&bouncer, &database, "holder");
    assert_eq!(state("holder"), "", "an idle client is nowhere");
    holder.ok("begin");
    assert_soon!(state("holder") == "idle in tx", "it thinks");
    let backend = holder.backend().to_string();
    assert_eq!(activity(&bouncer, "holder", "pid"), backend);
    let runner = client(&bouncer, &database, "runner");
    let sleeping = runner.spawn("select pg_sleep(600)");
    assert_soon!(state("runner") == "executing", "it runs");
    let mut waiter = client(&bouncer, &database, "waiter");
    waiter.put(&query("select 1"));
    assert_soon!(state("waiter") == "queued", "it waits");
    assert_eq!(activity(&bouncer, "waiter", "flags"), "Q");
    assert_eq!(activity(&bouncer, "waiter", "pid"), "");
    let reply = bouncer.show("show activity");
    let first = reply.table().next().expect("a row");
    assert_eq!((first.get("app"), first.get("behind")), ("holder", "1"));
    assert!(first.get("flags").contains('I'), "{}", first.get("flags"));
    let counts = "1 executing, 0 lock-waiting, 0 sending, 1 queued, 1 idle in transaction";
    assert!(notice(&reply).starts_with(counts), "{}", notice(&reply));
    assert_eq!(first.get("id"), id(&bouncer, "holder"));
    let others = bouncer.show(&format!("show activity for {database} app run*"));
    assert_eq!(others.rows.len(), 1, "{others:?}");
    holder.ok("commit");
    assert_soon!(state("holder").is_empty(), "it is idle again");
    waiter.until_ready();
    bouncer.show(&format!("cancel {}", id(&bouncer, "runner")));
    let (_, reply) = sleeping.join().expect("no panic");
    assert_eq!(reply.error().sqlstate(), "57014");
}

#[test]
fn activity_shows_what_a_queued_client_asks_for() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(1).start();
    let mut holder = client(&bouncer, &database, "holder");
    holder.ok("begin; select 1");
    let mut simple = client(&bouncer, &database, "simple");
    simple.put(&query("select 'never seen', 17 /* a queued one */"));
    let mut extended = client(&bouncer, &database, "extended");
    extended.put(&[parse("", "select $1::int + 18"), sync()].concat());
    let shown = |app: &str| activity(&bouncer, app, "statement");
    assert_soon!(shown("simple") == "select $1, $2", "its own text");
    assert_soon!(shown("extended") == "select $1::int + $2", "its own text");
    holder.ok("commit");
    simple.until_ready();
    extended.until_ready();
    assert_soon!(shown("simple").is_empty(), "it is idle");
}

#[test]
fn without_a_sidecar_locks_are_unknown_and_say_why() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).start();
    let blocked = bouncer.show("show blocked");
    let row = blocked.table().next().expect("a row, never an empty table");
    assert_eq!(row.get("state"), "unknown");
    assert!(row.get("statement").contains("monitor_user"), "{blocked:?}");
    assert!(notice(&blocked).contains("monitor_user"));
    let runner = client(&bouncer, &database, "runner");
    let sleeping = runner.spawn("select pg_sleep(600)");
    let blocked_by = || activity(&bouncer, "runner", "blocked_by");
    assert_soon!(blocked_by() == "unknown", "it may wait for a lock");
    let alerts = bouncer.show("show alerts");
    let lock_wait = |column| alerts.cell(column, |row| row.get("alert") == "lock_wait");
    assert_eq!(lock_wait("state").as_deref(), Some("unknown"));
    assert_eq!(lock_wait("value").as_deref(), Some(""));
    bouncer.show(&format!("kill_client {}", id(&bouncer, "runner")));
    sleeping.join().expect("no panic");
}

#[test]
fn cancel_reaches_by_id_and_by_pid_and_only_who_runs() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(2).start();
    let mut console = bouncer.console();
    let mut runner = client(&bouncer, &database, "runner");
    for by_pid in [false, true] {
        runner.ok("begin");
        let pid = runner.backend();
        let sleeping = runner.spawn("select pg_sleep(600)");
        assert_soon!(
            activity(&bouncer, "runner", "state") == "executing",
            "it runs"
        );
        let reply = match by_pid {
            true => console.ok(&format!("CANCEL PID {pid};")),
            false => console.ok(&format!("cancel {}", id(&bouncer, "runner"))),
        };
        assert_eq!(reply.tags, ["CANCEL"]);
        let (back, reply) = sleeping.join().expect("no panic");
        assert_eq!(reply.error().sqlstate(), "57014");
        runner = back;
        runner.ok("rollback");
    }
    let runner_id = id(&bouncer, "runner");
    let error = console.fails(&format!("cancel {runner_id}"));
    assert_eq!(error.sqlstate(), "55000");
    assert!(error.text().contains("no query running"));
    assert_eq!(console.fails("cancel 999999").text(), "client not found");
    let error = console.fails("cancel pid 1");
    assert_eq!(error.text(), "no client is linked to backend 1");
    runner.ok("select 1");
}

#[test]
fn kill_client_takes_a_pid_too() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).start();
    let mut holder = client(&bouncer, &database, "holder");
    holder.ok("begin");
    let pid = holder.backend();
    let reply = bouncer.show(&format!("kill_client pid {pid}"));
    assert_eq!(reply.tags, ["KILL_CLIENT"]);
    let told = holder.end();
    assert_eq!(told.error().text(), "admin forced disconnect");
    let mut console = bouncer.console();
    assert_eq!(console.fails("kill_client pid 1").sqlstate(), "42704");
}

#[test]
fn idle_transactions_are_listed_first_and_closed_then() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(4).start();
    let mut holder = client(&bouncer, &database, "holder");
    holder.ok("begin");
    let mut spared = client(&bouncer, &database, "spared");
    spared.ok("begin");
    let mut idle = client(&bouncer, &database, "idle");
    idle.ok("select 1");
    let mut console = bouncer.console();
    let kill = |over: &str, rest: &str| format!("KILL IDLE IN TRANSACTION OVER {over} {rest}");
    let none = console.ok(&kill("1h", "DRY RUN"));
    assert!(none.rows.is_empty(), "{none:?}");
    assert_soon!(
        console.ok(&kill("0", "DRY RUN")).rows.len() == 2,
        "both are listed"
    );
    let list = console.ok(&kill("0", "FOR nowhere DRY RUN"));
    assert!(list.rows.is_empty());
    let only = format!("FOR {database} USER app APP holder");
    let list = console.ok(&kill("0s", &format!("{only} DRY RUN")));
    assert_eq!(list.rows.len(), 1);
    let row = list.table().next().expect("a row");
    assert_eq!(row.get("id"), id(&bouncer, "holder"));
    assert_eq!(row.get("pid"), holder.backend().to_string());
    assert!(notice(&list).contains("would be closed"), "{list:?}");
    holder.ok("select 1");
    let done = console.ok(&kill("0", &only));
    assert_eq!(
        (done.rows.len(), &*done.tags),
        (1, &["KILL".to_owned()][..])
    );
    assert_eq!(holder.end().error().text(), "admin forced disconnect");
    spared.ok("select 1");
    idle.ok("select 1");
    assert_soon!(
        bouncer.logged("KILL IDLE IN TRANSACTION command issued by admin") == 1,
        "one line per client that is closed"
    );
}

#[test]
fn whoever_may_only_look_cannot_act() {
    only_pgweir!();
    let bouncer = start();
    let login = bouncer.login().user("stats").database("pgbouncer");
    let mut stats = login.connect();
    for verb in [
        "cancel 1",
        "cancel pid 1",
        "kill_client pid 1",
        "kill idle in transaction over 1h",
        "kill idle in transaction over 1h dry run",
        "reset statements",
    ] {
        assert_eq!(stats.fails(verb).text(), "admin access needed", "{verb}");
    }
    for screen in ["statements", "activity", "blocked", "alerts"] {
        stats.ok(&format!("show {screen}"));
    }
}

#[test]
fn mistakes_are_named_in_both_protocols() {
    only_pgweir!();
    let bouncer = start();
    let mut console = bouncer.console();
    for (text, sqlstate, words) in [
        ("show statements order by calories", "42703", "server_ms"),
        ("show activity order by calls", "42703", "xact_s"),
        ("show slow last 3m", "42601", "LAST 1m|5m|15m|1h"),
        ("show blocked for", "42601", "usage: SHOW BLOCKED"),
        ("show alerts limit few", "42601", "'few'"),
        ("show statement 'xyz'", "22P02", "16 hexadecimal digits"),
        ("show statement '00000000000000ff'", "42704", "never seen"),
        ("reset statements '00000000000000ff'", "42704", "never seen"),
        ("reset statements 12", "22P02", "16 hexadecimal digits"),
        ("cancel me", "42601", "usage: CANCEL id | PID n"),
        ("kill idle in transaction over 5d", "42601", "'5d'"),
        (
            "kill_client pid me",
            "42601",
            "usage: KILL_CLIENT id | PID n",
        ),
    ] {
        let error = console.fails(text);
        assert_eq!(error.sqlstate(), sqlstate, "{text}");
        assert!(error.text().contains(words), "{text}: {}", error.text());
        let again = console.exchange(&extended(text, &[]));
        assert_eq!(again.error().sqlstate(), sqlstate, "{text}, extended");
    }
    console.ok("show version");
}

#[test]
fn psql_shows_screens_aligned_expanded_and_bare() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).start();
    let mut holder = client(&bouncer, &database, "holder");
    holder.ok("begin");
    let psql = |options: &[&str], command: &str| {
        let mut psql = Command::new(tools().client.join("psql"));
        let port = bouncer.port.to_string();
        psql.args(["-X", "-h", "127.0.0.1", "-p", &port, "-U", "stats"]);
        psql.args(options).args(["pgbouncer", "-c", command]);
        let (status, out, error) = output_of(&mut psql);
        assert!(status.success(), "{command}: {out} {error}");
        (out, error)
    };
    let (out, error) = psql(&[], "show activity");
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].contains("| xact_s |"), "{out}");
    assert!(lines[2].contains(" idle in tx "), "{out}");
    assert!(error.contains("NOTICE:  0 executing"), "{error}");
    let (out, _) = psql(&["-x"], "show activity");
    assert!(out.contains("state      | idle in tx"), "{out}");
    let (out, _) = psql(&["-At"], "show activity app holder");
    assert_eq!(out.lines().count(), 1, "{out}");
    let expected = format!("{}|idle in tx|", id(&bouncer, "holder"));
    assert!(out.starts_with(&expected), "{out}");
    let (_, help) = psql(&[], "show help");
    for word in ["SHOW STATEMENTS", "KILL IDLE IN TRANSACTION", "CANCEL"] {
        assert!(help.contains(word), "{word}: {help}");
    }
}

#[test]
fn drivers_read_numbers_as_numbers() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).start();
    let mut holder = client(&bouncer, &database, "holder");
    holder.ok("begin; select 1");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let words = format!(
        "host=127.0.0.1 port={} user=stats dbname=pgbouncer",
        bouncer.port
    );
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&words, tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        let statement = client.prepare("show activity app holder").await.unwrap();
        let rows = client.query(&statement, &[]).await.unwrap();
        let row = rows.first().expect("a row");
        assert_eq!(row.get::<_, &str>("state"), "idle in tx");
        assert!(row.get::<_, f64>("state_s") >= 0.0);
        assert!(row.get::<_, i64>("id") > 0);
        assert!(row.get::<_, i32>("pid") > 0);
        let alerts = client.query("show alerts limit all", &[]).await.unwrap();
        let clients = alerts
            .iter()
            .find(|row| row.get::<_, &str>("alert") == "clients_near_limit");
        let clients = clients.expect("an alert that is always known");
        assert!(clients.get::<_, f64>("value") < 0.8);
        assert_eq!(clients.get::<_, &str>("state"), "OK");
    });
}
