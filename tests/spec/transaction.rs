//! Transaction mode: when a server is linked and released (surface 6.2).

use crate::support::frames::{
    bind, close, describe, execute, extended, flush, function_call, parse,
};
use crate::support::frames::{query, sync, terminate};
use crate::support::{Bouncer, Pg, RawClient, Running, client_config};
use crate::{assert_soon, only_pgweir};
use std::time::Duration;

fn one_server() -> Running {
    Bouncer::new(Pg::shared()).pool_size(1).start()
}

/// Sends a query that cannot be served now.
fn queue(client: &mut RawClient, sql: &str) {
    client.put(&query(sql));
    assert!(
        client.silent_for(Duration::from_millis(400)),
        "{sql} must wait for a server"
    );
}

#[test]
fn a_client_gets_a_server_for_each_transaction() {
    let bouncer = one_server();
    let (mut a, mut b) = (bouncer.client(), bouncer.client());
    assert_eq!(a.one("select 1"), "1");
    assert_eq!(b.one("select 2"), "2");
    assert_eq!(a.backend(), b.backend(), "one server serves both in turn");
}

#[test]
fn a_transaction_keeps_its_server_to_the_end() {
    let bouncer = one_server();
    let (mut a, mut b) = (bouncer.client(), bouncer.client());
    assert_eq!(a.ok("begin").status, b'T');
    let backend = a.backend();
    queue(&mut b, "select 'b'");
    assert_eq!(a.backend(), backend);
    assert_eq!(a.ok("commit").status, b'I');
    assert_eq!(b.until_ready().one(), "b");
}

#[test]
fn a_failed_transaction_keeps_its_server_until_rollback() {
    let bouncer = one_server();
    let (mut a, mut b) = (bouncer.client(), bouncer.client());
    a.ok("begin");
    let reply = a.query("select 1/0");
    assert_eq!((reply.error().sqlstate(), reply.status), ("22012", b'E'));
    queue(&mut b, "select 'b'");
    assert_eq!(a.fails("select 1").sqlstate(), "25P02");
    a.ok("rollback");
    assert_eq!(b.until_ready().one(), "b");
}

#[test]
fn an_error_outside_a_transaction_releases_the_server() {
    let bouncer = one_server();
    let (mut a, mut b) = (bouncer.client(), bouncer.client());
    assert_eq!(a.fails("select * from no_such_table").sqlstate(), "42P01");
    assert_eq!(b.one("select 'b'"), "b");
    assert_eq!(a.one("select 'a'"), "a");
}

#[test]
fn pipelined_queries_are_answered_in_order() {
    let bouncer = one_server();
    let mut client = bouncer.client();
    let all: Vec<u8> = (0..1000)
        .flat_map(|n| query(&format!("select {n}")))
        .collect();
    client.put(&all);
    for n in 0..1000 {
        assert_eq!(client.until_ready().one(), n.to_string());
    }
}

#[test]
fn pipelined_extended_batches_with_many_syncs_are_answered_in_order() {
    let bouncer = Bouncer::new(Pg::shared()).pool_size(2).start();
    let mut client = bouncer.client();
    let all: Vec<u8> = (0..200)
        .flat_map(|n| extended("select $1::int * 2, pg_backend_pid()", &[&n.to_string()]))
        .collect();
    client.put(&all);
    for n in 0..200 {
        let reply = client.until_ready();
        assert_eq!(
            (reply.kinds.as_str(), reply.one()),
            ("12TDCZ", (n * 2).to_string())
        );
    }
}

#[test]
fn simple_and_extended_messages_mix_in_one_write() {
    let bouncer = one_server();
    let mut client = bouncer.client();
    let bytes = [
        query("select 1"),
        extended("select 2", &[]),
        query(""),
        sync(),
        query("select 3"),
    ];
    client.put(&bytes.concat());
    let kinds: Vec<String> = (0..5).map(|_| client.until_ready().kinds).collect();
    assert_eq!(kinds, ["TDCZ", "12TDCZ", "IZ", "Z", "TDCZ"]);
}

#[test]
fn messages_may_arrive_byte_by_byte() {
    let bouncer = one_server();
    let mut client = bouncer.client();
    for byte in extended("select $1::text", &["slow"]) {
        client.put(&[byte]);
    }
    assert_eq!(client.until_ready().one(), "slow");
}

#[test]
fn a_flush_without_sync_keeps_the_server() {
    let bouncer = one_server();
    let (mut a, mut b) = (bouncer.client(), bouncer.client());
    a.put(
        &[
            parse("", "select 'a'"),
            bind("", "", &[]),
            execute("", 0),
            flush(),
        ]
        .concat(),
    );
    assert_eq!(a.until(b'C').one(), "a");
    queue(&mut b, "select 'b'");
    assert_eq!(a.exchange(&sync()).kinds, "Z");
    assert_eq!(b.until_ready().one(), "b");
}

