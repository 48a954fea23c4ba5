//! "cached plan must not change result type": who gets to see it, and who does not.

use crate::only_pgweir;
use crate::support::frames::{bind, describe, execute, extended, flush, parse, run_prepared, sync};
use crate::support::{Bouncer, Login, Pg, RawClient, Reply, Running};

const STALE: &str = "cached plan must not change result type";

struct Scene {
    bouncer: Running,
    database: String,
}

impl Scene {
    fn new(size: u32, keeps: bool) -> Self {
        let pg = Pg::shared();
        let scene = Self {
            database: pg.database(),
            bouncer: Bouncer::new(pg)
                .pool_size(size)
                .own("keep_unnamed", u8::from(keeps))
                .start(),
        };
        scene
            .direct()
            .ok("create table t (a int); insert into t values (1)");
        scene
    }

    fn client(&self) -> RawClient {
        self.bouncer.client_of(&self.database)
    }

    fn direct(&self) -> RawClient {
        Login::new(Pg::shared().port)
            .database(&self.database)
            .connect()
    }
}

/// Changes the columns of `select * from t`, again and again.
fn change(client: &mut RawClient, round: usize) {
    let sql = match round % 2 {
        0 => "alter table t add b text default 'b'",
        _ => "alter table t drop b",
    };
    client.ok(sql);
}

fn columns(round: usize) -> &'static [&'static str] {
    match round % 2 {
        0 => &["a", "b"],
        _ => &["a"],
    }
}

fn prepare(client: &mut RawClient, name: &str, sql: &str) {
    let reply = client.exchange(&[parse(name, sql), sync()].concat());
    assert_eq!(reply.kinds, "1Z", "{reply:?}");
}

