//! What the first words of a statement say about its session.

use super::*;

const T: Touches = Touches::TEMPORARY;
const F: Touches = Touches::FUNCTION;
const NONE: Touches = Touches::NONE;

#[track_caller]
pub fn touch(cases: &[(&str, Touches)]) {
    for (sql, touches) in cases {
        let found = all(sql.as_bytes(), default());
        assert_eq!(found[0].touches, *touches, "{sql}");
    }
}

#[test]
fn transactions() {
    for sql in [
        "BEGIN",
        "start transaction read only",
        "COMMIT AND CHAIN",
        "end",
        "ROLLBACK",
        "abort",
        "SAVEPOINT a",
        "release a",
        "rollback to a",
        "PREPARE TRANSACTION 'x'",
        "/* c */ COMMIT -- d",
    ] {
        touch(&[(sql, Touches::TRANSACTION)]);
    }
}

#[test]
fn settings_and_channels() {
    touch(&[
        ("SET a = 1", Touches::SETTINGS),
        ("SET SESSION a = 1", Touches::SETTINGS),
        ("SET LOCAL a = 1", NONE),
        ("SET /* x */ LOCAL a TO 1", NONE),
        ("SET LOCAL.a = 1", Touches::SETTINGS),
        ("SET LOCAL a TO DEFAULT", Touches::SETTINGS),
        ("SET LOCAL \"a\" . b/**/= default;", Touches::SETTINGS),
        ("SET LOCAL TIME ZONE LOCAL", Touches::SETTINGS),
        ("SET LOCAL a TO 'default'", NONE),
        ("SET LOCAL = 1", Touches::SETTINGS),
        ("SET TRANSACTION READ ONLY", NONE),
        ("SET LOCAL TRANSACTION READ ONLY", NONE),
        ("SET SESSION TRANSACTION READ ONLY", NONE),
        ("SET TRANSACTION SNAPSHOT 'x'", NONE),
        ("SET TRANSACTION.a = 1", Touches::SETTINGS),
        ("SET CONSTRAINTS ALL DEFERRED", NONE),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            Touches::SETTINGS,
        ),
        ("SET SESSION AUTHORIZATION x", Touches::SETTINGS),
        ("SET SESSION.x = 1", Touches::SETTINGS),
        ("SET ROLE x", Touches::SETTINGS),
        ("SET TIME ZONE 'UTC'", Touches::SETTINGS),
        ("RESET a", Touches::SETTINGS),
        ("RESET ALL", Touches::SETTINGS),
        ("SHOW a", NONE),
        ("LISTEN a", Touches::LISTENING),
        ("UNLISTEN *", Touches::LISTENING),
        ("NOTIFY a", Touches::NOTIFIES),
        ("LOAD 'x'", Touches::LIBRARY),
        ("DO $$ $$", Touches::CODE),
        ("CALL x()", Touches::CODE),
        ("DISCARD TEMP", T),
        ("DISCARD TEMPORARY", T),
        ("DISCARD PLANS", NONE),
        ("DISCARD SEQUENCES", NONE),
        ("UPDATE pg_settings SET setting = 'x' WHERE name = 'y'", F),
        ("UPDATE ONLY pg_catalog . PG_SETTINGS SET setting = 'x'", F),
        ("UPDATE \"pg_settings\" SET setting = 'x'", F),
        ("UPDATE \"pg_catalog\".\"pg_settings\" SET setting = 'x'", F),
        ("UPDATE U&\"pg\\005fsettings\" SET setting = 'x'", F),
        ("EXPLAIN ANALYZE UPDATE pg_settings SET setting = 'x'", F),
        (
            "WITH a AS (SELECT 1) UPDATE pg_settings SET setting = 'x'",
            F,
        ),
        ("UPDATE product SET a = 1", NONE),
        ("UPDATE \"product\" SET a = 1", NONE),
        ("UPDATE \"t\" SET a = 1", NONE),
    ]);
    let discarded = all(b"DISCARD ALL", default())[0].touches;
    for kind in [
        Touches::SETTINGS,
        Touches::LISTENING,
        T,
        Touches::PREPARED,
        Touches::LOCKS,
        Touches::CURSORS,
    ] {
        assert!(discarded.has(kind));
    }
}

#[test]
fn prepared_statements_and_cursors() {
    touch(&[
        ("PREPARE a AS SELECT 1", Touches::PREPARED),
        ("PREPARE a (int) AS SELECT $1", Touches::PREPARED),
        ("PREPARE transaction AS SELECT 1", Touches::PREPARED),
        ("EXECUTE a (1)", Touches::PREPARED),
        ("DEALLOCATE a", Touches::PREPARED),
        ("EXPLAIN EXECUTE a", Touches::PREPARED),
        ("EXPLAIN ANALYZE VERBOSE EXECUTE a", Touches::PREPARED),
        (
            "EXPLAIN (ANALYZE, COSTS (off)) EXECUTE a",
            Touches::PREPARED,
        ),
        (
            "EXPLAIN ANALYZE CREATE TABLE x AS EXECUTE a",
            Touches::PREPARED,
        ),
        ("CREATE TABLE x AS EXECUTE a (1)", Touches::PREPARED),
        ("CREATE TEMP TABLE x AS EXECUTE a", Touches::PREPARED.or(T)),
        (
            "CREATE TABLE x (a, b) WITH (fillfactor = 10) AS EXECUTE a",
            Touches::PREPARED,
        ),
        ("DECLARE c CURSOR FOR SELECT 1", NONE),
        ("DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1", NONE),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", Touches::CURSORS),
        (
            "DECLARE \"c\" BINARY INSENSITIVE NO SCROLL CURSOR WITH HOLD FOR SELECT 1",
            Touches::CURSORS,
        ),
        (
            "DECLARE cursor /**/ CURSOR --\n WITH HOLD FOR SELECT 1",
            Touches::CURSORS,
        ),
        ("CLOSE c", NONE),
        ("FETCH 1 FROM c", NONE),
    ]);
}

