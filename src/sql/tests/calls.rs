//! Which brackets are calls, and of what; seen backwards, forwards, and behind the cap.

use super::super::statements::{Limits, each_within};
use super::*;

const F: Touches = Touches::FUNCTION;
const NONE: Touches = Touches::NONE;

const CALLS: &[(&str, Touches)] = &[
    // What PostgreSQL brings along.
    ("SELECT count(*), upper(a), now() FROM t", NONE),
    ("SELECT pg_catalog.upper(a), pg_catalog . now ()", NONE),
    ("SELECT \"upper\"(a), \"pg_catalog\".\"now\"()", NONE),
    ("SELECT int4(x), text(y), left(a, 1), \"char\"(b)", NONE),
    (
        "SELECT substring(a FROM 1), overlay(a PLACING b FROM 1), extract(year FROM a), position(a IN b)",
        NONE,
    ),
    ("SELECT set_config('a', 'b', false)", Touches::SETTINGS),
    ("SELECT SET_CONFIG ('a', 'b', false)", Touches::SETTINGS),
    ("SELECT \"set_config\"('a', 'b', false)", Touches::SETTINGS),
    (
        "SELECT pg_catalog.set_config('a', 'b', false)",
        Touches::SETTINGS,
    ),
    (
        "SELECT PG_Catalog.\"set_config\" ('a', 'b', false)",
        Touches::SETTINGS,
    ),
    ("SELECT \"SET_CONFIG\"('a', 'b', false)", F),
    ("SELECT my.set_config('a', 'b', false)", F),
    ("SELECT pg_advisory_lock(1)", Touches::LOCKS),
    ("SELECT pg_try_advisory_lock_shared(1, 2)", Touches::LOCKS),
    ("SELECT pg_advisory_unlock_all()", Touches::LOCKS),
    (
        "SELECT pg_advisory_xact_lock(1), pg_try_advisory_xact_lock(2)",
        NONE,
    ),
    ("SELECT nextval('s')", Touches::SEQUENCE),
    ("INSERT INTO t (a) VALUES (nextval('s'))", Touches::SEQUENCE),
    ("SELECT setval('s', 1)", Touches::SEQUENCE),
    ("SELECT currval('s'), lastval()", Touches::SEQUENCE_READ),
    ("SELECT pg_notify('a', 'b')", Touches::NOTIFIES),
    ("SELECT query_to_xml('SELECT 1', true, true, '')", F),
    ("SELECT * FROM ts_stat('SELECT 1')", F),
    ("SELECT pg_reload_conf()", NONE),
    // What it does not.
    ("SELECT f()", F),
    ("SELECT f (1), 2", F),
    ("SELECT 1, f(1)", F),
    ("SELECT a + f(1)", F),
    ("SELECT (f(1))", F),
    ("SELECT upper(f(1))", F),
    ("SELECT s.f(1)", F),
    ("SELECT \"s\".\"f\"(1)", F),
    ("SELECT s . f (1)", F),
    ("SELECT other.upper(a)", F),
    ("SELECT pg_catalog.f(a)", F),
    ("SELECT \"Upper\"(a)", F),
    ("SELECT U&\"f\"(a)", F),
    ("SELECT \"a\"\"b\"(a)", F),
    ("SELECT DISTINCT f(1)", F),
    ("SELECT DISTINCT ON (a) f(1) FROM t", F),
    ("SELECT a OPERATOR(pg_catalog.+) f(1)", F),
    ("SELECT * FROM f(1)", F),
    ("SELECT * FROM t, f(t.a) AS (x int)", F),
    ("SELECT * FROM t, LATERAL f(t.a) x", F),
    ("SELECT * FROM t JOIN f(1) ON true", F),
    ("SELECT * FROM t CROSS JOIN f(1) AS x(a, b)", F),
    ("SELECT * FROM ROWS FROM (f(1), g(2))", F),
    ("SELECT * FROM t WHERE f(a)", F),
    ("SELECT * FROM t WHERE NOT f(a)", F),
    ("SELECT * FROM t WHERE a = 1 AND f(a)", F),
    ("SELECT * FROM t ORDER BY f(a)", F),
    ("SELECT * FROM t GROUP BY f(a)", F),
    ("SELECT * FROM t LIMIT f(1)", F),
    ("SELECT CASE WHEN f(a) THEN 1 ELSE 2 END", F),
    ("SELECT CASE WHEN a THEN f(1) END", F),
    ("SELECT CASE f(a) WHEN 1 THEN 2 END", F),
    ("SELECT a BETWEEN f(1) AND 3", F),
    ("SELECT a AT TIME ZONE f(1)", F),
    ("SELECT a LIKE b ESCAPE f(c)", F),
    ("SELECT ARRAY[f(1)]", F),
    ("SELECT x[f(1)]", F),
    ("SELECT count(*) FILTER (WHERE f(a)) FROM t", F),
    ("SELECT count(*) OVER (PARTITION BY f(a)) FROM t", F),
    ("SELECT over(1)", F),
    ("SELECT filter(1)", F),
    ("SELECT key(1), 2", F),
    ("SELECT set(1)", F),
    ("SELECT by(1)", F),
    ("SELECT a, share(1)", F),
    ("SELECT cube(1)", F),
    ("SELECT action(1)", F),
    ("SELECT json_value(a, '$')", F),
    ("UPDATE t SET a = f(1)", F),
    ("DELETE FROM t WHERE a = f(1) RETURNING b", F),
    ("DELETE FROM t RETURNING f(b)", F),
    ("INSERT INTO t VALUES (f(1))", F),
    ("INSERT INTO t VALUES (1, 2), (3, f(4))", F),
    ("INSERT INTO t (a) SELECT f(1)", F),
    (
        "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = f(1)",
        F,
    ),
    (
        "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED AND f(1) THEN DELETE",
        F,
    ),
    ("WITH x AS (SELECT f(1)) SELECT * FROM x", F),
    ("WITH x (a) AS (SELECT 1) SELECT f(a) FROM x", F),
    ("VALUES (f(1))", F),
    ("PREPARE p AS SELECT f(1)", Touches::PREPARED.or(F)),
    ("EXECUTE p (f(1))", Touches::PREPARED.or(F)),
    ("EXPLAIN SELECT f(1)", F),
    ("EXPLAIN (ANALYZE, FORMAT json) SELECT f(1)", F),
    ("DECLARE c CURSOR FOR SELECT f(1)", F),
    ("COPY (SELECT f(1)) TO STDOUT", F),
    ("COPY t (a, b) FROM STDIN WHERE f(a)", F),
    ("CREATE TABLE x AS SELECT f(1)", F),
    ("CREATE TABLE x (a, b) AS SELECT f(1), 2", F),
    ("CREATE MATERIALIZED VIEW x AS SELECT f(1)", F),
    ("CREATE TEMP TABLE x ON COMMIT DROP AS SELECT f(1)", F),
    ("EXPLAIN ANALYZE CREATE TABLE x AS SELECT f(1)", F),
    ("SELECT 1, nextval('s'), f(1)", F.or(Touches::SEQUENCE)),
    // What is no call.
    ("INSERT INTO t (a, b) VALUES (1, 2)", NONE),
    ("INSERT INTO \"t\" (\"a\", \"b\") VALUES (1, 2)", NONE),
    (
        "INSERT INTO \"s\".\"t\" (\"a\") VALUES (1) RETURNING \"id\"",
        NONE,
    ),
    ("INSERT INTO\n    s.t\n    (a, b)\nVALUES\n    (1, 2)", NONE),
    ("INSERT INTO t AS x (a) VALUES (1)", NONE),
    (
        "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO NOTHING",
        NONE,
    ),
    (
        "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) WHERE b DO UPDATE SET (a, b) = (1, 2)",
        NONE,
    ),
    ("UPDATE t SET (a, b) = (SELECT 1, 2)", NONE),
    (
        "UPDATE t AS x SET (a, b) = (1, 2) FROM (VALUES (1, 2)) AS \"__tmp\"(\"a\", \"b\")",
        NONE,
    ),
    ("SELECT * FROM (SELECT 1) x(a)", NONE),
    ("SELECT * FROM (VALUES (1, 2)) AS x (a, b)", NONE),
    ("SELECT * FROM t x(a, b), u AS y(c)", NONE),
    (
        "SELECT * FROM unnest(array[1]) WITH ORDINALITY AS x(a, b)",
        NONE,
    ),
    ("SELECT * FROM generate_series(1, 2) AS x(a)", NONE),
    (
        "SELECT * FROM json_to_record('{}') AS x(a varchar(10), b numeric(10, 2))",
        NONE,
    ),
    (
        "SELECT * FROM t JOIN u USING (id) JOIN (SELECT 1) v ON (v.a = t.a)",
        NONE,
    ),
    (
        "SELECT * FROM t LEFT JOIN (SELECT 1) v ON (v.a = t.a)",
        NONE,
    ),
    ("WITH x (a) AS (SELECT 1) SELECT * FROM x", NONE),
    (
        "WITH RECURSIVE x(a, b) AS (SELECT 1), y(c) AS MATERIALIZED (SELECT 2) SELECT 1",
        NONE,
    ),
    (
        "WITH x AS NOT MATERIALIZED (SELECT 1), \"y\" (a) AS (SELECT 2) SELECT 1",
        NONE,
    ),
    (
        "SELECT a::varchar(10), b::numeric(10, 2), c::s.t(3), d::t(3), CAST(e AS u(4))",
        NONE,
    ),
    (
        "SELECT CAST(a AS varchar(10)), CAST(b AS timestamp (3) with time zone)",
        NONE,
    ),
    (
        "SELECT a::character varying(10), b::bit varying(3), c::time(3), d::interval(3)",
        NONE,
    ),
    (
        "SELECT coalesce(a, b), nullif(a, b), greatest(a, b), least(a, b)",
        NONE,
    ),
    (
        "SELECT count(*) OVER (ORDER BY a), count(*) FILTER (WHERE b), rank() OVER w FROM t WINDOW w AS (PARTITION BY a)",
        NONE,
    ),
    (
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t",
        NONE,
    ),
    (
        "SELECT a FROM t GROUP BY GROUPING SETS ((a), (b)), a ORDER BY (a)",
        NONE,
    ),
    ("SELECT a, grouping(a) FROM t GROUP BY ROLLUP (a)", NONE),
    ("SELECT a FROM t GROUP BY CUBE (a)", NONE),
    (
        "SELECT EXISTS (SELECT 1), ARRAY(SELECT 1), ROW(1, 2), a = ANY (b), a > ALL (b), a IN (SELECT 1)",
        NONE,
    ),
    ("SELECT a AT TIME ZONE (b), c LIKE d ESCAPE ('e')", NONE),
    (
        "SELECT DISTINCT ON (a) a FROM ONLY (t) WHERE (a) AND (b) OR NOT (c)",
        NONE,
    ),
    (
        "SELECT * FROM t TABLESAMPLE bernoulli(10) REPEATABLE (1)",
        NONE,
    ),
    ("SELECT 1 FETCH FIRST (1) ROWS ONLY", NONE),
    (
        "SELECT interval '1' second(3), timestamp(3) '2020-01-01', numeric(10, 2) '1'",
        NONE,
    ),
    (
        "MERGE INTO t USING s ON (t.a = s.a) WHEN NOT MATCHED THEN INSERT (a) VALUES (1)",
        NONE,
    ),
    (
        "SELECT xmlelement(name a, xmlattributes(b)), xmlforest(a, b)",
        NONE,
    ),
    ("EXPLAIN (ANALYZE, FORMAT json) SELECT 1", NONE),
    ("EXPLAIN ANALYZE VERBOSE SELECT 1", NONE),
    ("PREPARE p (int, text) AS SELECT 1", Touches::PREPARED),
    ("EXECUTE p (1, 2)", Touches::PREPARED),
    ("EXECUTE \"p\" (1, 2)", Touches::PREPARED),
    ("EXPLAIN EXECUTE p (1)", Touches::PREPARED),
    ("CREATE TABLE x AS EXECUTE p (1)", Touches::PREPARED),
    ("CALL f(1)", Touches::CODE),
    (
        "COPY t (a, b) FROM STDIN WITH (FORMAT csv, FORCE_NULL (a))",
        NONE,
    ),
    ("COPY s.t (a, b) TO STDOUT", NONE),
    (
        "CREATE TABLE t (a numeric(10, 2) DEFAULT f(1), CHECK (g(a)), FOREIGN KEY (a) REFERENCES u (b))",
        NONE,
    ),
    ("CREATE INDEX i ON t USING gin (f(a) gin_trgm_ops)", NONE),
    (
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        NONE,
    ),
    ("CREATE VIEW x AS SELECT f(1)", NONE),
    ("ALTER TABLE t ADD COLUMN a int DEFAULT f(1)", NONE),
    ("GRANT UPDATE (a) ON t TO u", NONE),
    ("COMMENT ON FUNCTION f(int) IS 'x'", NONE),
    ("VACUUM (ANALYZE) t (a)", NONE),
    ("LOCK TABLE t IN SHARE MODE", NONE),
];

