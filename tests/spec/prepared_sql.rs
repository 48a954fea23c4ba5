//! PREPARE, EXECUTE and DEALLOCATE as SQL, in transaction mode: as on a direct connection.

use crate::only_pgweir;
use crate::support::frames::{
    bind, close, describe, execute, extended, parse, query, run_prepared, sync,
};
use crate::support::{Bouncer, Login, Pg, RawClient, Reply, Running, output_of, programs};
use std::process::Command;
use std::time::Duration;

struct Scene {
    bouncer: Running,
    database: String,
}

impl Scene {
    fn new(size: u32) -> Self {
        Self::with(size, |bouncer| bouncer)
    }

    fn with(size: u32, change: impl FnOnce(Bouncer) -> Bouncer) -> Self {
        let pg = Pg::shared();
        let scene = Self {
            database: pg.database(),
            bouncer: change(Bouncer::new(pg).pool_size(size)).start(),
        };
        scene
            .direct()
            .ok("create table t (a int, b text); insert into t values (1, 'x'), (2, 'y')");
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

/// What a client can see of a reply.
fn seen(reply: &Reply) -> String {
    let told = reply.errors.iter().chain(&reply.notices);
    let errors: Vec<_> = told
        .map(|error| {
            ['S', 'C', 'M', 'D', 'H', 'P', 'W']
                .map(|key| error.field(key).to_owned())
                .join("|")
        })
        .collect();
    format!(
        "{} {:?} {:?} {:?} {:?} {errors:?}",
        reply.kinds, reply.columns, reply.types, reply.rows, reply.tags
    )
}

/// Runs the steps side by side, among neighbours that use the same names and texts.
fn same_as_direct(scene: &Scene, steps: &[Vec<u8>]) {
    let (mut direct, mut pooled) = (scene.direct(), scene.client());
    let mut noise: Vec<_> = (0..3).map(|_| scene.client()).collect();
    for (number, noisy) in noise.iter_mut().enumerate() {
        noisy.ok(&format!("prepare a as select 'noise {number}'"));
        noisy.ok("prepare b(int) as select $1 + 1");
    }
    for round in 0..2 {
        for (number, step) in steps.iter().enumerate() {
            let (a, b) = (direct.exchange(step), pooled.exchange(step));
            let text = String::from_utf8_lossy(step);
            assert_eq!(seen(&b), seen(&a), "step {number}, round {round}: {text}");
            if b.status != b'I' {
                continue;
            }
            for (number, noisy) in noise.iter_mut().enumerate() {
                assert_eq!(noisy.one("execute a"), format!("noise {number}"));
                assert_eq!(noisy.one("execute b(4)"), "5");
                assert_eq!(noisy.exchange(&run_prepared("b", &["6"])).one(), "7");
            }
            // The server it had is somebody else's for the next step.
            if number % 2 == 0 {
                noise[number % 3].ok("begin");
                noise[number % 3].ok("commit");
            }
        }
    }
}

fn queries(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| query(text)).collect()
}

#[test]
fn simple_queries_are_as_on_a_direct_connection() {
    only_pgweir!();
    for size in [1, 2, 20] {
        let scene = Scene::new(size);
        let steps = queries(&[
            "prepare a as select 'mine'",
            "execute a",
            " /* c */ EXECUTE /* d */ \"a\" ;",
            "prepare a as select 2",
            "prepare A(int, text) as select $1, $2 -- comment",
            "execute unknown",
            "deallocate unknown",
            "execute a(1)",
            "prepare q (int, text) as select a, b from t where a = $1 and b = $2",
            "execute q(1, 'x')",
            "execute q(2, 'y')",
            "execute q(1)",
            "execute q('one', 'x')",
            "prepare bad as selec 1",
            "prepare bad as select * from nothing_there",
            "prepare bad as select 1 where a_long_name_that_is_not_there = 1",
            "execute bad",
            "explain (costs off) execute q(1, 'x')",
            "explain execute unknown",
            "create temp table made on commit drop as execute q(1, 'x')",
            "prepare w(int) as insert into t values ($1, 'w') returning *",
            "execute w(7)",
            "begin",
            "execute q(1, 'x')",
            "prepare in_tx as select 'in tx'",
            "execute in_tx",
            "create temp table made on commit drop as execute q(2, 'y')",
            "select * from made",
            "execute w(8)",
            "deallocate in_tx",
            "execute in_tx",
            "execute a",
            "deallocate a",
            "prepare z as select 1",
            "rollback",
            "execute a",
            "begin",
            "prepare kept as select 'kept'",
            "rollback",
            "execute kept",
            "deallocate prepare kept",
            "execute kept",
            "execute q(1, 'x'); execute w(9); select 3",
            "select 1; execute q(1, 'x')",
            "execute q(1, 'x'); begin isolation level nothing",
            "execute q(1, 'x'); execute w(9); select no_such_column",
            "execute q(1, 'x'); execute a(no_such_column)",
            "prepare \"odd \u{e9} Name\" as select 'odd'",
            "execute \"odd \u{e9} Name\"",
            "execute odd",
            "deallocate \"odd \u{e9} Name\"",
            "deallocate all",
            "execute a",
            "execute q(1, 'x')",
        ]);
        same_as_direct(&scene, &steps);
    }
}

#[test]
fn warnings_come_once_and_tell_the_place_in_the_clients_text() {
    only_pgweir!();
    for size in [1, 2, 20] {
        let scene = Scene::new(size);
        let steps = queries(&[
            "set standard_conforming_strings to off",
            "prepare c as select 'x\\\\y'",
            "execute c",
            "execute c; select 'x\\\\y'",
            "select 'x\\\\y'; execute c; execute c; select 'x\\\\y'",
            "execute c",
            "deallocate c",
            "prepare a as select 'a'",
            "explain (costs off) execute a('x\\\\y')",
            "deallocate a",
        ]);
        same_as_direct(&scene, &steps);
    }
}

#[test]
fn both_protocols_have_the_same_names() {
    only_pgweir!();
    for size in [1, 2, 20] {
        let scene = Scene::new(size);
        let sql = |text: &str| extended(text, &[]);
        let named =
            |text: &str| [parse("s", text), bind("", "s", &[]), execute("", 0), sync()].concat();
        let steps = vec![
            query("prepare p(int) as select $1 * 2"),
            run_prepared("p", &["4"]),
            [describe(b'S', "p"), sync()].concat(),
            run_prepared("p", &[]),
            run_prepared("p", &["four"]),
            [parse("p", "select 1"), sync()].concat(),
            [parse("o", "select 'o' || $1::text"), sync()].concat(),
            [parse("o", "select 1"), sync()].concat(),
            query("execute o('!')"),
            query("execute o('!', 2)"),
            query("explain (costs off) execute o('!')"),
            query("prepare o as select 3"),
            query("deallocate o"),
            run_prepared("o", &["?"]),
            [describe(b'S', "o"), sync()].concat(),
            query("execute o('!')"),
            [parse("o", "select 'again'"), sync()].concat(),
            query("execute o"),
            [close(b'S', "o"), sync()].concat(),
            query("execute o"),
            // Two names of one text.
            [parse("d", "select $1::int"), sync()].concat(),
            [parse("e", "select $1::int"), sync()].concat(),
            [parse("d", "select $1::int"), sync()].concat(),
            [parse("e", "select 1"), sync()].concat(),
            run_prepared("d", &[]),
            run_prepared("e", &[]),
            run_prepared("d", &["1", "2"]),
            // All of it as Parse, Bind and Execute.
            sql("prepare x(int) as select $1 - 1"),
            sql("execute x(3)"),
            sql("execute x"),
            [parse("", "execute x(5)"), sync()].concat(),
            [describe(b'S', ""), sync()].concat(),
            run_prepared("", &[]),
            run_prepared("", &[]),
            run_prepared("x", &["5"]),
            sql("prepare x as select 1"),
            sql("prepare y as selec 1"),
            sql("explain (costs off) execute x(3)"),
            sql("deallocate x"),
            sql("execute x(3)"),
            sql("deallocate x"),
            query("begin"),
            sql("prepare x as select 'in a block'"),
            sql("execute x"),
            sql("execute x(1)"),
            sql("execute x"),
            query("rollback"),
            sql("execute x"),
            sql("deallocate x"),
            // Named ones that name others.
            [parse("s", "execute v(1)"), sync()].concat(),
            run_prepared("s", &[]),
            query("prepare v(int) as select 'first', $1"),
            run_prepared("s", &[]),
            query("deallocate v"),
            run_prepared("s", &[]),
            query("prepare v(int) as select 'other', $1"),
            run_prepared("s", &[]),
            query("deallocate s"),
            named("deallocate v"),
            query("execute v(1)"),
            query("deallocate s"),
            named("prepare v as select 'by name'"),
            query("execute v"),
            run_prepared("s", &[]),
            query("deallocate all"),
            // One batch.
            [
                parse("", "prepare m as select 'm'"),
                bind("", "", &[]),
                execute("", 0),
                parse("", "execute m"),
                bind("", "", &[]),
                describe(b'P', ""),
                execute("", 0),
                bind("", "m", &[]),
                execute("", 0),
                parse("", "deallocate m"),
                bind("", "", &[]),
                execute("", 0),
                bind("", "m", &[]),
                sync(),
            ]
            .concat(),
            query("execute m"),
        ];
        same_as_direct(&scene, &steps);
    }
}

#[test]
fn names_and_texts_in_one_write_mean_what_they_mean_to_postgresql() {
    only_pgweir!();
    let scene = Scene::new(2);
    let texts = [
        "prepare a as select 1",
        "execute a",
        "deallocate a",
        "execute a",
        "prepare a as select 2",
        "execute a",
        "select 'between'",
        "deallocate all",
        "execute a",
    ];
    let all: Vec<u8> = texts.iter().flat_map(|text| query(text)).collect();
    for _ in 0..3 {
        let (mut direct, mut pooled) = (scene.direct(), scene.client());
        direct.put(&all);
        pooled.put(&all);
        for text in texts {
            let (a, b) = (direct.until_ready(), pooled.until_ready());
            assert_eq!(seen(&b), seen(&a), "{text}");
        }
    }
}

#[test]
fn a_text_that_cannot_be_followed_keeps_its_server() {
    only_pgweir!();
    let scene = Scene::new(2);
    let steps = queries(&[
        "prepare a as select 'a'",
        "prepare b as select 'b'",
        "deallocate a; prepare a as select 'new a'; execute a; execute b",
        "execute a",
        "execute b",
        "prepare c as select 'c'",
        "execute c",
        "execute U&\"\\0061\"",
        "prepare long_name_of_more_than_sixty_three_bytes_which_postgresql_cuts_off as select 1",
        "execute long_name_of_more_than_sixty_three_bytes_which_postgresql_cuts_",
        "prepare d as select 'd'; selec 1",
        "execute d",
        "deallocate all",
        "execute a",
        "execute c",
    ]);
    same_as_direct(&scene, &steps);
}

#[test]
fn a_name_that_its_own_server_knows_is_taken() {
    only_pgweir!();
    let scene = Scene::new(2);
    let mut steps = queries(&[
        "select 1; prepare a as select 'a'",
        "prepare a as select 'again'",
        "execute a",
    ]);
    steps.push([parse("a", "select 'by Parse'"), sync()].concat());
    steps.push([parse("e", "select 'by Parse'"), sync()].concat());
    steps.push(extended("prepare a as select 'again'", &[]));
    steps.extend(queries(&[
        "execute e",
        "deallocate a",
        "prepare a as select 'new a'",
        "execute a",
    ]));
    steps.push([close(b'S', "a"), parse("a", "select 'by Parse'"), sync()].concat());
    steps.push(run_prepared("a", &[]));
    steps.push(query("prepare a as select 'again'"));
    steps.push(query("prepare U&\"\\0066\" as select 'f'"));
    steps.extend(queries(&[
        "prepare f as select 'again'",
        "execute f",
        "prepare g as select 'g'",
        "execute g",
        "deallocate all",
        "prepare a as select 'first again'",
        "execute a",
        "deallocate a",
    ]));
    same_as_direct(&scene, &steps);
}

#[test]
fn a_name_that_is_taken_behind_a_deallocate_all_of_the_same_text_is_nobody_elses() {
    only_pgweir!();
    is_kept_from_others(&[query("deallocate all; prepare secret as select 'of a'")]);
}

#[test]
fn a_name_that_is_taken_behind_a_rollback_of_the_same_text_is_nobody_elses() {
    only_pgweir!();
    let prepare = "prepare secret as select 'of a'";
    let aborted = query("begin; select 1/0");
    is_kept_from_others(&[aborted.clone(), query(&format!("rollback; {prepare}"))]);
    let steps = ["rollback", prepare]
        .map(|text| [parse("", text), bind("", "", &[]), execute("", 0)].concat());
    is_kept_from_others(&[aborted.clone(), [steps.concat(), sync()].concat()]);
    is_kept_from_others(&[aborted, [steps[0].clone(), query(prepare)].concat()]);
}

/// The client takes the name `secret`, by the last step.
fn is_kept_from_others(steps: &[Vec<u8>]) {
    let scene = Scene::new(1);
    let mut a = scene.client();
    for step in steps {
        a.exchange(step);
    }
    assert_eq!(a.one("execute secret"), "of a");
    let mut b = scene.client();
    b.put(&query("execute secret"));
    assert!(
        b.silent_for(Duration::from_millis(300)),
        "a keeps its server"
    );
    drop(a);
    assert_eq!(b.until_ready().error().sqlstate(), "26000");
}

#[test]
fn an_execute_that_answers_without_rows_holds_nothing_up() {
    only_pgweir!();
    for size in [1, 2] {
        let scene = Scene::new(size);
        let steps = queries(&[
            "prepare i(int) as insert into t values ($1, 'i')",
            "prepare u as update t set b = 'u' where a = 20",
            "begin",
            "execute i(20)",
            "execute u",
            "select count(*) from t",
            "rollback",
            "deallocate all",
        ]);
        same_as_direct(&scene, &steps);
        let mut client = scene.client();
        client.ok("prepare c as select 'c' as x");
        client.ok("create temp table kept as execute c");
        assert_eq!(client.one("select x from kept"), "c");
    }
}

#[test]
fn another_client_never_executes_what_it_did_not_prepare() {
    only_pgweir!();
    let scene = Scene::new(1);
    let (mut a, mut b) = (scene.client(), scene.client());
    a.ok("prepare secret as select 'of a'");
    assert_eq!(b.fails("execute secret").sqlstate(), "26000");
    assert_eq!(
        b.exchange(&run_prepared("secret", &[])).error().sqlstate(),
        "26000"
    );
    let names = a.ok("select name from pg_prepared_statements");
    let ours = names.rows[0][0].clone().unwrap_or_default();
    assert!(ours.starts_with("PGWEIR_"), "{ours}");
    for step in [
        query(&format!("execute \"{ours}\"")),
        run_prepared(&ours, &[]),
        extended(&format!("execute \"{ours}\""), &[]),
    ] {
        let mut curious = scene.client();
        let reply = curious.exchange(&step);
        assert_eq!(reply.errors.len(), 1, "{reply:?}");
        assert!(reply.rows.is_empty(), "{reply:?}");
    }
    assert_eq!(a.one("execute secret"), "of a");
}

#[test]
fn a_statement_that_cannot_be_prepared_again_says_why() {
    only_pgweir!();
    let scene = Scene::new(2);
    let (mut direct, mut client) = (scene.direct(), scene.client());
    client.ok("prepare a as select a from t where a = 1");
    assert_eq!(client.one("execute a"), "1");
    direct.ok("alter table t rename to u");
    let mut other = scene.client();
    other.ok("begin");
    let reply = client.query("execute a");
    assert_eq!((reply.error().sqlstate(), reply.status), ("42P01", b'I'));
    assert_eq!(client.one("select 1"), "1");
    direct.ok("alter table u rename to t");
    assert_eq!(client.one("execute a"), "1");
}

#[test]
fn a_statement_that_cannot_be_prepared_again_is_deallocated_all_the_same() {
    only_pgweir!();
    let scene = Scene::new(2);
    let (mut direct, mut client) = (scene.direct(), scene.client());
    client.ok("prepare a as select a from t where a = 1");
    client.ok("prepare b as select a from t where a = 1");
    direct.ok("alter table t rename to u");
    let mut other = scene.client();
    other.ok("begin");
    other.ok("select 1");
    client.ok("deallocate a");
    assert_eq!(client.fails("execute a").sqlstate(), "26000");
    assert_eq!(client.fails("deallocate b that").field('P'), "14");
    client.ok("begin");
    client.ok("deallocate b");
    client.ok("commit");
    direct.ok("alter table u rename to t");
    client.ok("prepare a as select 'new'");
    assert_eq!(client.one("execute a"), "new");
}

#[test]
fn who_prepares_behind_a_change_gets_the_new_columns() {
    only_pgweir!();
    let scene = Scene::new(2);
    let mut direct = scene.direct();
    let mut old: Vec<_> = (0..2).map(|_| scene.client()).collect();
    for client in &mut old {
        client.ok("begin");
    }
    for client in &mut old {
        client.ok("prepare a as select * from t where a = 1");
        client.ok("commit");
    }
    direct.ok("alter table t add c int default 3");
    let mut new = scene.client();
    new.ok("prepare a as select * from t where a = 1");
    for holder in &mut old {
        holder.ok("begin");
        let reply = new.ok("execute a");
        assert_eq!(reply.columns, ["a", "b", "c"]);
        holder.ok("commit");
    }
}

#[test]
fn with_few_places_on_the_servers_names_come_back_on_demand() {
    only_pgweir!();
    let scene = Scene::with(2, |bouncer| bouncer.set("max_prepared_statements", 3));
    let mut client = scene.client();
    for n in 0..10 {
        client.ok(&format!("prepare s{n} as select {n}"));
    }
    for _ in 0..2 {
        for n in 0..10 {
            assert_eq!(client.one(&format!("execute s{n}")), n.to_string());
            let reply = client.exchange(&run_prepared(&format!("s{n}"), &[]));
            assert_eq!(reply.one(), n.to_string());
        }
    }
}

#[test]
fn as_in_pgbouncer_nothing_is_followed() {
    let scene = Scene::with(1, |bouncer| bouncer.own("session_state", "pgbouncer"));
    let mut client = scene.client();
    client.ok("prepare own_name as select 1");
    let names = "select count(*) from pg_prepared_statements where name = 'own_name'";
    assert_eq!(client.one(names), "1");
    client.ok("deallocate all");
}

/// By psycopg2 (`tests/tools/prepared_session.py`).
#[test]
fn psycopg2_prepares_and_executes_among_neighbours() {
    only_pgweir!();
    for size in [1, 2, 20] {
        let scene = Scene::new(size);
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/tools/prepared_session.py"
        );
        let mut command = Command::new(programs::find("python"));
        command.arg(script).args([
            "--port",
            &scene.bouncer.port.to_string(),
            "--database",
            &scene.database,
        ]);
        let (status, out, error) = output_of(&mut command);
        assert!(status.success(), "pool of {size}: {out}{error}");
    }
}

