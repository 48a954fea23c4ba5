//! Words of the scripts: settings with values, and statements by kind.

/// A setting, values it takes, and one it refuses.
pub struct Setting {
    pub name: &'static str,
    pub values: &'static [&'static str],
    pub bad: &'static str,
}

const fn setting(
    name: &'static str,
    values: &'static [&'static str],
    bad: &'static str,
) -> Setting {
    Setting { name, values, bad }
}

/// Those that PostgreSQL reports and every pooler follows.
pub const TRACKED: [Setting; 5] = [
    setting(
        "DateStyle",
        &["ISO, DMY", "German", "'SQL, MDY'", "iso, mdy"],
        "'Martian'",
    ),
    setting(
        "TimeZone",
        &["'Asia/Tokyo'", "UTC", "'Europe/Brussels'", "'America/Lima'"],
        "'Nowhere/Land'",
    ),
    setting(
        "application_name",
        &["'one'", "'it''s'", "two", "''", "'Ünicode'"],
        "a.b.c",
    ),
    setting(
        "client_encoding",
        &["'UTF8'", "LATIN1", "'utf-8'"],
        "'klingon'",
    ),
    setting(
        "standard_conforming_strings",
        &["on", "off", "true", "0"],
        "perhaps",
    ),
];

/// Those that nobody reports (but the two that are, since PostgreSQL 14).
pub const UNREPORTED: [Setting; 24] = [
    setting("lock_timeout", &["'15s'", "0", "20000", "'1min'"], "-5"),
    setting(
        "statement_timeout",
        &["'30s'", "60000", "'2min'", "0"],
        "'soon'",
    ),
    setting(
        "idle_in_transaction_session_timeout",
        &["'10min'", "0"],
        "'x'",
    ),
    setting(
        "search_path",
        &[
            "s1, public",
            "public",
            "'$user', public",
            "s1",
            "\"s1\",public",
            "''",
        ],
        "1.5.5",
    ),
    setting(
        "work_mem",
        &["'8MB'", "1024", "'1GB'", "\"16MB\""],
        "'much'",
    ),
    setting(
        "IntervalStyle",
        &["iso_8601", "'sql_standard'", "postgres_verbose"],
        "'none'",
    ),
    setting(
        "default_transaction_isolation",
        &["'repeatable read'", "serializable", "'read committed'"],
        "'none'",
    ),
    setting(
        "default_transaction_read_only",
        &["on", "off", "off"],
        "'never'",
    ),
    setting("default_transaction_deferrable", &["on", "off"], "12"),
    setting("extra_float_digits", &["0", "3", "-15"], "9"),
    setting("bytea_output", &["escape", "'hex'"], "'octal'"),
    setting(
        "client_min_messages",
        &["warning", "debug1", "'error'", "notice"],
        "'loud'",
    ),
    setting(
        "my.var",
        &["'a'", "'b c'", "12", "''", "'it''s \\ so'"],
        "a, b",
    ),
    setting("enable_seqscan", &["off", "on"], "7"),
    setting("random_page_cost", &["1.5", "4", "1e1"], "-1"),
    setting("synchronous_commit", &["off", "on", "local"], "'x'"),
    setting("row_security", &["off", "on"], "2.5"),
    setting("array_nulls", &["off", "on"], "x"),
    setting("quote_all_identifiers", &["on", "off"], "x"),
    setting("backslash_quote", &["on", "safe_encoding"], "x"),
    setting("log_statement", &["all"], "none"),
    setting("port", &["5432"], "1"),
    setting("no_such_setting", &["1"], "2"),
    setting(
        "default_text_search_config",
        &["'english'", "simple"],
        "'x'",
    ),
];

/// Ways to begin; the last ones are wrong.
pub const BEGINS: [&str; 20] = [
    "begin",
    "BEGIN",
    "begin",
    "Begin Work",
    "begin transaction",
    "start transaction",
    "START TRANSACTION READ ONLY",
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE",
    "begin isolation level serializable, read only, deferrable",
    "begin transaction isolation level read uncommitted read write not deferrable",
    "/* c */ begin -- now",
    "  begin ;",
    "begin;;",
    "begin read only read write",
    "start transaction isolation level repeatable read, isolation level serializable",
    "begin isolation level nothing",
    "begin transaction work",
    "start",
    "begin /* open",
    "start transaction, read only",
];

/// Ways to end a transaction.
pub const ENDS: [&str; 16] = [
    "commit",
    "COMMIT",
    "commit",
    "end",
    "commit work",
    "END TRANSACTION ;",
    "rollback",
    "ROLLBACK",
    "abort",
    "rollback work",
    "/* x */ commit /* y */;",
    "commit and no chain",
    "commit and chain",
    "rollback and chain",
    "prepare transaction 'never'",
    "commit and",
];

