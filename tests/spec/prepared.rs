//! Named prepared statements in transaction mode (surface 6.4).

use crate::only_pgweir;
use crate::support::frames::{
    bind, close, describe, execute, parse, parse_typed, query, run_prepared, sync,
};
use crate::support::{Bouncer, Pg, RawClient, Running};

fn pool_of(size: u32) -> Running {
    Bouncer::new(Pg::shared())
        .pool_size(size)
        .set("max_prepared_statements", 100)
        .start()
}

fn prepare(client: &mut RawClient, name: &str, sql: &str) {
    let reply = client.exchange(&[parse(name, sql), sync()].concat());
    assert_eq!(
        (reply.kinds.as_str(), reply.errors.len()),
        ("1Z", 0),
        "{reply:?}"
    );
}

#[test]
fn a_named_statement_follows_the_client_to_another_server() {
    let bouncer = pool_of(2);
    let mut client = bouncer.client();
    prepare(&mut client, "s", "select $1::int + 1, pg_backend_pid()");
    let first = client.exchange(&run_prepared("s", &["1"]));
    assert_eq!(first.one(), "2");
    // Somebody else takes the server the statement was prepared on.
    let mut other = bouncer.client();
    other.ok("begin");
    other.one("select 1");
    let second = client.exchange(&run_prepared("s", &["5"]));
    assert_eq!(
        (second.one().as_str(), second.kinds.as_str()),
        ("6", "2DCZ")
    );
    assert_ne!(first.rows[0][1], second.rows[0][1], "on another server");
}

#[test]
fn two_clients_may_use_one_name_for_different_statements() {
    let bouncer = pool_of(1);
    let (mut a, mut b) = (bouncer.client(), bouncer.client());
    prepare(&mut a, "s", "select 'a' || $1::text");
    prepare(&mut b, "s", "select 'b' || $1::text");
    for n in 0..10 {
        assert_eq!(
            a.exchange(&run_prepared("s", &[&n.to_string()])).one(),
            format!("a{n}")
        );
        assert_eq!(
            b.exchange(&run_prepared("s", &[&n.to_string()])).one(),
            format!("b{n}")
        );
    }
}

#[test]
fn the_same_text_with_other_types_is_another_statement() {
    let bouncer = pool_of(1);
    let mut client = bouncer.client();
    for (name, oid, expected) in [
        ("int", 23, "integer"),
        ("text", 25, "text"),
        ("int8", 20, "bigint"),
    ] {
        client.exchange(&[parse_typed(name, "select pg_typeof($1)", &[oid]), sync()].concat());
        assert_eq!(client.exchange(&run_prepared(name, &["7"])).one(), expected);
    }
}

#[test]
fn equal_statements_are_prepared_once_per_server() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = pool_of(1);
    let mut clients: Vec<_> = (0..5).map(|_| bouncer.client_of(&database)).collect();
    for client in &mut clients {
        prepare(client, "same", "select 'shared' || $1::text");
        assert_eq!(
            client.exchange(&run_prepared("same", &["!"])).one(),
            "shared!"
        );
    }
    let count = "select count(*) from pg_prepared_statements where statement like '%shared%'";
    assert_eq!(clients[0].one(count), "1");
}

#[test]
fn parse_bind_and_execute_in_one_batch_work_with_names() {
    let bouncer = pool_of(1);
    let mut client = bouncer.client();
    let batch = [
        parse("s", "select $1::int"),
        describe(b'S', "s"),
        bind("", "s", &["1"]),
        describe(b'P', ""),
        execute("", 0),
        bind("", "s", &["2"]),
        execute("", 0),
        close(b'S', "s"),
        sync(),
    ];
    let reply = client.exchange(&batch.concat());
    assert_eq!(reply.kinds, "1tT2TDC2DC3Z");
    let rows: Vec<_> = reply
        .rows
        .iter()
        .map(|row| row[0].clone().unwrap())
        .collect();
    assert_eq!(rows, ["1", "2"]);
}

#[test]
fn answers_made_here_come_at_their_place_in_a_pipeline() {
    let bouncer = pool_of(1);
    let (mut a, mut b) = (bouncer.client(), bouncer.client());
    prepare(&mut a, "known", "select 'known'");
    // For b the statement is on the server already: its ParseComplete is ours.
    let batch = [
        parse("", "select 'before'"),
        bind("", "", &[]),
        execute("", 0),
        parse("k", "select 'known'"),
        bind("", "k", &[]),
        execute("", 0),
        close(b'S', "nothing of that name"),
        parse("", "select 'after'"),
        bind("", "", &[]),
        execute("", 0),
        sync(),
    ];
    let reply = b.exchange(&batch.concat());
    assert_eq!(reply.kinds, "12DC12DC312DCZ");
    let rows: Vec<_> = reply
        .rows
        .iter()
        .map(|row| row[0].clone().unwrap())
        .collect();
    assert_eq!(rows, ["before", "known", "after"]);
}

