//! What the console's own screens say of statements and transactions, against what was sent.

use crate::support::frames::query;
use crate::support::{Bouncer, Pg, RawClient, Reply, Running};
use crate::{assert_soon, only_pgweir};

fn client(bouncer: &Running, database: &str, app: &str) -> RawClient {
    let login = bouncer.login().database(database);
    login.parameter("application_name", app).connect()
}

/// A column of the row whose query holds `words`; empty without a row.
fn statement(bouncer: &Running, words: &str, column: &str) -> String {
    let reply = bouncer.show("show statements limit all");
    let cell = reply.cell(column, |row| row.get("query").contains(words));
    cell.unwrap_or_default()
}

/// A value of SHOW STATEMENT.
fn value(reply: &Reply, name: &str) -> String {
    let cell = reply.cell("value", |row| row.get("name") == name);
    cell.unwrap_or_else(|| panic!("no {name} in {:?}", reply.rows))
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or_else(|_| panic!("no number: {text}"))
}

#[test]
fn statements_are_grouped_counted_and_shown_whole() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).start();
    let mut worker = client(&bouncer, &database, "odoo-77");
    worker.ok("create table cow (id int, name text)");
    for n in 0..3 {
        worker.ok(&format!(
            "insert into cow values ({n}, 'name {n}'), (5, 'x')"
        ));
    }
    worker.fails("select 1 / (id - id) from cow");
    let insert = |column| statement(&bouncer, "insert into cow", column);
    assert_eq!(insert("calls"), "3");
    assert_eq!(number(&insert("rows_call")), 2.0);
    assert_eq!(
        (insert("database"), insert("user")),
        (database.clone(), "app".to_owned())
    );
    assert!(
        !insert("query").contains("name 1"),
        "constants are taken out"
    );
    assert!(number(&insert("server_ms")) >= number(&insert("max_ms")));
    assert!(number(&insert("max_ms")) >= number(&insert("p95_ms")));
    let divided = |column| statement(&bouncer, "from cow", column);
    assert_eq!(
        (divided("calls"), divided("errors")),
        ("0".to_owned(), "1".to_owned())
    );
    let all = bouncer.show(&format!("show statements for {database} limit all"));
    let shares: f64 = all.table().map(|row| number(row.get("pct"))).sum();
    assert!((99.0..101.0).contains(&shares), "{shares} % in all");
    let fingerprint = insert("fingerprint");
    let whole = bouncer.show(&format!("show statement '{fingerprint}' for {database}"));
    assert_eq!(value(&whole, "calls"), "3");
    assert_eq!(value(&whole, "rows"), "6");
    assert_eq!(value(&whole, "class"), "insert");
    assert_eq!(value(&whole, "application odoo-*"), "3");
    assert!(value(&whole, "query").starts_with("insert into cow"));
    let histogram = whole
        .table()
        .filter(|row| row.get("name").starts_with("histogram"));
    assert_eq!(histogram.map(|row| row.number("value")).sum::<i64>(), 3);
    let failed = bouncer.show(&format!("show statement '{}'", divided("fingerprint")));
    assert_eq!(value(&failed, "sqlstate 22012"), "1");
    let mut console = bouncer.console();
    let gone = console.fails(&format!("show statement '{fingerprint}' for nowhere"));
    assert_eq!(gone.sqlstate(), "42704");
}

#[test]
fn options_choose_order_and_cut() {
    only_pgweir!();
    let pg = Pg::shared();
    let (here, there) = (pg.database(), pg.database());
    let bouncer = Bouncer::new(pg).start();
    let mut worker = client(&bouncer, &here, "worker");
    for _ in 0..5 {
        worker.ok("select 'often'");
    }
    worker.ok("select 'once', 2");
    client(&bouncer, &there, "other").ok("select 'elsewhere', 2, 3");
    let show = |options: &str| bouncer.show(&format!("show statements {options}"));
    let calls = |options: &str| {
        let reply = show(options);
        let calls = reply.table().map(|row| row.number("calls"));
        calls.collect::<Vec<_>>()
    };
    let of_here = |options: &str| calls(&format!("for {here} {options}"));
    assert_eq!(of_here("order by calls desc"), [5, 1]);
    assert_eq!(of_here("order by calls"), [1, 5]);
    assert_eq!(of_here("min calls 2"), [5]);
    assert_eq!(of_here("order by calls desc limit 1"), [5]);
    assert_eq!(of_here("app worker").len(), 2);
    assert!(of_here("app other").is_empty());
    assert!(of_here("user nobody").is_empty());
    assert_eq!(calls(&format!("for {there} last 1m")), [1]);
    let cut = show(&format!("for {here} limit 1"));
    assert!(
        cut.notices[0]
            .text()
            .ends_with("1 more rows with LIMIT ALL")
    );
    assert!(
        cut.notices[0]
            .text()
            .starts_with("2 statements, 6 calls, 0 errors")
    );
}

