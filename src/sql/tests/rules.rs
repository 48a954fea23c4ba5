//! Each rule of insight.md 1.4 with what it does to a text.

use super::*;

#[track_caller]
fn shows(rules: Rules, cases: &[(&str, &str)]) {
    for (sql, text) in cases {
        assert_eq!(normalise(sql.as_bytes(), rules), *text, "{sql}");
    }
}

#[test]
fn blanks_comments_case_and_quotes() {
    shows(
        default(),
        &[
            ("  SELECT\t1\r\n", "select $1"),
            ("select/**/1--x", "select $1"),
            ("select 1 /* a /* b */ c */ + 2", "select $1 + $2"),
            ("select -- '\n1", "select $1"),
            (
                "SELECT Id, \"id\", \"Id\", \"a b\", \"q\"\"q\" FROM T",
                "select id, id, \"Id\", \"a b\", \"q\"\"q\" from t",
            ),
            (
                "SELECT \"T\".\"id\" FROM \"T\"",
                "select \"T\".id from \"T\"",
            ),
            ("select É, U&\"d\\0061t\"", "select É, \"d\\0061t\""),
            ("", "(empty)"),
            (" ; -- nothing\n;/* x */", "(empty)"),
            ("select 1;;select 'a' ; ", "select $1; select $1"),
        ],
    );
}

#[test]
fn literals_of_every_form_are_constants() {
    for literal in [
        "'a'",
        "''",
        "'it''s'",
        "'a\\'",
        "E'a\\'b'",
        "e'\\\\'",
        "U&'\\0061'",
        "B'01'",
        "X'ff'",
        "N'é'",
        "'a'\n'b'",
        "'a' -- c\n  'b'",
        "$$a'b$$",
        "$x$ $$ $y$ $x$",
        "1",
        "1.5",
        ".5",
        "1.",
        "1e10",
        "1E-5",
        "0x1F",
        "0o17",
        "0b11",
        "1_000",
        "-1",
        "- 1.5",
        "NULL",
        "True",
        "false",
    ] {
        let text = format!("SELECT a WHERE b = {literal}");
        shows(default(), &[(text.as_str(), "select a where b = $1")]);
    }
    shows(
        default(),
        &[
            ("select 'a' 'b'", "select $1 $2"),
            ("select 1..2", "select $1 .. $2"),
            ("select t1, a$1, $2, 'x'", "select t1, a$1, $2, $3"),
            (
                "select interval '1 day', date '2020-01-01'",
                "select interval $1, date $2",
            ),
        ],
    );
}

#[test]
fn backslashes_count_where_the_session_says_so() {
    let rules = Rules {
        backslash_quotes: true,
        ..default()
    };
    shows(rules, &[("select 'a\\'b', 1", "select $1, $2")]);
    shows(
        rules,
        &[("select n'a\\'b', 1, b'1\\'", "select $1, $2, $3")],
    );
    assert!(single(b"select 'a\\'", rules).is_unterminated);
    assert!(!single(b"select 'a\\'", default()).is_unterminated);
}

#[test]
fn a_minus_is_a_sign_or_an_operator() {
    shows(
        default(),
        &[
            (
                "select -5, a - 5, a-5, (-5), a = -5, a =-5",
                "select $1, a - $2, a - $3, ($4), a = $5, a = $6",
            ),
            ("select -1::int, - 1 :: int", "select - $1::int, - $2::int"),
            ("select x- -1, +1", "select x - $1, + $2"),
            (
                "where a between -1 and -2 limit -3",
                "where a between $1 and $2 limit $3",
            ),
            (
                "select a from t where b in (-1)",
                "select a from t where b = $1",
            ),
        ],
    );
}

#[test]
fn words_that_are_constants_or_not() {
    shows(
        default(),
        &[
            (
                "select a is null, a is not null, a is true, not true",
                "select a is null, a is not null, a is true, not true",
            ),
            (
                "select a = null, coalesce(a, false)",
                "select a = $1, coalesce(a, $2)",
            ),
            (
                "create table t (a int not null default null)",
                "create table t(a int not null default null)",
            ),
            ("select \"null\", a.\"true\"", "select null, a.true"),
            (
                "select a is distinct from null",
                "select a is distinct from $1",
            ),
        ],
    );
}