#[test]
fn temporary_objects() {
    touch(&[
        ("CREATE TEMP TABLE x (a int)", T),
        ("CREATE TEMPORARY TABLE IF NOT EXISTS x (a int)", T),
        ("CREATE LOCAL TEMP TABLE x (a int)", T),
        ("CREATE GLOBAL TEMPORARY TABLE x (a int)", T),
        ("CREATE TEMP TABLE x (a int) ON COMMIT DROP", NONE),
        (
            "CREATE TEMP TABLE x (a int) WITH (fillfactor=10) ON COMMIT DROP TABLESPACE y",
            NONE,
        ),
        ("CREATE TEMP TABLE x ON COMMIT DROP AS SELECT 1", NONE),
        ("CREATE TEMP TABLE x ON COMMIT PRESERVE ROWS AS SELECT 1", T),
        ("CREATE TEMP TABLE x (a int) ON COMMIT DELETE ROWS", T),
        ("CREATE TEMP TABLE x AS SELECT 1", T),
        ("CREATE TEMP TABLE x AS SELECT a FROM y JOIN z ON commit", T),
        ("CREATE TEMP VIEW x AS SELECT 1", T),
        ("CREATE OR REPLACE TEMP RECURSIVE VIEW x (a) AS SELECT 1", T),
        ("CREATE TEMP SEQUENCE x", T),
        ("CREATE TABLE pg_temp.x (a int)", T),
        ("CREATE TABLE IF NOT EXISTS \"pg_temp\" . x (a int)", T),
        ("CREATE TABLE PG_TEMP_3.x (a int)", T),
        ("CREATE TABLE U&\"pg\\005ftemp\".x (a int)", T),
        (
            "CREATE OR REPLACE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            T,
        ),
        ("CREATE TYPE pg_temp.t AS (a int)", T),
        ("CREATE TABLE temp (a int)", NONE),
        ("CREATE TABLE temp AS SELECT 1", NONE),
        ("CREATE TABLE pg_temp (a int)", NONE),
        ("CREATE TABLE x (temp int)", NONE),
        ("CREATE UNLOGGED TABLE x (a int)", NONE),
        ("DROP TABLE x", NONE),
        ("SELECT 1 INTO TEMP x", T),
        ("SELECT 1 INTO LOCAL TEMPORARY TABLE x", T),
        ("SELECT 1 INTO pg_temp.x", T),
        ("SELECT 1 INTO TABLE \"pg_temp\".x", T),
        ("SELECT 1 INTO x", NONE),
        ("EXPLAIN ANALYZE SELECT 1 INTO TEMP x", T),
        ("EXPLAIN (ANALYZE) CREATE TEMP TABLE x AS SELECT 1", T),
        ("INSERT INTO temp VALUES (1)", NONE),
        ("REFRESH MATERIALIZED VIEW x", F),
    ]);
}

#[test]
fn words_hidden_by_a_comment_as_long_as_the_cap_may_be_anything() {
    let comment = format!("/*{}*/", "x".repeat(CAP));
    for sql in [
        format!("{comment} SET a = 1"),
        format!("SET {comment} LOCAL a = 1"),
        format!("CREATE {comment} TEMP TABLE x ()"),
        format!("UPDATE {comment} pg_settings SET a = 1"),
        format!("DECLARE {comment} c CURSOR WITH HOLD FOR SELECT 1"),
    ] {
        assert!(
            all(sql.as_bytes(), default())[0].touches.has(F),
            "{sql:.20}"
        );
    }
}

#[test]
fn opaque_encodings() {
    let rules = Rules {
        opaque_encoding: true,
        ..default()
    };
    let found = |sql: &[u8]| all(sql, rules)[0].touches;
    assert_eq!(found(b"SELECT 1"), NONE);
    assert_eq!(found(b"SELECT 1; SET a = 1"), Touches::SETTINGS);
    assert_eq!(found(b"BEGIN"), Touches::TRANSACTION);
    assert_eq!(found(b"SELECT '\x83\x5c'"), F);
    assert_eq!(found(b"CREATE TEMP TABLE \x83\x5c ()"), F.or(T));
    assert_eq!(
        found(b"SELECT '\x83\x5c', PG_ADVISORY_LOCK(1)"),
        F.or(Touches::LOCKS)
    );
}