fn shape(reply: &Reply) -> (String, Vec<String>) {
    (reply.kinds.clone(), reply.columns.clone())
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_kept_statement_is_healed_when_another_connection_changes_the_schema() {
    only_pgweir!();
    let scene = Scene::new(1, true);
    let (mut direct, mut client) = (scene.direct(), scene.client());
    let sql = "select * from t";
    for round in 0..10 {
        for _ in 0..3 {
            client.exchange(&extended(sql, &[]));
        }
        change(&mut direct, round);
        let reply = client.exchange(&extended(sql, &[]));
        assert!(reply.errors.is_empty(), "{reply:?}");
        assert_eq!(reply.kinds, "12TDCZ", "round {round}");
        assert_eq!(reply.columns, columns(round));
    }
}

#[test]
fn healing_works_wherever_the_error_comes() {
    only_pgweir!();
    let scene = Scene::new(1, true);
    let (mut direct, mut client) = (scene.direct(), scene.client());
    let sql = "select * from t where a = $1";
    let warm = |client: &mut RawClient| {
        for _ in 0..3 {
            client.exchange(&extended(sql, &["1"]));
        }
    };
    let mut round = 0;
    let mut next = |client: &mut RawClient| {
        warm(client);
        change(&mut direct, round);
        round += 1;
        columns(round - 1)
    };
    // In Describe of the statement.
    let now = next(&mut client);
    let reply = client.exchange(&[parse("", sql), describe(b'S', ""), sync()].concat());
    assert_eq!(shape(&reply), ("1tTZ".to_owned(), strings(now)));
    // In a batch of its own, behind another's Sync.
    let now = next(&mut client);
    assert_eq!(
        client.exchange(&[parse("", sql), sync()].concat()).kinds,
        "1Z"
    );
    let batch = [
        bind("", "", &["1"]),
        describe(b'P', ""),
        execute("", 0),
        sync(),
    ];
    let reply = client.exchange(&batch.concat());
    assert_eq!(shape(&reply), ("2TDCZ".to_owned(), strings(now)));
    // Step by step, without a Sync meanwhile.
    let now = next(&mut client);
    client.put(&[parse("", sql), flush()].concat());
    assert_eq!(client.until(b'1').kinds, "1");
    client.put(&[bind("", "", &["1"]), flush()].concat());
    assert_eq!(client.until(b'2').kinds, "2");
    let rest = [describe(b'P', ""), execute("", 0), sync()];
    let reply = client.exchange(&rest.concat());
    assert_eq!(shape(&reply), ("TDCZ".to_owned(), strings(now)));
    // With other batches behind it, all in one write.
    let now = next(&mut client);
    let mut batches = extended(sql, &["1"]);
    for n in 0..5 {
        batches.extend_from_slice(&extended("select $1::int * 2", &[&n.to_string()]));
        batches.extend_from_slice(&extended(sql, &["1"]));
    }
    client.put(&batches);
    let reply = client.until_ready();
    assert_eq!(shape(&reply), ("12TDCZ".to_owned(), strings(now)));
    for n in 0..5 {
        assert_eq!(client.until_ready().one(), (2 * n).to_string());
        assert_eq!(client.until_ready().columns, now);
    }
    // As the second statement of a batch it is not at risk.
    let now = next(&mut client);
    let batch = [
        parse("", "select 'first'"),
        bind("", "", &[]),
        execute("", 0),
        parse("", sql),
        bind("", "", &["1"]),
        describe(b'P', ""),
        execute("", 0),
        sync(),
    ];
    let reply = client.exchange(&batch.concat());
    assert_eq!(shape(&reply), ("12DC12TDCZ".to_owned(), strings(now)));
}

#[test]
fn what_the_batch_did_happens_once() {
    only_pgweir!();
    let scene = Scene::new(2, true);
    let (mut direct, mut client) = (scene.direct(), scene.client());
    direct.ok("create table log (n int)");
    let sql = "insert into t (a) values ($1) returning *";
    for round in 0..6 {
        for n in 0..3 {
            client.exchange(&extended(sql, &[&format!("{round}{n}")]));
        }
        change(&mut direct, round);
        let batch = [
            parse("", sql),
            bind("", "", &[&format!("{round}9")]),
            execute("", 0),
            parse("", "insert into log values ($1)"),
            bind("", "", &["1"]),
            execute("", 0),
            sync(),
        ];
        let reply = client.exchange(&batch.concat());
        assert_eq!(reply.kinds, "12DC12CZ", "{reply:?}");
    }
    assert_eq!(direct.one("select count(*) from t"), "25");
    assert_eq!(direct.one("select count(*) from log"), "6");
}

#[test]
fn inside_a_block_a_change_through_the_pool_is_no_surprise() {
    only_pgweir!();
    for size in [1, 2, 20] {
        let scene = Scene::new(size, true);
        let (mut changer, mut client) = (scene.client(), scene.client());
        let sql = "select * from t";
        for round in 0..6 {
            for _ in 0..3 {
                client.exchange(&extended(sql, &[]));
            }
            change(&mut changer, round);
            client.ok("begin");
            for _ in 0..2 {
                let reply = client.exchange(&extended(sql, &[]));
                assert_eq!(reply.columns, columns(round), "{reply:?}");
            }
            // And by itself.
            change(&mut client, round + 1);
            let reply = client.exchange(&extended(sql, &[]));
            assert_eq!(reply.columns, columns(round + 1), "{reply:?}");
            client.ok("rollback");
            let reply = client.exchange(&extended(sql, &[]));
            assert_eq!(reply.columns, columns(round), "{reply:?}");
        }
    }
}

#[test]
fn an_error_that_is_no_stale_plan_is_the_clients() {
    only_pgweir!();
    let scene = Scene::new(1, true);
    let (mut direct, mut client) = (scene.direct(), scene.client());
    let sql = "select a from t where a = $1";
    for _ in 0..3 {
        client.exchange(&extended(sql, &["1"]));
    }
    let reply = client.exchange(&extended(sql, &["no number"]));
    assert_eq!(
        (reply.kinds.as_str(), reply.error().sqlstate()),
        ("1EZ", "22P02")
    );
    direct.ok("alter table t rename to u");
    let reply = client.exchange(&extended(sql, &["1"]));
    assert_eq!((reply.status, reply.error().sqlstate()), (b'I', "42P01"));
    direct.ok("alter table u rename to t");
    assert_eq!(client.exchange(&extended(sql, &["1"])).one(), "1");
}

#[test]
fn who_prepares_behind_the_change_gets_the_new_columns() {
    only_pgweir!();
    for size in [1, 2] {
        let scene = Scene::new(size, false);
        let mut direct = scene.direct();
        let mut old = scene.client();
        prepare(&mut old, "s", "select * from t");
        old.exchange(&run_prepared("s", &[]));
        for round in 0..4 {
            change(&mut direct, round);
            let mut new = scene.client();
            let batch = [parse("s", "select * from t"), describe(b'S', "s"), sync()];
            let reply = new.exchange(&batch.concat());
            assert_eq!(reply.columns, columns(round), "{reply:?}");
            // On whichever server.
            let mut others: Vec<_> = (1..size).map(|_| scene.client()).collect();
            for other in &mut others {
                other.ok("begin");
                let reply = new.exchange(&run_prepared("s", &[]));
                assert!(reply.errors.is_empty(), "{reply:?}");
            }
        }
    }
}

#[test]
fn who_was_told_the_old_columns_is_told_that_they_changed() {
    only_pgweir!();
    let scene = Scene::new(1, false);
    let (mut direct, mut client) = (scene.direct(), scene.client());
    let mut alike = scene.direct();
    for client in [&mut alike, &mut client] {
        prepare(client, "s", "select * from t");
        assert_eq!(client.exchange(&run_prepared("s", &[])).one(), "1");
    }
    change(&mut direct, 0);
    for client in [&mut alike, &mut client] {
        let reply = client.exchange(&run_prepared("s", &[]));
        assert_eq!(reply.error().text(), STALE);
        assert_eq!(reply.error().sqlstate(), "0A000");
    }
}

#[test]
fn nothing_is_healed_inside_a_block() {
    only_pgweir!();
    let scene = Scene::new(1, true);
    let (mut direct, mut client) = (scene.direct(), scene.client());
    let sql = "select * from t";
    for _ in 0..3 {
        client.exchange(&extended(sql, &[]));
    }
    client.ok("begin");
    client.one("select 1");
    change(&mut direct, 0);
    let reply = client.exchange(&extended(sql, &[]));
    assert_eq!((reply.error().text(), reply.status), (STALE, b'E'));
    client.ok("rollback");
    let reply = client.exchange(&extended(sql, &[]));
    assert_eq!(reply.columns, columns(0), "{reply:?}");
}