#[test]
fn messages_after_the_last_sync_keep_the_server() {
    let bouncer = one_server();
    let (mut a, mut b) = (bouncer.client(), bouncer.client());
    a.put(&[extended("select 1", &[]), parse("", "select 2"), flush()].concat());
    assert_eq!(a.until_ready().one(), "1");
    a.until(b'1');
    queue(&mut b, "select 'b'");
    a.exchange(&sync());
    assert_eq!(b.until_ready().one(), "b");
}

#[test]
fn after_an_error_the_rest_of_the_pipeline_is_skipped_up_to_sync() {
    let bouncer = one_server();
    let mut client = bouncer.client();
    let bytes = [
        parse("", "select 1/0"),
        bind("", "", &[]),
        execute("", 0),
        parse("", "select 'never'"),
        bind("", "", &[]),
        execute("", 0),
        sync(),
        extended("select 'after'", &[]),
    ];
    client.put(&bytes.concat());
    let failed = client.until_ready();
    assert_eq!(failed.error().sqlstate(), "22012");
    assert!(failed.rows.is_empty());
    assert_eq!(client.until_ready().one(), "after");
}

#[test]
fn what_comes_after_an_error_is_skipped_also_when_it_comes_later() {
    let bouncer = one_server();
    let (mut client, mut other) = (bouncer.client(), bouncer.client());
    client.put(&[parse("", "select bad syntax here"), flush()].concat());
    assert_eq!(client.until(b'E').error().sqlstate(), "42601");
    client.put(&[bind("", "", &[]), execute("", 0), flush()].concat());
    assert!(client.silent_for(Duration::from_millis(200)));
    assert_eq!(client.exchange(&sync()).kinds, "Z");
    assert_eq!(other.one("select 1"), "1", "the server is free again");
    assert_eq!(client.exchange(&extended("select 2", &[])).one(), "2");
}

#[test]
fn statements_in_one_string_share_one_reply() {
    let bouncer = one_server();
    let mut client = bouncer.client();
    let reply = client.ok("select 1; select 2; select 3");
    assert_eq!((reply.kinds.as_str(), reply.tags.len()), ("TDCTDCTDCZ", 3));
    let reply = client.query("select 1; select 1/0; select 3");
    assert_eq!((reply.kinds.as_str(), reply.status), ("TDCEZ", b'I'));
    let reply = client.ok("begin; select 1; commit; begin");
    assert_eq!(reply.status, b'T');
    client.ok("rollback");
}

#[test]
fn every_field_of_an_error_arrives_as_postgresql_sent_it() {
    let pg = Pg::shared();
    let bouncer = one_server();
    let mut admin = pg.admin();
    admin.ok("create table if not exists fields (id int constraint positive check (id > 0))");
    admin.ok("grant all on fields to public");
    let sql = "insert into fields values (-1)";
    let direct = admin.fails(sql);
    assert_eq!(direct.field('n'), "positive");
    assert_eq!(bouncer.client().fails(sql), direct);
    let sql = "do $$ begin raise exception 'text' using detail = 'D', hint = 'H', errcode = 'ZZ001', \
               column = 'C', constraint = 'N', datatype = 'T', table = 'B', schema = 'S'; end $$";
    assert_eq!(bouncer.client().fails(sql), admin.fails(sql));
}

#[test]
fn notices_go_to_the_client_whose_query_raised_them() {
    let bouncer = one_server();
    let (mut a, mut b) = (bouncer.client(), bouncer.client());
    let reply = a.ok("do $$ begin raise notice 'for a'; raise warning 'too'; end $$");
    let texts: Vec<&str> = reply.notices.iter().map(|notice| notice.text()).collect();
    assert_eq!(texts, ["for a", "too"]);
    assert!(b.ok("select 1").notices.is_empty());
}

#[test]
fn a_function_call_is_passed_on() {
    let bouncer = one_server();
    let mut client = bouncer.client();
    // 1397 is abs(integer) in every PostgreSQL (pg_proc.dat).
    let reply = client.exchange(&function_call(1397, &["-5"]));
    assert_eq!(reply.kinds, "VZ");
    assert_eq!(client.one("select 1"), "1");
    let failed = client.exchange(&function_call(999_999_999, &[]));
    assert!(!failed.errors.is_empty());
    assert_eq!(client.one("select 2"), "2");
}

#[test]
fn a_portal_can_be_read_in_steps_inside_a_transaction() {
    let bouncer = one_server();
    let mut client = bouncer.client();
    client.ok("begin");
    let open = [
        parse("", "select generate_series(1, 5)"),
        bind("p", "", &[]),
        execute("p", 2),
        sync(),
    ];
    let reply = client.exchange(&open.concat());
    assert_eq!((reply.kinds.as_str(), reply.status), ("12DDsZ", b'T'));
    let rest = client.exchange(&[execute("p", 0), close(b'P', "p"), sync()].concat());
    assert_eq!(rest.kinds, "DDDC3Z");
    client.ok("commit");
}