#[test]
fn reset_forgets_one_or_all() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).start();
    let mut worker = client(&bouncer, &database, "worker");
    worker.ok("select 'one'");
    worker.ok("select 'two', 2");
    let fingerprint = statement(&bouncer, "select $1", "fingerprint");
    let rows = || {
        bouncer
            .show(&format!("show statements for {database}"))
            .rows
            .len()
    };
    assert_eq!(rows(), 2);
    let mut console = bouncer.console();
    let reply = console.ok(&format!("reset statements '{fingerprint}'"));
    assert_eq!(reply.tags, ["RESET STATEMENTS"]);
    assert_eq!(rows(), 1);
    console.ok("RESET STATEMENTS;");
    assert_eq!(rows(), 0);
    worker.ok("select 'one'");
    assert_eq!(rows(), 1);
}

#[test]
fn slow_statements_come_newest_first_with_their_client() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).own("slow_statement_ms", 1).start();
    let mut worker = client(&bouncer, &database, "worker");
    worker.ok("select pg_sleep(0.02), 'first'");
    worker.fails("select pg_sleep(0.02), 1 / (random() * 0)::int");
    let slow = bouncer.show(&format!("show slow for {database}"));
    let rows: Vec<_> = slow.table().collect();
    assert_eq!(rows.len(), 2, "{slow:?}");
    let (newest, oldest) = (&rows[0], &rows[1]);
    assert_eq!((newest.get("sqlstate"), newest.get("rows")), ("22012", "0"));
    assert_eq!((oldest.get("sqlstate"), oldest.get("rows")), ("00000", "1"));
    assert_eq!(
        (oldest.get("app"), oldest.get("client")),
        ("worker", "127.0.0.1")
    );
    let clients = bouncer.show("show clients");
    let id = clients.cell("id", |row| row.get("application_name") == "worker");
    assert_eq!(Some(oldest.get("id").to_owned()), id);
    let part = |column| number(oldest.get(column));
    assert!(part("server_ms") >= 20.0 && part("total_ms") >= part("server_ms"));
    assert!(oldest.get("query").starts_with("select pg_sleep($1)"));
    assert!(bouncer.show("show slow for nowhere").rows.is_empty());
}

#[test]
fn a_slow_statement_whose_client_is_gone_says_so() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).own("slow_statement_ms", 1).start();
    let mut leaver = client(&bouncer, &database, "leaver");
    leaver.put(&query("select pg_sleep(600)"));
    let is_running = || {
        let activity = bouncer.show("show activity");
        activity.cell("state", |row| row.get("app") == "leaver") == Some("executing".to_owned())
    };
    assert_soon!(is_running(), "it runs");
    std::thread::sleep(std::time::Duration::from_millis(20));
    drop(leaver);
    let ended = || bouncer.show(&format!("show slow for {database}"));
    assert_soon!(ended().rows.len() == 1, "it has ended");
    let sqlstate = ended().cell("sqlstate", |row| row.get("app") == "leaver");
    assert_eq!(sqlstate.as_deref(), Some("08006"));
}

#[test]
fn transactions_have_profiles_and_repeated_statements() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).start();
    let mut worker = client(&bouncer, &database, "odoo-12");
    worker.ok("create table cow (id int)");
    for end in ["commit", "rollback"] {
        worker.ok("begin");
        for n in 0..12 {
            worker.ok(&format!("select * from cow where id = {n}"));
        }
        worker.ok(end);
    }
    let reply = bouncer.show(&format!("show transactions for {database}"));
    let total = |column: &str| reply.table().map(|row| row.number(column)).sum::<i64>();
    assert_eq!(total("xacts"), 2, "{reply:?}");
    assert_eq!((total("commits"), total("rollbacks")), (1, 1));
    let row = reply.table().next().expect("a profile");
    assert_eq!(row.get("app"), "odoo-*");
    assert_eq!((row.get("database"), row.get("user")), (&*database, "app"));
    let heaviest = statement(&bouncer, "from cow", "fingerprint");
    assert_eq!(row.get("fingerprint"), heaviest);
    assert_eq!(row.get("max_repeat"), "12");
    assert!(
        row.get("repeated").starts_with("12x select * from cow"),
        "{reply:?}"
    );
    assert!(number(row.get("server_pct")) + number(row.get("think_pct")) <= 100.1);
}

#[test]
fn a_transaction_that_was_left_was_spent_thinking() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).start();
    let mut worker = client(&bouncer, &database, "worker");
    worker.ok("begin");
    worker.ok("select 1");
    let list = || bouncer.show("kill idle in transaction over 1 dry run");
    assert_soon!(list().rows.len() == 1, "it has been idle for a second");
    bouncer.show("kill idle in transaction over 1");
    worker.end();
    let show = || bouncer.show(&format!("show transactions for {database}"));
    assert_soon!(show().rows.len() == 1, "it has ended");
    let reply = show();
    let row = reply.table().next().expect("a profile");
    assert_eq!((row.get("commits"), row.get("rollbacks")), ("0", "0"));
    assert!(number(row.get("think_pct")) > 50.0, "{reply:?}");
}