#[test]
fn a_closed_name_can_be_used_again() {
    let bouncer = pool_of(1);
    let mut client = bouncer.client();
    for n in 0..5 {
        prepare(&mut client, "s", &format!("select 'version {n}'"));
        assert_eq!(
            client.exchange(&run_prepared("s", &[])).one(),
            format!("version {n}")
        );
        assert_eq!(
            client.exchange(&[close(b'S', "s"), sync()].concat()).kinds,
            "3Z"
        );
    }
}

#[test]
fn a_name_in_use_and_an_unknown_name_are_fatal_as_in_pgbouncer() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(1)
        .set("max_prepared_statements", 100)
        .own("session_state", "pgbouncer")
        .start();
    let mut client = bouncer.client();
    prepare(&mut client, "s", "select 1");
    let reply = client.exchange(&[parse("s", "select 2"), sync()].concat());
    assert_eq!(
        reply.error().text(),
        "prepared statement name is already in use"
    );
    let mut client = bouncer.client();
    let reply = client.exchange(&run_prepared("unknown", &[]));
    assert_eq!(reply.error().text(), "prepared statement did not exist");
    assert_eq!(bouncer.client().one("select 1"), "1");
}

#[test]
fn a_failed_parse_frees_its_name() {
    // PgBouncer keeps the name taken (surface 8); PostgreSQL does not.
    only_pgweir!();
    let bouncer = pool_of(1);
    let mut client = bouncer.client();
    let reply = client.exchange(&[parse("s", "selec 1"), sync()].concat());
    assert_eq!(reply.error().sqlstate(), "42601");
    prepare(&mut client, "s", "select 'mended'");
    assert_eq!(client.exchange(&run_prepared("s", &[])).one(), "mended");
}

#[test]
fn the_oldest_statement_makes_room_and_comes_back_on_demand() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(1)
        .set("max_prepared_statements", 3)
        .start();
    let mut client = bouncer.client();
    for n in 0..10 {
        prepare(
            &mut client,
            &format!("s{n}"),
            &format!("select 'statement {n}'"),
        );
    }
    for _ in 0..2 {
        for n in 0..10 {
            let reply = client.exchange(&run_prepared(&format!("s{n}"), &[]));
            assert_eq!(
                (reply.one(), reply.kinds.as_str()),
                (format!("statement {n}"), "2DCZ")
            );
        }
    }
    let count = "select count(*) from pg_prepared_statements where statement like '%statement %'";
    let held: i32 = client.one(count).parse().unwrap();
    assert!(held <= 4, "{held} statements on the server");
}

#[test]
fn deallocate_all_and_discard_all_forget_the_clients_statements() {
    let bouncer = pool_of(1);
    let (mut client, mut other) = (bouncer.client(), bouncer.client());
    for undo in ["deallocate all", "discard all"] {
        prepare(&mut client, "s", "select 's'");
        prepare(&mut other, undo, "select 'kept'");
        client.ok(undo);
        prepare(&mut client, "s", "select 's again'");
        assert_eq!(client.exchange(&run_prepared("s", &[])).one(), "s again");
        assert_eq!(
            other.exchange(&run_prepared(undo, &[])).one(),
            "kept",
            "{undo}"
        );
        client.exchange(&[close(b'S', "s"), sync()].concat());
    }
}

#[test]
fn names_pipelined_behind_discard_all_mean_what_they_mean_to_postgresql() {
    only_pgweir!();
    let bouncer = pool_of(1);
    let (mut client, mut other) = (bouncer.client(), bouncer.client());
    for undo in [
        "deallocate all",
        " /* c */ DISCARD ALL;",
        "select 1; deallocate all",
    ] {
        prepare(&mut client, "s", "select 'old'");
        prepare(&mut other, undo, "select 'known'");
        let batch = [
            query(undo),
            // In use until the command has run.
            parse("s", "select 'new'"),
            sync(),
            run_prepared("s", &[]),
            // On the server until the command has run.
            parse("k", "select 'known'"),
            sync(),
            run_prepared("k", &[]),
        ];
        client.put(&batch.concat());
        client.until_ready();
        assert_eq!(client.until_ready().kinds, "1Z", "{undo}");
        assert_eq!(client.until_ready().one(), "new", "{undo}");
        assert_eq!(client.until_ready().kinds, "1Z", "{undo}");
        assert_eq!(client.until_ready().one(), "known", "{undo}");
        client.ok("deallocate all");
        other.ok("deallocate all");
    }
}

