//! Who waits for whose lock: seven sessions on a real PostgreSQL, as the console, the metrics and
//! the log tell it (insight.md 5.3, T16).

use crate::support::{Bouncer, Login, Pg, RawClient, Running, frames};
use crate::{assert_soon, only_pgweir};

/// A cluster whose log shows every question, with the sidecar's role.
fn cluster() -> Pg {
    let pg = Pg::with("log_statement = all\nmax_prepared_transactions = 2\n");
    pg.admin()
        .ok("create role monitor login; grant pg_monitor to monitor");
    let mut owner = Login::new(pg.port).user("app").database("app").connect();
    owner.ok("create table stock_quant (id int primary key, n int)");
    owner.ok("insert into stock_quant values (1, 0), (2, 0)");
    pg
}

fn watched(pg: &Pg) -> Running {
    Bouncer::new(pg)
        .pool_size(20)
        .own("monitor_user", "monitor")
        .own("lock_wait_warn_ms", 600)
        .own("lock_wait_crit_ms", 1500)
        .start()
}

fn named(pooler: &Running, name: &str) -> RawClient {
    let mut client = pooler.client();
    client.ok(&format!("set application_name = '{name}'"));
    client
}

/// Sends a query whose answer is not waited for.
fn stuck(client: &mut RawClient, sql: &str) {
    client.put(&frames::query(sql));
}

/// Cells of the row of SHOW BLOCKED with this application.
fn blocked(pooler: &Running, app: &str, column: &str) -> String {
    let reply = pooler.show("show blocked");
    let cell = reply.cell(column, |row| row.get("app") == app);
    cell.unwrap_or_default()
}

/// As SHOW CLIENTS names the client.
fn id_of(pooler: &Running, app: &str) -> String {
    let reply = pooler.show("show clients");
    let cell = reply.cell("id", |row| row.get("application_name") == app);
    cell.unwrap_or_else(|| panic!("no client {app}"))
}

fn waits_for(pg: &Pg, count: usize) {
    assert_soon!(
        pg.ask("select count(*) from pg_stat_activity where wait_event_type = 'Lock'")
            == count.to_string(),
        "{count} sessions wait for a lock"
    );
}