fn touches(sql: &str, limits: Limits) -> Touches {
    let mut found = NONE;
    each_within(sql.as_bytes(), limits, &mut |statement: &Statement| {
        found |= statement.touches;
    });
    found
}

#[test]
fn brackets_seen_backwards() {
    for (sql, expected) in CALLS {
        assert_eq!(touches(sql, default().into()), *expected, "{sql}");
    }
}

/// Comments make every bracket be read forwards.
#[test]
fn brackets_seen_forwards() {
    for (sql, expected) in CALLS {
        for (from, to) in [
            ("(", "/* into */("),
            (" ", " -- as\n"),
            (".", "/*x*/./*y*/"),
        ] {
            if from == "." && (sql.contains("0.5") || !sql.contains('.')) {
                continue;
            }
            let changed = sql.replace(from, to);
            assert_eq!(touches(&changed, default().into()), *expected, "{changed}");
        }
    }
}

#[test]
fn words_in_comments_decide_nothing() {
    for sql in [
        "SELECT 1, -- into\n f(1)",
        "SELECT 1, /* into */ f(1)",
        "SELECT other -- pg_catalog\n . upper(1)",
        "SELECT other -- \"pg_catalog\"\n /**/ . -- x\n upper(1)",
        "SELECT other.upper -- pg_catalog.upper\n (1)",
        "SELECT f /* upper */ (1)",
        "SELECT 'into' + f(1)",
        "SELECT $$into$$ || f(1)",
    ] {
        assert!(touches(sql, default().into()).has(F), "{sql}");
    }
}