#[test]
fn a_cursor_lives_as_long_as_its_transaction() {
    let bouncer = one_server();
    let mut client = bouncer.client();
    client.ok("begin");
    client.ok("declare c no scroll cursor for select generate_series(1, 10)");
    assert_eq!(client.ok("fetch forward 4 from c").rows.len(), 4);
    assert_eq!(client.ok("fetch forward 10 from c").rows.len(), 6);
    client.ok("close c");
    client.ok("commit");
}

#[test]
fn describe_tells_the_columns() {
    let bouncer = one_server();
    let mut client = bouncer.client();
    let bytes = [
        parse("", "select 1::int8 as n, $1::text as t"),
        describe(b'S', ""),
        sync(),
    ];
    let reply = client.exchange(&bytes.concat());
    assert_eq!((reply.kinds.as_str(), reply.types), ("1tTZ", vec![20, 25]));
}

#[test]
fn a_goodbye_right_behind_a_query_leaves_no_trace_in_the_pool() {
    let bouncer = one_server();
    for _ in 0..20 {
        let mut client = bouncer.client();
        client.put(&[query("select pg_sleep(0.01), 'stale'"), terminate()].concat());
        client.end();
        assert_eq!(bouncer.client().one("select 'fresh'"), "fresh");
    }
}

#[test]
fn leaving_inside_a_transaction_rolls_it_back_and_the_server_is_not_reused() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = one_server();
    let mut client = bouncer.client_of(&database);
    client.ok("create table kept (n int)");
    client.ok("begin");
    client.ok("create temp table leftover (n int)");
    client.ok("insert into kept values (1)");
    let backend = client.backend();
    client.close();
    let mut next = bouncer.client_of(&database);
    assert_ne!(next.backend(), backend);
    assert_eq!(next.one("select count(*) from kept"), "0");
    assert_eq!(
        next.one("select count(*) from pg_class where relname = 'leftover'"),
        "0"
    );
    assert_soon!(
        bouncer.logged("closing because: client disconnect while server was not ready") > 0,
        "the log says why the server was closed"
    );
}

#[test]
fn vanishing_inside_a_transaction_frees_the_place_in_the_pool() {
    let bouncer = one_server();
    let mut client = bouncer.client();
    client.ok("begin");
    let backend = client.backend();
    client.vanish();
    assert_ne!(bouncer.client().backend(), backend);
}

#[test]
fn a_slow_reader_does_not_hold_the_server() {
    let bouncer = one_server();
    let (mut slow, mut other) = (bouncer.client(), bouncer.client());
    slow.put(&query("select repeat('x', 200000)"));
    assert_eq!(other.one("select 1"), "1");
    assert_eq!(slow.until_ready().one().len(), 200_000);
}

#[test]
fn an_async_error_on_an_idle_server_is_no_clients_business() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = one_server();
    let mut client = bouncer.client_of(&database);
    let backend = client.backend();
    pg.ask(&format!("select pg_terminate_backend({backend})"));
    assert_soon!(pg.backends(&database) == 0, "the backend is gone");
    let reply = client.ok("select pg_backend_pid()");
    assert!(reply.notices.is_empty());
    assert_ne!(reply.one(), backend.to_string());
}

#[test]
fn listen_gives_nothing_with_session_state_pgbouncer_and_does_not_disturb() {
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(1)
        .own("session_state", "pgbouncer")
        .start();
    let (mut listener, mut sender) = (bouncer.client(), bouncer.client());
    listener.ok("listen bell");
    sender.ok("notify bell");
    assert_eq!(sender.one("select 1"), "1");
    assert_eq!(listener.one("select 2"), "2");
}

#[test]
fn a_waiting_clients_hang_up_is_noticed_and_its_query_never_runs() {
    // PgBouncer notices only when its turn comes, and runs the query (surface 4.13, 8).
    only_pgweir!();
    let pg = Pg::shared();
    pg.admin()
        .ok("create sequence if not exists ghost; grant all on sequence ghost to public");
    let before = pg.ask("select last_value, is_called from ghost");
    let bouncer = Bouncer::new(pg)
        .pool_size(1)
        .set("client_tls_sslmode", "allow")
        .start();
    let tls = bouncer.login().tls(client_config(None, None));
    // A long query hides the hang-up behind bytes that nobody needs yet.
    for (padding, login) in [
        (0, bouncer.login()),
        (40_000, bouncer.login()),
        (200_000, bouncer.login()),
        (200_000, bouncer.login().unix(&bouncer.dir())),
        (200_000, tls),
    ] {
        let (mut holder, mut ghost) = (bouncer.client(), login.connect());
        holder.ok("begin");
        let comment = "x".repeat(padding);
        queue(
            &mut ghost,
            &format!("select nextval('ghost') /* {comment} */"),
        );
        ghost.vanish();
        assert_soon!(
            bouncer.pool("app", "app", "cl_waiting") == 0,
            "the queue forgets it"
        );
        holder.ok("commit");
        assert_eq!(bouncer.client().one("select 1"), "1");
    }
    assert_eq!(pg.ask("select last_value, is_called from ghost"), before);
}