#[test]
fn names_pipelined_behind_deallocate_all_in_one_batch_need_no_sync() {
    only_pgweir!();
    let bouncer = pool_of(1);
    let mut client = bouncer.client();
    for name in ["", "drop"] {
        client.ok("deallocate all");
        prepare(&mut client, "drop", "deallocate all");
        prepare(&mut client, "s", "select 'old'");
        let drop = match name {
            "" => [parse("", "deallocate all"), bind("", "", &[])].concat(),
            _ => bind("", "drop", &[]),
        };
        let batch = [
            drop,
            execute("", 0),
            parse("s", "select 'new'"),
            bind("", "s", &[]),
            execute("", 0),
            sync(),
        ];
        let reply = client.exchange(&batch.concat());
        assert_eq!(reply.one(), "new", "{name}: {reply:?}");
    }
}

#[test]
fn a_name_dropped_ahead_of_its_use_is_unknown() {
    let bouncer = pool_of(1);
    let mut client = bouncer.client();
    prepare(&mut client, "s", "select 1");
    client.put(&[query("discard all"), run_prepared("s", &[])].concat());
    assert!(client.until_ready().errors.is_empty());
    let reply = client.until_ready();
    assert_eq!(reply.errors.len(), 1, "{reply:?}");
    assert!(reply.rows.is_empty(), "{reply:?}");
}

#[test]
fn an_error_in_a_batch_does_not_lose_count_of_the_answers() {
    let bouncer = pool_of(1);
    let mut client = bouncer.client();
    prepare(&mut client, "div", "select 10 / $1::int");
    for _ in 0..5 {
        let bad = [run_prepared("div", &["0"]), run_prepared("div", &["5"])];
        client.put(&bad.concat());
        assert_eq!(client.until_ready().error().sqlstate(), "22012");
        assert_eq!(client.until_ready().one(), "2");
    }
    let batch = [
        bind("", "div", &["0"]),
        execute("", 0),
        parse("late", "select 'late'"),
        sync(),
    ];
    assert_eq!(client.exchange(&batch.concat()).errors.len(), 1);
    prepare(&mut client, "after", "select 'after'");
    assert_eq!(client.exchange(&run_prepared("after", &[])).one(), "after");
}

#[test]
fn statements_work_after_the_servers_were_replaced() {
    let pg = Pg::shared();
    let bouncer = pool_of(2);
    let mut client = bouncer.client();
    prepare(&mut client, "s", "select 'still here'");
    client.exchange(&run_prepared("s", &[]));
    pg.ask(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity \
         where query like '%still here%' and pid <> pg_backend_pid()",
    );
    bouncer.show("reconnect");
    assert_eq!(client.exchange(&run_prepared("s", &[])).one(), "still here");
}

#[test]
fn sql_level_prepare_stays_on_its_server_inside_a_transaction() {
    let bouncer = pool_of(1);
    let mut client = bouncer.client();
    client.ok("begin");
    client.ok("prepare p as select 'sql level'");
    assert_eq!(client.one("execute p"), "sql level");
    client.ok("deallocate p");
    client.ok("commit");
}

#[test]
fn with_zero_names_pass_through_untouched() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(1)
        .set("max_prepared_statements", 0)
        .start();
    let mut client = bouncer.client();
    prepare(&mut client, "own_name", "select 1");
    let names = "select count(*) from pg_prepared_statements where name = 'own_name'";
    assert_eq!(client.one(names), "1");
    client.ok("deallocate all");
}

#[test]
fn many_clients_prepare_the_same_names_at_once() {
    let bouncer = pool_of(3);
    let clients: Vec<_> = (0..12)
        .map(|n| {
            let mut client = bouncer.client();
            std::thread::spawn(move || {
                prepare(&mut client, "mine", &format!("select '{n}-' || $1::text"));
                for round in 0..100 {
                    let reply = client.exchange(&run_prepared("mine", &[&round.to_string()]));
                    assert_eq!(reply.one(), format!("{n}-{round}"));
                }
            })
        })
        .collect();
    clients
        .into_iter()
        .for_each(|client| client.join().expect("each got its own"));
}