#[test]
fn operators_and_casts() {
    shows(
        default(),
        &[
            ("select a!=b, a<>b, a<=b", "select a <> b, a <> b, a <= b"),
            (
                "select j ? 'a', j ?| array['a'], j->>'x' , j #>> '{a}'",
                "select j ? $1, j ?| array[$2], j ->> $3, j #>> $4",
            ),
            (
                "select '5'::numeric(10,2), a::int[]",
                "select $1::numeric($2, $3), a::int[]",
            ),
            ("select f(a := 1, b => 2)", "select f(a := $1, b => $2)"),
            (
                "select a[1], a[1:2], a.b.c",
                "select a[$1], a[$2 : $3], a.b.c",
            ),
            ("select a@-b, a+-b, @-1", "select a @- b, a + - b, @- $1"),
        ],
    );
}

#[test]
fn lists_of_constants() {
    let list = "select a from t where b in ($1 /*, ... */)";
    for inside in [
        "1,2",
        "1, 2, 3",
        " 1 , -2 ",
        "'a', 'b'",
        "null, 1",
        "$1, $2",
        "1::int, '2'::numeric(1,2)",
        "date '2020-01-01', date '2020-01-02'",
        "'a'::character varying, 'b'::pg_catalog.text",
        "1 /* c */, 2 -- d\n",
        "10000001, 10000002, 10000003, 10000004, 10000005",
    ] {
        // Parameters in a list are not shown, but constants are counted from behind them.
        let text = normalise(
            format!("select a from t where b in ({inside})").as_bytes(),
            default(),
        );
        assert_eq!(text, list, "{inside}");
    }
    shows(
        default(),
        &[
            ("where a in (1)", "where a = $1"),
            ("where a in ('x'::text)", "where a = $1::text"),
            ("where a not in (1)", "where a not in ($1)"),
            ("where a not in (1, 2)", "where a not in ($1 /*, ... */)"),
            ("where a in (1, b)", "where a in ($1, b)"),
            ("where a in (1, -2::int)", "where a in ($1, - $2::int)"),
            ("where a in (1, f(2))", "where a in ($1, f($2))"),
            (
                "where a in (1, , 2, 3, 4, 5, 6, 7)",
                "where a in ($1,, $2, $3, $4, $5, $6, $7)",
            ),
            ("where a in (select 1)", "where a in (select $1)"),
            (
                "where a = any(array[1,2])",
                "where a = any (array[$1 /*, ... */])",
            ),
            (
                "select array[1], array[1, b]",
                "select array[$1], array[$2, b]",
            ),
            (
                "select array[[1,2],[3,4]]",
                "select array[[$1 /*, ... */], [$2 /*, ... */]]",
            ),
            (
                "where (a, b) in ((1, 2), (3, 4))",
                "where (a, b) in (($1, $2) /*, ... */)",
            ),
            ("where (a, b) in ((1, 2))", "where (a, b) in (($1, $2))"),
        ],
    );
    shows(
        strict(16),
        &[(
            "where a in (1, 2) or b in (3)",
            "where a in ($1, $2) or b = $3",
        )],
    );
    shows(
        strict(17),
        &[("select array[1, 2]", "select array[$1, $2]")],
    );
    shows(
        strict(18),
        &[("where a in (1, 2, 3)", "where a in ($1 /*, ... */)")],
    );
}

#[test]
fn rows_of_values() {
    shows(
        default(),
        &[
            (
                "insert into t (a, b) values (1, 'x')",
                "insert into t (a, b) values ($1, $2)",
            ),
            (
                "insert into t values (1,2),(3,4),(5,NULL) returning id",
                "insert into t values ($1, $2) /*, ... */ returning id",
            ),
            (
                "insert into t values (1,2),(3,default),(4,5)",
                "insert into t values ($1, $2), ($3, default), ($4, $5)",
            ),
            (
                "select * from (values (1), (2)) v where x = 3",
                "select * from (values ($1) /*, ... */) v where x = $2",
            ),
            (
                "values ((select a from (values (1), (2)) x)), (3)",
                "values ((select a from (values ($1) /*, ... */) x)), ($2)",
            ),
            ("insert into t values (1", "insert into t values ($1"),
        ],
    );
    shows(
        strict(18),
        &[(
            "insert into t values (1),(2)",
            "insert into t values ($1), ($2)",
        )],
    );
}

