//! What functions do to the session that calls them (`session_state = strict`): PostgreSQL is asked
//! what they have left, and, once for each statement, whether they may leave anything at all.

use crate::support::frames::{bind, execute, parse, query, sync};
use crate::support::shapes::Dice;
use crate::support::{Bouncer, Login, Pg, RawClient, Running};
use crate::{assert_soon, only_pgweir};

const TAKES: &str = "create or replace function takes(n int) returns int language plpgsql as \
    'begin perform pg_advisory_lock(n); return n; end'";

/// One server, and a database of its own.
struct Setting {
    bouncer: Running,
    database: String,
}

impl Setting {
    fn new() -> Self {
        let pg = Pg::shared();
        let database = pg.database();
        let bouncer = Bouncer::new(pg).pool_size(1).start();
        Self { bouncer, database }
    }

    fn client(&self) -> RawClient {
        self.bouncer.client_of(&self.database)
    }

    fn pinned(&self) -> usize {
        let reply = self.bouncer.show("show clients");
        let rows = reply.table();
        rows.filter(|row| row.get("state") == "pinned").count()
    }

    /// How often a server was given its settings anew because of a function.
    fn suspected(&self) -> f64 {
        let metrics = self.bouncer.http("/metrics");
        let lines = metrics
            .lines()
            .filter(|line| line.starts_with("pgweir_suspect_servers_total"));
        let mine = lines.filter(|line| line.contains("reason=\"function\""));
        mine.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}

#[test]
fn a_function_is_asked_about_however_it_is_called() {
    only_pgweir!();
    let setting = Setting::new();
    let mut client = setting.client();
    client.ok(TAKES);
    let ways: [(&str, Vec<u8>); 3] = [
        (
            "unnamed",
            [
                parse("", "select takes(91)"),
                bind("", "", &[]),
                execute("", 0),
                sync(),
            ]
            .concat(),
        ),
        (
            "named",
            [
                parse("s", "select takes(91)"),
                bind("", "s", &[]),
                execute("", 0),
                sync(),
            ]
            .concat(),
        ),
        ("text", query("prepare p as select takes(91); select 1")),
    ];
    for (way, bytes) in ways {
        client.put(&bytes);
        client.until_ready();
        if way == "text" {
            client.ok("execute p");
        }
        assert_soon!(setting.pinned() == 1, "{way}");
        client.query("discard all");
        assert_soon!(setting.pinned() == 0, "{way}");
    }
}

#[test]
fn functions_that_leave_nothing_make_nobody_suspect() {
    only_pgweir!();
    let setting = Setting::new();
    let mut client = setting.client();
    client.ok("create function twice(n int) returns int immutable language sql as 'select 2 * n'");
    client.ok("create function counts() returns int language plpgsql as \
               'declare n int; begin -- set nothing
                update seen set n = seen.n + 1 returning seen.n into n; return twice(n); end'");
    client.ok("create table seen (n int); insert into seen values (0)");
    client.ok("create function sets() returns int language plpgsql as \
               'begin set work_mem = ''9MB''; return 1; end'");
    client.ok("create function hides_it() returns int language sql as 'select sets()'");
    let mut calls = || {
        let before = setting.suspected();
        for _ in 0..5 {
            client.ok("select twice(1)");
            client.ok("select counts()");
        }
        setting.suspected() == before
    };
    assert_soon!(calls(), "once it is known what they do, nobody is suspect");
    assert!(calls(), "and it stays so");
    let before = setting.suspected();
    for _ in 0..3 {
        client.ok("select hides_it()");
        assert_eq!(setting.client().one("show work_mem"), "4MB");
    }
    assert!(setting.suspected() >= before + 3.0);
}

#[test]
fn a_function_of_a_known_extension_leaves_nothing() {
    only_pgweir!();
    let setting = Setting::new();
    let mut client = setting.client();
    client.ok("create extension pg_trgm");
    let mut calls = || {
        let before = setting.suspected();
        (0..5).for_each(|_| drop(client.ok("select similarity('a', 'b')")));
        setting.suspected() == before
    };
    assert_soon!(calls(), "once it is known what it does, nobody is suspect");
    assert!(calls(), "and it stays so");
    // This one of the same extension sets a parameter.
    client.ok("select set_limit(0.9)");
    client.ok("select set_limit(0.9)");
    let mut other = setting.client();
    assert_eq!(other.one("select show_limit()"), "0.3");
}

#[test]
fn a_default_argument_counts() {
    only_pgweir!();
    let setting = Setting::new();
    let mut client = setting.client();
    client.ok(TAKES);
    client.ok(
        "create function by_default(n int default takes(97)) returns int immutable \
               language sql as 'select n'",
    );
    for _ in 0..2 {
        client.ok("select by_default()");
        assert_soon!(setting.pinned() == 1, "the default takes a lock");
        client.query("discard all");
        assert_soon!(setting.pinned() == 0, "it is given back");
    }
}

#[test]
fn what_a_function_calls_counts_however_deep() {
    only_pgweir!();
    let setting = Setting::new();
    let mut client = setting.client();
    client.ok(TAKES);
    client.ok("create function calls0(n int) returns int language sql as 'select takes(n)'");
    for depth in 1..12 {
        client.ok(&format!(
            "create function calls{depth}(n int) returns int language sql as 'select calls{}(n)'",
            depth - 1
        ));
    }
    client.ok(
        "create function performs(n int) returns int language plpgsql as \
               'begin perform calls0(n); return n; end'",
    );
    for name in ["calls0", "performs", "calls3", "calls11"] {
        for _ in 0..2 {
            client.ok(&format!("select {name}(98)"));
            assert_soon!(setting.pinned() == 1, "{name} takes a lock");
            client.query("discard all");
            assert_soon!(setting.pinned() == 0, "{name} has given it back");
        }
    }
}

#[test]
fn a_function_that_is_replaced_is_asked_about_again() {
    only_pgweir!();
    let setting = Setting::new();
    let (mut client, mut other) = (setting.client(), setting.client());
    client.ok("create function takes(n int) returns int immutable language sql as 'select n'");
    for _ in 0..3 {
        client.ok("select takes(92)");
    }
    assert_eq!(setting.pinned(), 0);
    other.ok(TAKES);
    client.ok("select takes(92)");
    assert_soon!(setting.pinned() == 1, "the new one takes a lock");
}

#[test]
fn an_overload_in_another_schema_counts() {
    only_pgweir!();
    let setting = Setting::new();
    let mut client = setting.client();
    client.ok("create function takes(n int) returns int immutable language sql as 'select n'");
    client.ok("create schema elsewhere");
    client.ok(&TAKES.replace("takes", "elsewhere.takes"));
    client.ok("select takes(93)");
    client.ok("set search_path to elsewhere, public");
    client.ok("select takes(93)");
    assert_soon!(setting.pinned() == 1, "the other one takes a lock");
}

#[test]
fn an_aggregate_is_what_its_functions_are() {
    only_pgweir!();
    let setting = Setting::new();
    let mut client = setting.client();
    client.ok(&TAKES.replace("(n int)", "(s int, n int)"));
    client.ok("create aggregate takes_all(int) (sfunc = takes, stype = int, initcond = 0)");
    client.ok("select takes_all(94)");
    assert_soon!(setting.pinned() == 1, "its function takes a lock");
}

#[test]
fn a_function_that_forgets_every_statement_is_asked_about_all_the_same() {
    only_pgweir!();
    let setting = Setting::new();
    let mut client = setting.client();
    client.ok(TAKES);
    client.ok(
        "create function forgets(n int) returns int language plpgsql as \
               'begin perform pg_advisory_lock(n); deallocate all; return n; end'",
    );
    // The question is prepared on the server.
    client.ok("select takes(95), pg_advisory_unlock(95)");
    assert_eq!(setting.pinned(), 0);
    client.ok("select forgets(95)");
    assert_soon!(setting.pinned() == 1, "it is asked again");
}

#[test]
fn a_lock_is_kept_whatever_the_question_meets() {
    only_pgweir!();
    let setting = Setting::new();
    let mut owner = Login::new(Pg::shared().port)
        .user("postgres")
        .database(&setting.database)
        .connect();
    owner.ok("revoke select on pg_locks, pg_cursors from public");
    owner.ok("create schema evil; grant usage on schema evil to public");
    owner.ok("create function evil.never(text, text) returns bool language sql immutable as 'select false'");
    owner.ok("create operator evil.= (leftarg = text, rightarg = text, function = evil.never)");
    owner.ok("create domain evil.int4 as text");
    let mut client = setting.client();
    client.ok(TAKES);
    client.ok("set search_path to evil, pg_catalog, public");
    client.ok("set statement_timeout to '900ms'");
    client.ok("select public.takes(96)");
    assert_soon!(
        setting.pinned() == 1,
        "the rights and names of the views are not needed"
    );
    client.query("discard all");
    // A cancel that comes too late for the statement must not hit the question for good.
    let held = "select count(*) from pg_lock_status() where locktype = 'advisory' \
                and objid = 97 and pid = pg_backend_pid()";
    let cancel = client.canceller();
    for _ in 0..40 {
        client.put(&query("select takes(97)"));
        cancel();
        let is_taken = client.until_ready().errors.is_empty();
        let held = loop {
            // The cancel may arrive here too.
            let reply = client.query(held);
            if reply.errors.is_empty() {
                break reply.rows[0][0].clone();
            }
        };
        assert!(
            !is_taken || held.as_deref() == Some("1"),
            "a lock that was taken is held"
        );
        client.query("discard all");
    }
}

#[test]
fn defaults_behind_a_comment_and_functions_made_by_code_count() {
    only_pgweir!();
    let setting = Setting::new();
    let (mut client, mut other) = (setting.client(), setting.client());
    let look = "select coalesce(current_setting('my.var', true), '')";
    client.ok("create function leaves() returns text language sql as \
               $$select set_config('my.var', 'left', false)$$");
    client.ok(
        "create function commented(x text default leaves()) returns text language plpgsql as \
               $$begin return 1; end -- commented$$",
    );
    client.ok("create function changes() returns int language sql as 'select 1'");
    for sql in ["select commented()", "select changes()"] {
        for _ in 0..3 {
            client.ok(sql);
            assert_eq!(other.one(look), "", "{sql}");
        }
    }
    client.ok(
        "do $d$begin execute $e$create or replace function changes() returns int \
               language sql as 'select length(leaves())'$e$; end$d$",
    );
    for _ in 0..3 {
        client.ok("select changes()");
        assert_eq!(other.one(look), "");
    }
}

#[test]
fn a_table_that_select_into_makes_in_a_temporary_schema_is_its_clients() {
    only_pgweir!();
    let setting = Setting::new();
    let mut client = setting.client();
    for (n, into) in ["\"pg_temp\".made", "made"].into_iter().enumerate() {
        client.ok(&format!(
            "create function makes{n}() returns void language sql set search_path = pg_temp as \
             $$select 1 as a into {into}$$"
        ));
        for _ in 0..2 {
            client.ok(&format!("select public.makes{n}()"));
            assert_soon!(setting.pinned() == 1, "{into}");
            client.query("discard all");
            assert_soon!(setting.pinned() == 0, "{into}");
        }
    }
}

#[test]
fn code_that_deallocates_everything_harms_nobody() {
    only_pgweir!();
    let setting = Setting::new();
    let (mut client, mut other) = (setting.client(), setting.client());
    client.ok("create function forgets() returns int language plpgsql as \
               $$begin execute 'deallocate all'; return 1; end$$");
    let run = [bind("", "s", &[]), execute("", 0), sync()].concat();
    other.put(&[parse("s", "select 42"), sync()].concat());
    other.until_ready();
    for sql in [
        "do $$begin execute 'deallocate all'; end$$",
        "select forgets()",
        "select forgets()",
        "do $$begin execute 'deallocate all'; end$$",
    ] {
        client.ok(sql);
        other.put(&run);
        let reply = other.until_ready();
        assert!(reply.errors.is_empty(), "{sql}: {:?}", reply.errors);
    }
}

#[test]
fn what_an_unknown_function_sets_ends_with_its_transaction() {
    only_pgweir!();
    let setting = Setting::new();
    let mut client = setting.client();
    client.ok("create function sets() returns int language plpgsql as \
               $$begin set work_mem = '9MB'; set statement_timeout = '1ms'; return 1; end$$");
    for _ in 0..5 {
        client.query("select sets()");
        assert_eq!(client.one("show work_mem"), "4MB");
        assert_eq!(setting.client().one("show statement_timeout"), "0");
    }
}

/// Pieces of bodies that leave nothing.
const PLAIN: [&str; 25] = [
    "set local my.var = 'x';",
    "perform set_config('my.var', n::text, true);",
    "perform pg_notify('anybody', 'x');",
    "n := n + 1;",
    "perform count(*) from pg_class where oid = n;",
    "update seen set m = seen.m + 1;",
    "update only seen as s set m = case when s.m > 3 then 1 else 2 end;",
    "insert into seen values (n) on conflict do nothing;",
    "insert into seen values (n) on conflict (m) do update set m = 3;",
    "-- set work_mem = '9MB'; execute 'x'\n",
    "/* create temp table x (); /* nested */ reset all */",
    "x := 'set work_mem'; x := $q$execute$q$;",
    "x := '-- '; n := 2; -- '",
    "select s.m into n from seen s for update;",
    "for r in select 1 as a loop n := r.a; end loop;",
    "raise debug 'execute %', n;",
    "perform pg_advisory_xact_lock(n);",
    "if n > 2 then n := 1; elsif n < 0 then null; else n := 2; end if;",
    "perform set_limit_(n);",
    "begin n := 1 / 0; exception when division_by_zero then n := 0; end;",
    "merge into seen using (values (n)) v (a) on seen.m = v.a when matched then update set m = v.a;",
    "x := current_setting('work_mem');",
    "perform \"odd \"\"name\"(n);",
    "<<again>> while n < 0 loop exit again; end loop;",
    "delete from seen where seen.m = -1 returning seen.m into n;",
];

/// Pieces that leave a setting, a lock, a table or a cursor.
const LEAVING: [&str; 24] = [
    "set my.var = 'x';",
    "SET/**/work_mem/**/= '9MB';",
    "set session my.var to 'x';",
    "perform set_config('my.var', 'x', false);",
    "perform pg_catalog . \"set_config\"('my.var', 'x', false);",
    "x := set_config('my.var', 'x', false);",
    "if set_config('my.var', 'x', false) = 'y' then null; end if;",
    "perform pg_advisory_lock(n);",
    "perform pg_try_advisory_lock_shared(n, 2);",
    "select pg_advisory_lock(1) is null into x;",
    "create temp table if not exists left_t (n int);",
    "CREATE\nTEMPORARY TABLE IF NOT EXISTS left_t (n int);",
    "create table if not exists pg_temp.left_t (n int);",
    "drop table if exists left_t; create temporary table left_t as select 1 as n;",
    "create or replace temp view left_v as select 1 as one;",
    "execute 'set my.var = 1';",
    "execute format('select pg_advisory_%s(7)', 'lock');",
    "for r in execute 'select pg_advisory_lock(7)' loop null; end loop;",
    "update pg_settings set setting = '9MB' where name = 'work_mem';",
    "perform leaves_it(n);",
    "n := leaves_it(n) + 1;",
    "return leaves_it(n);",
    "perform query_to_xml('select leaves_it(1)', true, true, '');",
    "while leaves_it(n) < 0 loop null; end loop;",
];

/// What a session has beside a fresh one: settings, locks, temporary objects, held cursors.
const LEFT: &str = "select current_setting('work_mem') <> '4MB' \
    or coalesce(current_setting('my.var', true), '') <> '' \
    or exists (select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) \
    or exists (select from pg_class where relnamespace = pg_my_temp_schema()) \
    or exists (select from pg_cursors where is_holdable)";

/// Random bodies beside what PostgreSQL's session holds behind them: one that leaves anything must
/// not be taken for one that does not.
#[test]
fn no_body_that_leaves_anything_passes_for_one_that_does_not() {
    let pg = Pg::shared();
    let database = pg.database();
    let mut client = Login::new(pg.port)
        .user("postgres")
        .database(&database)
        .connect();
    client.ok("create table seen (m int primary key)");
    client.ok("create function set_limit_(n int) returns int language sql as 'select n'");
    client.ok("create function \"odd \"\"name\"(n int) returns int language sql as 'select n'");
    client.ok(
        "create function leaves_it(n int) returns int language plpgsql as \
               'begin perform pg_advisory_lock(n); return n; end'",
    );
    let mut dice = Dice::new(27);
    let (mut left, mut harmless) = (0, 0);
    for _ in 0..400 {
        let mut body = String::from("declare n int := a; x text; r record; begin\n");
        for _ in 0..1 + dice.below(5) {
            let piece = match dice.below(4) {
                0 => *dice.pick(&LEAVING),
                _ => *dice.pick(&PLAIN),
            };
            match dice.below(4) {
                0 => body += &format!("if n is not null then {piece}\nend if; "),
                1 => body += &format!("begin {piece}\nend; "),
                2 => body += &format!("for i in 1..1 loop {piece}\nend loop;\n"),
                _ => body += &format!("{piece}\n"),
            }
        }
        body += "return n; end";
        client.ok(&format!(
            "create or replace function tried(a int) returns int language plpgsql as $body${body}$body$"
        ));
        client.ok("begin");
        let ran = client.query("select tried(5)").errors.is_empty();
        client.ok(if ran { "commit" } else { "rollback" });
        let has_left = client.one(LEFT) == "t";
        client.ok("discard all");
        let read = pgweir::sql::read_body(body.as_bytes(), false);
        let passes = read.is_some_and(|read| !read.calls.iter().any(|name| &**name == "leaves_it"));
        assert!(!(has_left && passes), "{body}");
        left += u32::from(has_left);
        harmless += u32::from(passes);
    }
    assert!(
        left > 100 && harmless > 100,
        "{left} left something, {harmless} passed"
    );
}

#[test]
fn what_a_function_notifies_reaches_its_own_client_with_the_answer() {
    only_pgweir!();
    let setting = Setting::new();
    let mut client = setting.client();
    client.ok(
        "create function tells(n int) returns int language plpgsql as \
               'begin perform pg_notify(''told'', n::text); return n; end'",
    );
    client.ok("listen told");
    for n in 0..6 {
        let reply = client.query(&format!("select tells({n})"));
        assert_eq!(reply.notifications.len(), 1, "the call {n}");
    }
}