/// Reads, and errors of every kind; nothing whose answer depends on the moment or the backend.
pub const PLAIN: [&str; 24] = [
    "select 1",
    "select * from item order by id",
    "select count(*) from item where id > 2",
    "select '2026-02-01'::date, '2026-02-01 10:20:30+00'::timestamptz",
    "select interval '1 day 2 hours', 0.1::float8 + 0.2::float8, '\\xdeadbeef'::bytea",
    "select 'a\\\\b', e'x\\ny'",
    "insert into other select coalesce(max(id), 0) + 1, 'new' from other returning id",
    "update item set name = name || '!' where id = 3 returning name",
    "delete from other where id = 1",
    "insert into item values (1, 'double')",
    "select 1/0",
    "select * from nowhere",
    "selec 1",
    "select 'unfinished",
    "select name from item where id = 'x'",
    "",
    "  ;  ; ",
    "-- nothing but a comment",
    "/* select 1 */",
    "select $1",
    "values (1, 'x'), (2, null)",
    "show transaction_isolation",
    "show server_version",
    "explain (costs off) select 1",
];

/// Work with savepoints; names are reused on purpose.
pub const SAVEPOINTS: [&str; 12] = [
    "savepoint a",
    "savepoint a",
    "savepoint b",
    "savepoint \"A\"",
    "SAVEPOINT A",
    "release a",
    "release savepoint b",
    "release \"A\"",
    "rollback to a",
    "rollback to savepoint a",
    "rollback transaction to savepoint b",
    "rollback to \"A\"",
];

/// LISTEN and its like. `pg_listening_channels()` is left out: it tells of the backend.
pub const LISTENING: [&str; 14] = [
    "listen c1",
    "LISTEN C1",
    "listen c2",
    "listen \"C3\"",
    "unlisten c1",
    "unlisten *",
    "unlisten nobody",
    "notify c1",
    "notify c1, 'own'",
    "notify c2, 'own two'; notify c2, 'own two'",
    "select pg_notify('c1', 'by function')",
    "select pg_notify('C3', n::text) from generate_series(1, 3) n",
    "notify \"C3\", 'it''s'",
    "listen a.b",
];

/// DISCARD, RESET ALL, DEALLOCATE.
pub const DISCARDS: [&str; 14] = [
    "discard all",
    "DISCARD ALL",
    "discard all;",
    "/* x */ discard -- y\n all",
    "discard plans",
    "discard sequences",
    "discard temp",
    "discard temporary",
    "discard",
    "reset all",
    "RESET ALL;",
    "deallocate all",
    "deallocate prepare all",
    "discard everything",
];

/// SQL-level prepared statements.
pub const PREPARES: [&str; 27] = [
    "prepare q1 as select 'q1', 1",
    "prepare q1(int) as select 'q1 of int', $1 + 1",
    "prepare q2 as select count(*) from item",
    "prepare p1 as select 'by sql'",
    "execute q1",
    "execute q1(5)",
    "execute q2",
    "execute p1",
    "deallocate q1",
    "deallocate q2",
    "deallocate prepare p1",
    "prepare q3 as select * from nowhere",
    "explain (costs off) execute q2",
    "create temp table tq on commit drop as execute q2",
    "prepare q4 as select 'a\\\\b', '2026-02-01'::date",
    "execute q4",
    "deallocate q4",
    "prepare p2(text) as insert into item select 200 + max(id), $1 from item returning name",
    "execute p2('by sql')",
    "prepare qn as select nextval('seq1')",
    "execute qn",
    "prepare ql as select pg_try_advisory_lock(11)",
    "execute ql",
    "explain (analyze, costs off, timing off, summary off) execute ql",
    "select pg_advisory_unlock(11)",
    "create temp table tk as execute q2",
    "select count(*) from tk",
];

/// Temporary tables and other objects. Whether the schema `pg_temp` exists at all depends on the
/// backend's history: a function in it is not called by itself.
pub const TEMPORARY: [&str; 28] = [
    "create temp table t1 (n int, x text)",
    "create temporary table t1 as select 7 as n, 'x' as x",
    "insert into t1 values (1, 'mine')",
    "select * from t1 order by n",
    "drop table t1",
    "drop table if exists t1",
    "create temp table t2 (n int) on commit delete rows",
    "insert into t2 values (2)",
    "select count(*) from t2",
    "create temp view v1 as select 1 as one",
    "select * from v1",
    "select 5 as n into temp t2",
    "create table pg_temp.t3 as select 3 as n",
    "select n from t3",
    "create temp sequence ts",
    "select nextval('ts'), count(*) from item",
    "create or replace function pg_temp.tf() returns int language sql as 'select 7'",
    "create or replace function pg_temp.tf() returns int language sql as 'select 8'; select pg_temp.tf()",
    "select proname, prosrc from pg_proc where pronamespace = pg_my_temp_schema()",
    "create type pg_temp.te as enum ('a', 'b')",
    "select 'a'::te",
    "drop type if exists te",
    "alter table t1 add column y int default 9",
    "truncate t1",
    "create or replace temp view v1 as select 1 as one",
    "do $$ begin create temp table t4 (n int); end $$",
    "select count(*) from t4",
    "alter table t1 rename to t3",
];