#[test]
fn ordinals_stay_where_they_mean_columns() {
    shows(
        default(),
        &[
            (
                "select a, b from t group by 1, 2 order by 1 desc, f(2), 3 + 1 limit 3",
                "select a, b from t group by 1, 2 order by 1 desc, f($1), $2 + $3 limit $4",
            ),
            (
                "select sum(x) over (order by 1)",
                "select sum(x) over (order by $1)",
            ),
            (
                "select a from (select b from t order by 2) x where c in (1, d)",
                "select a from (select b from t order by 2) x where c in ($1, d)",
            ),
            (
                "select a from t group by 1 union select 1, 2",
                "select a from t group by 1 union select $1, $2",
            ),
        ],
    );
}

#[test]
fn transactions_savepoints_and_cursors() {
    shows(
        default(),
        &[
            ("SAVEPOINT \"843f69f0-e4d2\"", "savepoint $1"),
            ("release x", "release savepoint $1"),
            ("RELEASE SAVEPOINT x", "release savepoint $1"),
            ("rollback work to x", "rollback to savepoint $1"),
            ("ROLLBACK TRANSACTION", "rollback"),
            ("abort and chain", "rollback and chain"),
            ("END", "commit"),
            ("commit prepared 'x'", "commit prepared $1"),
            ("prepare transaction 'x'", "prepare transaction $1"),
            (
                "BEGIN WORK ISOLATION LEVEL SERIALIZABLE, READ ONLY",
                "begin isolation level serializable read only",
            ),
            ("start transaction read only", "start transaction read only"),
            (
                "declare c no scroll cursor for select 1",
                "declare $1 no scroll cursor for select $2",
            ),
            ("fetch forward 10 in c", "fetch forward $1 from $2"),
            ("fetch all from c", "fetch all from $1"),
            ("fetch c", "fetch $1"),
            ("move -5 in \"X\"", "move $1 from $2"),
            ("close c", "close $1"),
            ("close all", "close all"),
            ("deallocate prepare p", "deallocate $1"),
            ("deallocate all", "deallocate all"),
            ("execute q(1, 'x')", "execute q($1, $2)"),
            (
                "prepare q (int) as select $1 + 1",
                "prepare q(int) as select $1 + $2",
            ),
            ("notify imbus, 'x'", "notify imbus, $1"),
        ],
    );
}

#[test]
fn settings() {
    shows(
        default(),
        &[
            ("set session x to 1, 2", "set x = $1"),
            (
                "SET LOCAL lock_timeout = '15s'",
                "set local lock_timeout = $1",
            ),
            ("set a.b = default", "set a.b = default"),
            ("set time zone 'UTC'", "set timezone = $1"),
            ("set role none", "set role $1"),
            (
                "set session authorization x",
                "set session authorization $1",
            ),
            (
                "set session characteristics as transaction read only",
                "set session characteristics as transaction read only",
            ),
            (
                "set transaction isolation level serializable",
                "set transaction isolation level serializable",
            ),
            (
                "set constraints all deferred",
                "set constraints all deferred",
            ),
            ("set x = 1 /* c */; select 1", "set x = $1; select $1"),
            ("update t set a = 1", "update t set a = $1"),
        ],
    );
}

#[test]
fn strict_takes_the_field_of_extract_for_a_constant() {
    let sql = "select extract(year from d)";
    shows(default(), &[(sql, "select extract(year from d)")]);
    shows(strict(18), &[(sql, "select extract($1 from d)")]);
}

#[test]
fn code_is_hashed_and_not_shown() {
    shows(default(), &[("do $$ begin x; end $$", "do $1")]);
    assert_ne!(fingerprint("do $$a$$"), fingerprint("do $$b$$"));
    let function = |body| fingerprint(&format!("create function f() returns int as $x${body}$x$"));
    assert_ne!(function("1"), function("2"));
    assert_eq!(fingerprint("select $$a$$"), fingerprint("select $$b$$"));
}