#[test]
fn seven_sessions_are_told_as_a_tree_with_their_clients() {
    only_pgweir!();
    let pg = cluster();
    let pooler = watched(&pg);
    let update = "update stock_quant set n = n + 1 where id = 1";

    let mut root = named(&pooler, "root");
    root.ok("begin");
    root.ok(update);
    let root_pid = root.one("select pg_backend_pid()");
    let mut row = named(&pooler, "row_waiter");
    stuck(&mut row, update);
    waits_for(&pg, 1);
    let mut tuple = named(&pooler, "tuple_waiter");
    stuck(&mut tuple, update);
    waits_for(&pg, 2);
    // Not through the pooler, as somebody with psql would.
    let mut alter = Login::new(pg.port).user("app").database("app").connect();
    alter.ok("set application_name = 'migration'");
    stuck(&mut alter, "alter table stock_quant add column extra int");
    waits_for(&pg, 3);
    let mut select = named(&pooler, "reader");
    stuck(&mut select, "select count(*) from stock_quant");
    waits_for(&pg, 4);
    let mut behind = named(&pooler, "writer");
    stuck(&mut behind, "update stock_quant set n = 7 where id = 2");
    waits_for(&pg, 5);
    // Another pile, of its own root, in session-level advisory locks.
    let mut holder = named(&pooler, "advisory_holder");
    holder.ok("begin");
    holder.ok("select pg_advisory_xact_lock(42)");
    let mut advisory = named(&pooler, "advisory_waiter");
    stuck(&mut advisory, "select pg_advisory_xact_lock(42)");
    waits_for(&pg, 6);

    assert_soon!(
        pooler.show("show blocked").rows.len() == 8,
        "all are seen: {:?}; log: {}",
        pooler.show("show blocked").rows,
        pooler.log()
    );
    let cell = |app: &str, column: &str| blocked(&pooler, app, column);
    let depth = |app: &str| cell(app, "tree").matches("|").count();
    let apps = [
        ("root", 0, "5", "row of stock_quant"),
        ("row_waiter", 1, "4", "row of stock_quant"),
        ("tuple_waiter", 2, "3", "row of stock_quant"),
        ("migration", 1, "2", "AccessExclusive stock_quant"),
        ("reader", 2, "0", "AccessShare stock_quant"),
        ("writer", 2, "0", "RowExclusive stock_quant"),
        ("advisory_holder", 0, "1", "advisory"),
        ("advisory_waiter", 1, "0", "advisory"),
    ];
    for (app, level, count, lock) in apps {
        assert_eq!(depth(app), level, "{app}: {}", cell(app, "tree"));
        assert_eq!(cell(app, "behind"), count, "{app}");
        assert!(
            cell(app, "lock").contains(lock),
            "{app}: {}",
            cell(app, "lock")
        );
        let id = match app {
            "migration" => String::new(),
            app => id_of(&pooler, app),
        };
        assert_eq!(cell(app, "id"), id, "{app}");
    }
    assert_eq!(cell("root", "pid"), root_pid);
    assert_eq!(cell("root", "wait_s"), "");
    assert_eq!(cell("root", "state"), "idle in tx");
    assert!(cell("migration", "tree").contains("(direct)"));
    // The worst root stands first.
    let first = pooler.show("show blocked");
    assert_eq!(
        first.table().next().map(|row| row.get("app").to_owned()),
        Some("root".to_owned())
    );

    // The log: once for each root, with the client, without constants.
    let root_id = id_of(&pooler, "root");
    assert_soon!(
        pooler.logged("blocking begins:") == 2,
        "both roots are told: {}",
        pooler.log()
    );
    let told = format!("blocking begins: client {root_id} app/app@127.0.0.1:");
    assert_eq!(pooler.logged(&told), 1, "{}", pooler.log());
    let log = pooler.log();
    let mut told = log.lines().filter(|line| line.contains("blocking begins"));
    assert!(told.all(|line| !line.contains("update")), "{log}");

    // The metrics: every session that waits, and both roots, critical by now.
    let flagged = |flag: &str, severity: &str| {
        format!(
            "pgweir_sessions_flagged{{database=\"app\",flag=\"{flag}\",severity=\"{severity}\"}}"
        )
    };
    let has = |line: String| pooler.http("/metrics").contains(&line);
    assert_soon!(
        has(flagged("blocked", "critical") + " 6") && has(flagged("blocking", "critical") + " 2"),
        "flags: {}",
        pooler.http("/metrics")
    );
    assert!(!has(
        "pgweir_oldest_lock_wait_seconds{database=\"app\"} 0\n".to_owned()
    ));

    // The knot is undone: told once more, and nothing is flagged.
    root.ok("rollback");
    holder.ok("commit");
    for client in [
        &mut row,
        &mut tuple,
        &mut alter,
        &mut select,
        &mut behind,
        &mut advisory,
    ] {
        assert!(client.until_ready().errors.is_empty());
    }
    assert_soon!(
        pooler.logged("blocking ended:") == 2,
        "the end is told: {}",
        pooler.log()
    );
    assert_eq!(pooler.logged("blocking begins:"), 2);
    assert_soon!(
        pooler.show("show blocked").rows.is_empty(),
        "nobody is blocked"
    );
    assert!(
        has(flagged("blocked", "critical") + " 0") && has(flagged("blocking", "critical") + " 0")
    );
    assert!(has(
        "pgweir_flags_total{database=\"app\",flag=\"blocking\",severity=\"critical\"} 2".to_owned()
    ));
}

