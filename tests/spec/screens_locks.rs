//! A pile-up of three sessions behind an idle transaction, as activity and alerts tell it, and how
//! what the screens say to type ends it.

use crate::support::{Bouncer, Login, Pg, RawClient, Reply, Running, frames};
use crate::{assert_soon, only_pgweir};

fn cluster() -> Pg {
    let pg = Pg::start();
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
        .own("lock_wait_warn_ms", 300)
        .own("lock_wait_crit_ms", 600)
        .start()
}

fn client(pooler: &Running, app: &str) -> RawClient {
    let login = pooler.login();
    login.parameter("application_name", app).connect()
}

fn id(pooler: &Running, app: &str) -> String {
    let reply = pooler.show("show clients");
    let cell = reply.cell("id", |row| row.get("application_name") == app);
    cell.unwrap_or_else(|| panic!("no client {app}"))
}

fn cell(reply: &Reply, app: &str, column: &str) -> String {
    let cell = reply.cell(column, |row| row.get("app") == app);
    cell.unwrap_or_default()
}

const UPDATE: &str = "update stock_quant set n = n + 1 where id = 1";

/// Root, a waiter for its row, and one more behind that one.
fn pile_up(pooler: &Running) -> [RawClient; 3] {
    let mut root = client(pooler, "root");
    root.ok("begin");
    root.ok(UPDATE);
    root.ok("select count(*) from stock_quant");
    let [mut first, mut second] = ["first", "second"].map(|app| client(pooler, app));
    first.put(&frames::query(UPDATE));
    let is_blocked = |app: &str| {
        let activity = pooler.show("show activity");
        cell(&activity, app, "state") == "lock wait"
    };
    assert_soon!(is_blocked("first"), "the first waits: {}", pooler.log());
    second.put(&frames::query(UPDATE));
    assert_soon!(is_blocked("second"), "the second waits: {}", pooler.log());
    [root, first, second]
}

#[test]
fn activity_and_alerts_name_the_root_and_what_to_type_ends_it() {
    only_pgweir!();
    let pg = cluster();
    let pooler = watched(&pg);
    let [mut root, mut first, mut second] = pile_up(&pooler);
    let root_id = id(&pooler, "root");
    let activity = pooler.show("show activity");
    let top = activity.table().next().expect("a row");
    assert_eq!(
        (top.get("app"), top.get("behind")),
        ("root", "2"),
        "{activity:?}"
    );
    assert_eq!(top.get("flags"), "Ib");
    assert_eq!(
        top.get("statement"),
        "after update stock_quant set n = n + $1 where id = $2"
    );
    assert_eq!(cell(&activity, "first", "blocked_by"), root_id);
    assert!(
        cell(&activity, "first", "flags").contains('B'),
        "{activity:?}"
    );
    assert_eq!(
        cell(&activity, "second", "statement"),
        &top.get("statement")[6..]
    );
    let text = activity.notices[0].text();
    assert!(
        text.starts_with("0 executing, 2 lock-waiting, 0 sending"),
        "{text}"
    );
    let alert = |name: &str, column: &str| {
        let alerts = pooler.show("show alerts");
        let cell = alerts.cell(column, |row| row.get("alert") == name);
        cell.unwrap_or_default()
    };
    assert_soon!(alert("lock_wait", "state") == "CRITICAL", "it lasts");
    let culprit = alert("lock_wait", "culprit");
    assert!(
        culprit.starts_with(&format!("{root_id} root@127.0.0.1, idle in tx")),
        "{culprit}"
    );
    assert!(culprit.ends_with("2 sessions behind it"), "{culprit}");
    assert_eq!(alert("blocked", "state"), "WARNING");
    let first_alert = pooler.show("show alerts").rows[0][0].clone();
    assert_eq!(first_alert.as_deref(), Some("lock_wait"), "the worst first");
    // What the screens say to type.
    let next = alert("lock_wait", "next");
    let blocked = pooler.show("show blocked");
    assert_eq!(next, format!("KILL_CLIENT {root_id}"));
    assert_eq!(cell(&blocked, "root", "end_it"), next);
    let cancel = cell(&blocked, "second", "end_it");
    assert_eq!(cancel, format!("CANCEL {}", id(&pooler, "second")));
    pooler.show(&cancel);
    assert_eq!(second.until_ready().error().sqlstate(), "57014");
    pooler.show(&next);
    assert_eq!(root.end().error().text(), "admin forced disconnect");
    assert_eq!(first.until_ready().tags, ["UPDATE 1"]);
    assert_soon!(
        pooler.show("show blocked").rows.is_empty(),
        "nobody waits any more"
    );
    assert_eq!(pooler.show("show activity").rows.len(), 0);
}

#[test]
fn the_dry_run_spares_the_root_and_filters_keep_whole_trees() {
    only_pgweir!();
    let pg = cluster();
    let pooler = watched(&pg);
    let [_root, _first, _second] = pile_up(&pooler);
    assert_soon!(
        pooler.show("show blocked").rows.len() == 3,
        "root and waiters"
    );
    let of = |options: &str| pooler.show(&format!("show blocked {options}")).rows.len();
    assert_eq!(of("app second"), 3, "its tree");
    assert_eq!(of("for app user app"), 3);
    assert_eq!((of("for nowhere"), of("user nobody")), (0, 0));
    assert_eq!(of("limit 1"), 1);
    let list = pooler.show("kill idle in transaction over 0 dry run");
    assert_eq!(list.rows.len(), 1, "{list:?}");
    assert_eq!(list.rows[0][0], Some(id(&pooler, "root")));
    assert_eq!(of(""), 3, "nobody was closed");
}

#[test]
fn without_pg_monitor_the_screens_say_what_to_grant() {
    only_pgweir!();
    let pg = Pg::start();
    pg.admin().ok("create role monitor login");
    let pooler = watched(&pg);
    let runner = client(&pooler, "runner").spawn("select pg_sleep(600)");
    let unknown = || {
        let blocked = pooler.show("show blocked");
        let row = blocked.table().next();
        row.map_or(String::new(), |row| row.get("statement").to_owned())
    };
    assert_soon!(unknown().contains("pg_monitor"), "{}", unknown());
    let alerts = pooler.show("show alerts limit all");
    let of = |name: &str, column: &str| {
        let cell = alerts.cell(column, |row| row.get("alert") == name);
        cell.unwrap_or_default()
    };
    assert_eq!(of("lock_wait", "state"), "unknown");
    assert!(
        of("lock_wait", "culprit").contains("pg_monitor"),
        "{alerts:?}"
    );
    // Its server is shown when the settings in front of its query are answered.
    let cancel = format!("cancel {}", id(&pooler, "runner"));
    assert_soon!(
        pooler.console().query(&cancel).errors.is_empty(),
        "its query is cancelled"
    );
    runner.join().expect("no panic");
}