/// What functions of the application's own do to the session.
pub const FUNCTIONS: [&str; 22] = [
    "select lock_it(31)",
    "select lock_it(31), lock_it(32)",
    "select calls_lock()",
    "select calls_lock(32) from item where id = 2",
    "select free_it(31)",
    "select free_it(32)",
    "select pg_advisory_unlock_shared(31)",
    "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
    "select maybe_lock(1)",
    "select maybe_lock(3)",
    "prepare fp as select lock_it(31); execute fp; deallocate fp",
    "select temp_it()",
    "select * from tf",
    "insert into tf select 2",
    "select drop_it()",
    "drop table tf",
    "select hold_it()",
    "fetch 2 from fc",
    "close fc",
    "select harmless(3)",
    "update item set name = harmless(2)::text where id = 2",
    "do 'begin perform lock_it(32); end'",
];

/// Advisory locks of the session. Keys over 1000 are the neighbours'.
pub const LOCKS: [&str; 19] = [
    "select pg_advisory_lock(1)",
    "select pg_try_advisory_lock(2)",
    "select pg_advisory_lock_shared(1)",
    "select pg_advisory_unlock(1)",
    "select pg_advisory_unlock(2)",
    "select pg_advisory_unlock_all()",
    "select pg_advisory_unlock_shared(1)",
    "select pg_advisory_xact_lock(3)",
    "select pg_try_advisory_lock(id) from item where id < 3",
    "select pg_advisory_lock(6), 1/0",
    "explain (analyze, costs off, timing off, summary off) select pg_advisory_lock(4)",
    "copy (select pg_try_advisory_lock(5)) to stdout",
    "create temp table tl on commit drop as select pg_advisory_lock(7)",
    "do $$ begin perform pg_advisory_lock(8); end $$",
    "with l as materialized (select pg_advisory_lock(9) from item) select count(*) from l",
    "declare k4 cursor for select pg_try_advisory_lock(10, id) from item",
    "fetch all from k4",
    "select pg_advisory_unlock(k) from generate_series(4, 9) k",
    "select mode, objid from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() order by 2, 1",
];

/// Cursors that outlive their transaction.
pub const CURSORS: [&str; 21] = [
    "declare k1 cursor with hold for select id from item order by id",
    "declare k2 scroll cursor with hold for select id from item order by id",
    "declare k3 cursor for select id from item order by id",
    "fetch k1",
    "fetch 2 from k2",
    "fetch k3",
    "close k1",
    "close all",
    "move 2 in k2",
    "fetch prior from k2",
    "fetch absolute 2 from k2",
    "fetch forward all in k1",
    "close k2",
    "close \"K6\"",
    "declare \"K6\" no scroll cursor with hold for values (1, 'x'), (2, 'y')",
    "fetch \"K6\"",
    "declare k5 cursor with hold for select 1/(id - 3) from item order by id",
    "declare k5 insensitive cursor without hold for select count(*) from item",
    "fetch k5",
    "update item set name = 'at the cursor' where current of k3",
    "select name, is_holdable from pg_cursors where name like 'k%' order by 1",
];

/// Sequences.
pub const SEQUENCES: [&str; 12] = [
    "select nextval('seq1')",
    "select currval('seq1')",
    "select lastval()",
    "select nextval('seq2')",
    "select currval('seq2')",
    "select setval('seq1', 500)",
    "select setval('seq2', 600, false)",
    "select nextval('seq1'); select currval('seq1'), lastval()",
    "select nextval('seq2') from generate_series(1, 2)",
    "insert into other values (nextval('seq1'), 'numbered') returning id",
    "update item set name = nextval('seq2')::text where id = 4 returning name",
    "discard sequences",
];

/// Roles; `third` may be taken, `postgres` may not.
pub const ROLES: [&str; 12] = [
    "set role other",
    "set role third",
    "SET SESSION ROLE 'third'",
    "set local role other",
    "set role none",
    "reset role",
    "set role postgres",
    "set role nobody",
    "set session authorization app",
    "set session authorization default",
    "reset session authorization",
    "set session authorization other",
];