#[test]
fn locks_are_asked_about_only_while_something_is_old() {
    only_pgweir!();
    let pg = cluster();
    let pooler = watched(&pg);
    let asked = || pg.log().matches("pg_blocking_pids(a.pid)").count();
    let health = || pg.log().matches("AS connection_limit").count();
    let mut client = pooler.client();
    assert_soon!(health() >= 1, "health is asked at the start");
    for _ in 0..50 {
        client.ok("select 1");
    }
    // An open transaction nobody waits for is no reason either.
    client.ok("begin");
    client.ok("select 1");
    let seen = health();
    assert_soon!(health() > seen, "a round of health passes");
    assert_eq!(asked(), 0, "nothing was old: {}", pg.log());
    client.ok("commit");

    client.ok("select pg_sleep(1)");
    assert!(asked() >= 2, "asked while a statement was old");
    let mut session = pooler.client();
    session.ok("select 1");
    let seen = health();
    assert_soon!(health() > seen, "another round of health passes");
    let rest = asked();
    let seen = health();
    assert_soon!(health() > seen, "and another");
    assert_eq!(asked(), rest, "asked although nothing was old");
}

#[test]
fn a_session_pool_whose_clients_rest_is_not_asked_about() {
    only_pgweir!();
    let pg = cluster();
    let pooler = Bouncer::new(&pg)
        .pool_mode("session")
        .own("monitor_user", "monitor")
        .start();
    let mut client = pooler.client();
    client.ok("select 1");
    let health = || pg.log().matches("AS connection_limit").count();
    let seen = health();
    assert_soon!(health() >= seen + 2, "two rounds of health pass");
    assert!(!pg.log().contains("pg_blocking_pids(a.pid)"));
    assert_eq!(pooler.pool("app", "app", "cl_active"), 1);
    let clients = pooler.show("show clients");
    let state = clients.cell("state", |row| row.get("database") == "app");
    assert_eq!(state.as_deref(), Some("active"));
}

#[test]
fn a_prepared_transaction_is_a_root_without_a_process() {
    only_pgweir!();
    let pg = cluster();
    let pooler = watched(&pg);
    let mut owner = Login::new(pg.port).user("app").database("app").connect();
    owner.ok("begin");
    owner.ok("update stock_quant set n = 1 where id = 1");
    owner.ok("prepare transaction 'forgotten'");
    let mut client = named(&pooler, "waiter");
    stuck(&mut client, "update stock_quant set n = 2 where id = 1");
    assert_soon!(
        pooler.show("show blocked").rows.len() == 2,
        "both are seen: {}",
        pooler.log()
    );
    let reply = pooler.show("show blocked");
    let first = reply.table().next().map(|row| row.get("tree").to_owned());
    assert_eq!(first.as_deref(), Some("(prepared transaction)"));
    owner.ok("rollback prepared 'forgotten'");
    client.until_ready();
}

#[test]
fn strangers_who_block_each_other_are_found_by_the_round_of_health() {
    only_pgweir!();
    let pg = cluster();
    let pooler = watched(&pg);
    let direct = |name: &str| {
        let mut session = Login::new(pg.port).user("app").database("app").connect();
        session.ok(&format!("set application_name = '{name}'"));
        session
    };
    let mut holder = direct("holder");
    holder.ok("begin");
    holder.ok("lock table stock_quant");
    let mut waiter = direct("waiter");
    stuck(&mut waiter, "select 1 from stock_quant");
    assert_soon!(
        blocked(&pooler, "holder", "behind") == "1",
        "seen without a client of ours: {}",
        pooler.log()
    );
    assert!(blocked(&pooler, "holder", "tree").contains("(direct)"));
    assert_soon!(
        pooler.logged("not through pgweir") == 1,
        "told: {}",
        pooler.log()
    );
    holder.ok("rollback");
    waiter.until_ready();
    assert_soon!(
        pooler.show("show blocked").rows.is_empty(),
        "nobody is blocked"
    );
}