#[test]
fn brackets_behind_the_cap() {
    let limits = Limits {
        rules: default(),
        cap: CAP,
    };
    let filler = format!("'{}'", "x".repeat(CAP));
    for (tail, expected) in [
        ("upper(a), now()", NONE),
        ("a FROM (VALUES (1)) AS x(a, b)", NONE),
        (
            "a FROM t x(a, b) JOIN u USING (id) GROUP BY ROLLUP (a)",
            NONE,
        ),
        ("count(*) OVER (ORDER BY a)", NONE),
        ("a::numeric(10, 2), coalesce(a, b)", NONE),
        ("f(1)", F),
        ("s.f(1)", F),
        ("pg_catalog.upper(a)", NONE),
        ("pg_catalog.f(a)", F),
        ("1 WHERE NOT f(1)", F),
        ("pg_advisory_lock(1)", Touches::LOCKS),
        ("set_config/**/('a', 'b', false)", Touches::SETTINGS),
        ("\"set_config\"('a', 'b', false)", Touches::ALL),
    ] {
        let sql = format!("SELECT {filler}, {tail}");
        assert_eq!(touches(&sql, limits), expected, "{tail}");
    }
    let rows: Vec<String> = (0..9000)
        .map(|n| format!("({n}, 'abc', now(), NULL)"))
        .collect();
    let insert = format!(
        "INSERT INTO \"t\" (\"a\") VALUES {} ON CONFLICT (a) DO UPDATE SET b = upper('x') RETURNING id",
        rows.join(", ")
    );
    assert_eq!(touches(&insert, limits), NONE);
}

/// Whatever is cut where, a call is never missed: a text read with a small cap tells at least what
/// it tells read whole.
#[test]
fn no_cap_hides_a_call() {
    const KINDS: [Touches; 6] = [
        F,
        Touches::SETTINGS,
        Touches::LOCKS,
        Touches::SEQUENCE,
        Touches::SEQUENCE_READ,
        Touches::NOTIFIES,
    ];
    for (sql, expected) in CALLS {
        for cap in 1..sql.len() {
            let limits = Limits {
                rules: default(),
                cap,
            };
            let found = touches(sql, limits);
            for kind in KINDS.into_iter().filter(|kind| expected.has(*kind)) {
                assert!(found.has(kind) || found.has(F), "{sql} {cap}");
            }
        }
    }
}
