//! The unnamed statement in transaction mode: as on a direct connection, kept or not.

use crate::only_pgweir;
use crate::support::frames::{
    bind, close, describe, execute, extended, flush, parse, parse_typed, query, run_prepared, sync,
};
use crate::support::{Bouncer, Login, Pg, RawClient, Reply, Running};

const KEPT: [bool; 2] = [false, true];

struct Scene {
    bouncer: Running,
    database: String,
}

impl Scene {
    fn new(size: u32, keeps: bool) -> Self {
        let pg = Pg::shared();
        Self {
            database: pg.database(),
            bouncer: Bouncer::new(pg)
                .pool_size(size)
                .own("keep_unnamed", u8::from(keeps))
                .start(),
        }
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

fn run(client: &mut RawClient, sql: &str, values: &[&str]) -> Reply {
    client.exchange(&extended(sql, values))
}

fn set_up(client: &mut RawClient, sql: &str) {
    client.exchange(&[parse("", sql), sync()].concat());
}

/// What a client can see of a reply.
fn seen(reply: &Reply) -> String {
    let errors = reply
        .errors
        .iter()
        .map(|error| format!("{} {} {}", error.sqlstate(), error.text(), error.field('P')));
    let errors: Vec<_> = errors.collect();
    format!(
        "{} {:?} {:?} {:?} {:?} {errors:?}",
        reply.kinds, reply.columns, reply.types, reply.rows, reply.tags
    )
}

#[test]
fn the_unnamed_statement_follows_its_client_to_another_server() {
    only_pgweir!();
    for keeps in KEPT {
        let scene = Scene::new(2, keeps);
        let mut client = scene.client();
        for _ in 0..3 {
            set_up(&mut client, "select $1::int + 1, pg_backend_pid()");
            let first = client.exchange(&run_prepared("", &["1"]));
            // Somebody else takes the server.
            let mut other = scene.client();
            other.ok("begin");
            let second = client.exchange(&run_prepared("", &["5"]));
            assert_eq!(
                (second.one().as_str(), second.kinds.as_str()),
                ("6", "2DCZ")
            );
            assert_ne!(first.rows[0][1], second.rows[0][1], "on another server");
            let described = client.exchange(&[describe(b'S', ""), sync()].concat());
            assert_eq!(described.kinds, "tTZ");
            other.ok("rollback");
        }
    }
}

#[test]
fn nobody_sees_the_unnamed_statement_of_another() {
    only_pgweir!();
    for keeps in KEPT {
        let scene = Scene::new(1, keeps);
        let (mut a, mut b) = (scene.client(), scene.client());
        for _ in 0..3 {
            set_up(&mut a, "select 'of a'");
            let reply = b.exchange(&run_prepared("", &[]));
            assert_eq!(reply.error().sqlstate(), "26000");
            let text = "unnamed prepared statement does not exist";
            assert_eq!(reply.error().text(), text);
            let reply = b.exchange(&[describe(b'S', ""), sync()].concat());
            assert_eq!(reply.error().text(), text);
            set_up(&mut b, "select 'of b'");
            assert_eq!(a.exchange(&run_prepared("", &[])).one(), "of a");
            assert_eq!(b.exchange(&run_prepared("", &[])).one(), "of b");
            b.ok("select 1");
        }
    }
}

#[test]
fn what_ends_and_what_keeps_it_is_as_on_a_direct_connection() {
    only_pgweir!();
    for keeps in KEPT {
        let scene = Scene::new(1, keeps);
        let mut noise = scene.client();
        let good = "select 'good ' || $1::text";
        let steps: Vec<Vec<u8>> = vec![
            [parse("", good), sync()].concat(),
            run_prepared("", &["1"]),
            // A simple query destroys it.
            query("select 1"),
            run_prepared("", &["1"]),
            [parse("", good), sync()].concat(),
            run_prepared("", &["2"]),
            // A Parse that fails, too.
            [parse("", "selec 1"), sync()].concat(),
            run_prepared("", &["1"]),
            [parse("", good), sync()].concat(),
            // One that is skipped does not.
            [
                bind("", "", &["a", "b"]),
                parse("", "select 'skipped'"),
                sync(),
            ]
            .concat(),
            run_prepared("", &["3"]),
            [close(b'S', ""), sync()].concat(),
            run_prepared("", &["1"]),
            // Two in one batch.
            [
                parse("", good),
                bind("", "", &["x"]),
                execute("", 0),
                parse("", "select 6"),
                bind("", "", &[]),
                execute("", 0),
                sync(),
            ]
            .concat(),
            run_prepared("", &[]),
            query("begin"),
            run_prepared("", &[]),
            query("rollback"),
            query("begin"),
            extended(good, &["in a block"]),
            run_prepared("", &["again"]),
            query("savepoint a"),
            extended("select 1 / $1::int", &["0"]),
            run_prepared("", &["1"]),
            extended(good, &["failed block"]),
            query("rollback to a"),
            extended(good, &["mended"]),
            query("commit"),
            extended(good, &["t", "oo many"]),
            [parse_typed("", "select $1", &[23]), sync()].concat(),
            run_prepared("", &["7"]),
            [parse_typed("", "select $1", &[25]), sync()].concat(),
            run_prepared("", &["7"]),
        ];
        let (mut direct, mut pooled) = (scene.direct(), scene.client());
        for round in 0..3 {
            for (number, step) in steps.iter().enumerate() {
                let (a, b) = (direct.exchange(step), pooled.exchange(step));
                assert_eq!(
                    seen(&b),
                    seen(&a),
                    "step {number} of round {round}, keeps {keeps}"
                );
                if b.status == b'I' {
                    run(&mut noise, "select 'noise ' || $1::text", &["x"]);
                    run(&mut noise, good, &["noise"]);
                }
            }
        }
    }
}

#[test]
fn a_kept_text_is_parsed_once_per_server() {
    only_pgweir!();
    let scene = Scene::new(1, true);
    let mut clients: Vec<_> = (0..4).map(|_| scene.client()).collect();
    for round in 0..5 {
        for client in &mut clients {
            let reply = run(client, "select 'kept ' || $1::text", &["x"]);
            assert_eq!(
                (reply.one().as_str(), reply.kinds.as_str()),
                ("kept x", "12TDCZ"),
                "{round}"
            );
        }
    }
    let held = "select count(*), sum(generic_plans + custom_plans) from pg_prepared_statements \
                where statement like '%kept%' and name like 'PGWEIR%'";
    let reply = clients[0].ok(held);
    assert_eq!(
        reply.rows,
        [[Some("1".to_owned()), Some("19".to_owned())]],
        "all but the first"
    );
}

#[test]
fn texts_that_move_with_the_clock_are_not_kept() {
    only_pgweir!();
    let scene = Scene::new(1, true);
    let mut client = scene.client();
    let mut stamps = Vec::new();
    for _ in 0..4 {
        let reply = run(&mut client, "select 'now'::timestamptz::text", &[]);
        stamps.push(reply.one());
        run(&mut client, "select pg_sleep(0.01)", &[]);
    }
    stamps.dedup();
    assert_eq!(stamps.len(), 4, "{stamps:?}");
    for sql in ["begin", "show timezone", "fetch all from c", "rollback"] {
        run(&mut client, sql, &[]);
        run(&mut client, sql, &[]);
    }
    let held = "select string_agg(statement, ' ') from pg_prepared_statements";
    assert_eq!(client.one(held), "select pg_sleep(0.01)");
}

#[test]
fn kept_statements_differ_by_what_a_parse_depends_on() {
    only_pgweir!();
    let scene = Scene::new(1, true);
    let (mut a, mut b) = (scene.client(), scene.client());
    b.ok("set datestyle = 'ISO, DMY'");
    b.ok("set timezone = 'Asia/Tokyo'");
    let sql = "select '01/02/2003'::date::text, extract(epoch from '2003-01-01'::timestamptz)::int";
    for _ in 0..4 {
        let (of_a, of_b) = (run(&mut a, sql, &[]), run(&mut b, sql, &[]));
        assert_eq!(of_a.rows[0][0].as_deref(), Some("2003-01-02"));
        assert_eq!(of_b.rows[0][0].as_deref(), Some("2003-02-01"));
        assert_ne!(of_a.rows[0][1], of_b.rows[0][1]);
    }
}

#[test]
fn flush_between_the_steps_is_answered() {
    only_pgweir!();
    let scene = Scene::new(1, true);
    let mut client = scene.client();
    for _ in 0..4 {
        client.put(&[parse("", "select $1::int"), flush()].concat());
        assert_eq!(client.until(b'1').kinds, "1");
        client.put(&[describe(b'S', ""), flush()].concat());
        assert_eq!(client.until(b'T').kinds, "tT");
        client.put(&[bind("", "", &["4"]), flush()].concat());
        assert_eq!(client.until(b'2').kinds, "2");
        assert_eq!(
            client.exchange(&[execute("", 0), sync()].concat()).one(),
            "4"
        );
    }
}

#[test]
fn deep_pipelines_are_answered_in_order() {
    only_pgweir!();
    for keeps in KEPT {
        let scene = Scene::new(2, keeps);
        let mut client = scene.client();
        let mut batches = Vec::new();
        for n in 0..500 {
            let sql = format!("select {} + $1::int", n % 7);
            batches.extend_from_slice(&extended(&sql, &[&n.to_string()]));
        }
        client.put_behind(batches);
        for n in 0..500 {
            let reply = client.until_ready();
            assert_eq!(reply.one(), (n % 7 + n).to_string(), "{reply:?}");
        }
    }
}

#[test]
fn names_of_ours_are_in_no_error() {
    only_pgweir!();
    let scene = Scene::new(1, true);
    let (mut direct, mut pooled) = (scene.direct(), scene.client());
    for name in ["", "own"] {
        for _ in 0..3 {
            let batch = [
                close(b'S', name),
                parse(name, "select $1::int"),
                bind("", name, &[]),
                sync(),
            ]
            .concat();
            let (a, b) = (direct.exchange(&batch), pooled.exchange(&batch));
            assert_eq!(b.error().text(), a.error().text());
        }
    }
}