#[test]
fn the_benchmark_row_counts_what_was_done() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).start();
    let ask = || bouncer.show(&format!("show benchmark 'milking' for {database}"));
    let empty = ask();
    let row = empty.table().next().expect("a row");
    assert_eq!(row.get("Avg latency"), "unknown");
    assert_eq!(row.get("TPS"), "", "not a zero");
    let mut worker = client(&bouncer, &database, "worker");
    for _ in 0..10 {
        worker.ok("select 1");
    }
    let reply = ask();
    let lately = bouncer.show(&format!("show benchmark for {database} last 5m"));
    let row = lately.table().next().expect("a row");
    assert_eq!(row.get("Workload"), format!("{database}/app"));
    assert!(row.get("95th percentile").ends_with("ms"), "{lately:?}");
    let row = reply.table().next().expect("a row");
    assert_eq!(row.get("Workload"), "milking");
    assert!(number(row.get("TPS")) > 0.0, "{reply:?}");
    assert!(row.get("Avg latency").ends_with("ms"), "{reply:?}");
    assert!(row.get("95th percentile").ends_with("ms"), "{reply:?}");
    assert!(
        row.get("Notes").contains("10 transactions, 0 errors"),
        "{reply:?}"
    );
}

#[test]
fn texts_are_for_the_named_and_constants_for_admins() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg)
        .own("slow_statement_ms", 1)
        .own("sample_literals", 1)
        .own("insight_users", "third")
        .set("auth_type", "any")
        .database(format!(
            "{database} = host=127.0.0.1 port={} user=app",
            pg.port
        ))
        .start();
    let mut worker = client(&bouncer, &database, "worker");
    worker.ok("select pg_sleep(0.02), 'a secret'");
    let queries = |user: &str| {
        let mut console = bouncer.login().user(user).database("pgbouncer").connect();
        ["show slow", "show statements"].map(|screen| {
            let reply = console.ok(&format!("{screen} for {database}"));
            let row = reply.table().next().expect("a row");
            row.get("query").to_owned()
        })
    };
    let [slow, statements] = queries("admin");
    assert!(slow.contains("'a secret'"), "{slow}");
    assert!(!statements.contains("a secret"), "{statements}");
    for user in ["stats", "third"] {
        let [slow, statements] = queries(user);
        assert!(slow.starts_with("select pg_sleep($1)"), "{user}: {slow}");
        assert!(
            statements.starts_with("select pg_sleep($1)"),
            "{user}: {statements}"
        );
    }
    assert_eq!(queries("somebody"), ["<insufficient privilege>"; 2]);
}

#[test]
fn activity_names_the_statement_and_a_client_that_does_not_read() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(4).start();
    let show = |app: &str, column: &str| {
        let reply = bouncer.show("show activity limit all");
        let cell = reply.cell(column, |row| row.get("app") == app);
        cell.unwrap_or_default()
    };
    let mut holder = client(&bouncer, &database, "holder");
    holder.ok("create table cow (id int)");
    holder.ok("begin");
    holder.ok("insert into cow values (1)");
    holder.ok("select count(*) from cow");
    assert_soon!(
        show("holder", "statement").starts_with("after insert into cow"),
        "the last one that wrote"
    );
    let mut reader = client(&bouncer, &database, "reader");
    reader.put(&crate::support::frames::query(
        "select repeat('x', 1000000) from generate_series(1, 200)",
    ));
    assert_soon!(show("reader", "state") == "sending", "it does not read");
    assert!(show("reader", "statement").starts_with("select repeat($1"));
    assert_eq!(reader.until_ready().rows.len(), 200);
    assert_soon!(show("reader", "state").is_empty(), "all is read");
    holder.ok("rollback");
}

#[test]
fn an_idle_client_in_session_mode_is_not_active() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_mode("session").start();
    let mut worker = client(&bouncer, &database, "worker");
    worker.ok("select 1");
    let rows = || {
        bouncer
            .show(&format!("show activity for {database}"))
            .rows
            .len()
    };
    assert_soon!(rows() == 0, "it holds a server and does nothing");
    let clients = bouncer.show("show clients");
    let state = clients.cell("state", |row| row.get("application_name") == "worker");
    assert_eq!(state.as_deref(), Some("active"), "linked");
    worker.ok("begin");
    assert_soon!(rows() == 1, "it is idle in a transaction");
}

#[test]
fn with_insight_off_an_empty_table_says_so() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared()).own("insight", 0).start();
    bouncer.client().ok("select 1");
    let mut console = bouncer.console();
    for screen in ["statements", "slow", "transactions"] {
        let error = console.fails(&format!("show {screen}"));
        assert_eq!(error.text(), "insight = 0: statements are not counted");
    }
    console.ok("show activity");
}