#[test]
fn what_a_do_block_prepares_is_nobody_elses() {
    only_pgweir!();
    let pg = Pg::shared();
    let bouncer = Bouncer::new(pg).pool_size(1).start();
    let (mut client, mut other) = (bouncer.client(), bouncer.client());
    let hides = "do $$ begin execute 'prepare hidden as select 42'; end $$";
    client.ok(hides);
    let mut direct = Login::new(pg.port).connect();
    let bound = [bind("", "hidden", &[]), execute("", 0), sync()].concat();
    for bytes in [
        query("execute hidden"),
        query("execute hidden; select 1"),
        query("deallocate hidden"),
        query("EXECUTE \"hidden\""),
        bound.clone(),
        [describe(b'S', "hidden"), sync()].concat(),
    ] {
        let errors = [&mut other, &mut direct].map(|who| {
            who.put(&bytes);
            let reply = who.until_ready();
            let error = reply.errors.first().expect("an error");
            (error.sqlstate().to_owned(), error.text().to_owned())
        });
        assert_eq!(errors[0], errors[1]);
    }
    // In the transaction that prepares it, it is there.
    client.ok("begin");
    client.ok(&hides.replace("hidden", "seen"));
    assert_eq!(client.one("execute seen"), "42");
    client.ok("commit");
}
