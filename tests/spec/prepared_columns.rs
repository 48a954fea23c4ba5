//! A named statement whose columns its client has been told: no server that parses it later gives
//! others without a word.

use crate::only_pgweir;
use crate::support::frames::{bind, close, describe, execute, parse, query, run_prepared, sync};
use crate::support::{Bouncer, Login, Pg, RawClient, Running};

/// A client that has prepared `s` and has been told its columns, on the pool's first server.
fn told(bouncer: &Running, database: &str, sql: &str) -> RawClient {
    let mut client = bouncer.client_of(database);
    client.exchange(&[parse("s", sql), describe(b'S', "s"), sync()].concat());
    for _ in 0..2 {
        client.exchange(&run_prepared("s", &[]));
    }
    client
}

#[test]
fn a_server_that_parses_it_later_gives_no_other_columns() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(2).start();
    let mut owner = bouncer.client_of(&database);
    owner.ok("create table t (old text, keep text); insert into t values ('OLD', 'KEEP')");
    owner.ok("create table same (n int); insert into same values (7)");
    let mut reader = told(&bouncer, &database, "select * from t");
    let mut unmoved = told(&bouncer, &database, "select * from same");
    owner.ok("alter table t drop old; alter table t add added text default 'ADDED'");
    let mut holder = bouncer.client_of(&database);
    holder.ok("begin; select 1");
    for _ in 0..2 {
        let reply = reader.exchange(&run_prepared("s", &[]));
        let error = reply.error();
        assert_eq!(
            (
                error.severity(),
                error.sqlstate(),
                error.text(),
                error.field('R')
            ),
            (
                "ERROR",
                "0A000",
                "cached plan must not change result type",
                "RevalidateCachedQuery"
            )
        );
        assert!(reply.rows.is_empty());
    }
    let reply = unmoved.exchange(&run_prepared("s", &[]));
    assert_eq!(reply.one(), "7", "its columns are the same");
    // As drivers do: the name is given up, and the statement prepared again.
    let again = [
        close(b'S', "s"),
        parse("s", "select * from t"),
        describe(b'S', "s"),
        sync(),
    ];
    let reply = reader.exchange(&again.concat());
    assert_eq!(reply.columns, ["keep", "added"]);
    let reply = reader.exchange(&run_prepared("s", &[]));
    assert_eq!(reply.rows.len(), 1, "{reply:?}");
    holder.ok("commit");
    for _ in 0..3 {
        let reply = reader.exchange(&run_prepared("s", &[]));
        assert!(reply.errors.is_empty(), "{reply:?}");
    }
}

#[test]
fn columns_that_changed_past_the_pool_are_noticed_too() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(2).start();
    let mut owner = Login::new(pg.port).database(&database).connect();
    owner.ok("create table t (a text); grant all on t to public; insert into t values ('A')");
    let mut reader = told(&bouncer, &database, "select * from t");
    owner.ok("alter table t add b text");
    let mut holder = bouncer.client_of(&database);
    holder.ok("begin; select 1");
    let reply = reader.exchange(&[run_prepared("s", &[]), query("select 'goes on'")].concat());
    assert_eq!(reply.error().sqlstate(), "0A000");
    assert_eq!(reader.until_ready().one(), "goes on");
    let again = [close(b'S', "s"), parse("s", "select * from t"), sync()];
    reader.exchange(&again.concat());
    let reply = reader.exchange(
        &[
            bind("", "s", &[]),
            describe(b'P', ""),
            execute("", 0),
            sync(),
        ]
        .concat(),
    );
    assert_eq!(reply.columns, ["a", "b"]);
}
