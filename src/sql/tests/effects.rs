//! What statements do to their session, by example, and that no bytes break it.

use super::*;

fn of(sql: &str, rules: Rules) -> Vec<Effect> {
    let mut found = Vec::new();
    each_statement(sql.as_bytes(), rules, |statement| {
        found.extend(effects(sql.as_bytes(), statement, rules));
    });
    found
}

/// As text: `name=value`, `-name` for a reset, and words for the rest.
fn told(sql: &str) -> String {
    let shown = |effect: &Effect| match effect {
        Effect::Set { name, value } => format!("{name}={value}"),
        Effect::SetList { name, value } => format!("{name}:={value}"),
        Effect::Reset(name) => format!("-{name}"),
        Effect::Asked(name) => format!("?{name}"),
        Effect::Unknown(what) => format!("?{what}"),
        other => format!("{other:?}"),
    };
    let found: Vec<String> = of(sql, default()).iter().map(shown).collect();
    found.join(" ")
}

#[track_caller]
fn tell(cases: &[(&str, &str)]) {
    for (sql, expected) in cases {
        assert_eq!(told(sql), *expected, "{sql}");
    }
}

#[test]
fn set_in_all_its_forms() {
    tell(&[
        ("SET work_mem = '1MB'", "work_mem='1MB'"),
        ("set Work_Mem to '1MB'", "work_mem='1MB'"),
        ("SET \"Work_Mem\" TO 1000", "work_mem=1000"),
        ("SET SESSION work_mem TO 1000", "work_mem=1000"),
        (
            "SET/**/SESSION--\nwork_mem/* */=/* */1000 -- c",
            "work_mem=1000",
        ),
        ("SET seq_page_cost = - 1.5e3", "seq_page_cost=-1.5e3"),
        ("SET seq_page_cost = +.5", "seq_page_cost=.5"),
        ("SET enable_sort = off", "enable_sort=off"),
        ("SET enable_sort TO TRUE", "enable_sort=TRUE"),
        (
            "SET search_path = a, \"B c\", 'd', \"$user\"",
            "search_path=a, \"B c\", 'd', \"$user\"",
        ),
        ("SET my.var = 'x'", "my.var='x'"),
        ("SET \"My\" . VAR = 'x'", "my.var='x'"),
        ("SET local.var = 1", "local.var=1"),
        ("SET session.var = 1", "session.var=1"),
        ("SET role.var = 1", "role.var=1"),
        ("SET a.b = 'it''s'", "a.b='it''s'"),
        ("SET a.b = 'x\\y'", "a.b=E'x\\\\y'"),
        ("SET a.b = E'x\\ny'", "a.b=E'x\\ny'"),
        ("SET a.b = e'xy'", "a.b='xy'"),
        ("SET a.b = $$it's$$", "a.b='it''s'"),
        ("SET a.b = $q$a\\b$q$", "a.b=E'a\\\\b'"),
        ("SET a.b = U&'d\\0061t'", "a.b='dat'"),
        ("SET a.b = U&'d!0061t!!\\' UESCAPE '!'", "a.b=E'dat!\\\\'"),
        ("SET a.b = 'x'\n'y'", "a.b='xy'"),
        ("SET work_mem TO DEFAULT", "-work_mem"),
        ("SET work_mem = default", "-work_mem"),
        ("SET TIME ZONE 'UTC'", "timezone='UTC'"),
        ("SET TIME ZONE PST8PDT", "timezone=PST8PDT"),
        (
            "SET TIME ZONE \"Europe/Berlin\"",
            "timezone=\"Europe/Berlin\"",
        ),
        ("SET TIME ZONE -7", "timezone=-7"),
        ("SET TIME ZONE LOCAL", "-timezone"),
        ("SET TIME ZONE DEFAULT", "-timezone"),
        (
            "SET TIME ZONE INTERVAL '-08:00'",
            "timezone='INTERVAL ''-08:00'''",
        ),
        ("SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE", "?set"),
        ("SET NAMES 'UTF8'", "client_encoding='UTF8'"),
        ("SET NAMES", "-client_encoding"),
        ("SET NAMES DEFAULT", "-client_encoding"),
        ("SET SCHEMA 'a'", "search_path='a'"),
        ("SET SEED TO 0.5", ""),
        ("SET ROLE admin", "role=admin"),
        ("SET ROLE 'admin'", "role='admin'"),
        ("SET ROLE NONE", "role=NONE"),
        ("SET ROLE \"Ad\"\"min\"", "role=\"Ad\"\"min\""),
        ("SET ROLE TO DEFAULT", "-role"),
        (
            "SET SESSION AUTHORIZATION joe",
            "session_authorization=joe -role",
        ),
        (
            "SET SESSION SESSION AUTHORIZATION 'joe'",
            "session_authorization='joe' -role",
        ),
        (
            "SET SESSION AUTHORIZATION DEFAULT",
            "-session_authorization -role",
        ),
        (
            "SET session_authorization TO joe",
            "session_authorization=joe -role",
        ),
        ("SET XML OPTION CONTENT", "xmloption=content"),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY NOT DEFERRABLE",
            "default_transaction_isolation='repeatable read' default_transaction_read_only=on \
             default_transaction_deferrable=off",
        ),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY,",
            "?set",
        ),
        ("SET work_mem FROM CURRENT", ""),
        ("SET transaction_isolation = 'serializable'", ""),
        ("SET LOCAL work_mem = 1", ""),
        ("SET LOCAL A.b TO DEFAULT", "ResetLocal(\"a.b\")"),
        ("SET LOCAL TIME ZONE LOCAL", "ResetLocal(\"timezone\")"),
        ("SET LOCAL SESSION AUTHORIZATION DEFAULT", ""),
        ("SET TRANSACTION READ ONLY", ""),
        ("SET CONSTRAINTS ALL DEFERRED", ""),
        ("SET x", "?set"),
        ("SET x = ", "?set"),
        ("SET x = U&\"a\"", "?set"),
        ("SET x = 1 2", "?set"),
    ]);
}

#[test]
fn calls_of_set_config() {
    tell(&[
        (
            "SELECT set_config('Work_Mem', '1MB', false)",
            "work_mem='1MB'",
        ),
        (
            "SELECT pg_catalog . \"set_config\"('a.b', 'x\\y', 'F'), 1",
            "a.b=E'x\\\\y'",
        ),
        (
            "SELECT set_config('a.b', 'x', false) AS a, set_config('c.d', NULL, 'no')",
            "a.b='x' -c.d",
        ),
        ("SELECT set_config('a.b', $1, true)", ""),
        (
            "SELECT set_config('search_path', 'a, \"b\"', false)",
            "search_path:='a, \"b\"'",
        ),
        (
            "SELECT set_config('search_path', '', false)",
            "search_path:=''",
        ),
        ("SELECT set_config('role', 'joe', false)", "role='joe'"),
        (
            "SELECT set_config('session_authorization', 'joe', false)",
            "session_authorization='joe' -role",
        ),
        ("SELECT set_config('a.b', $1, false)", "?a.b"),
        ("SELECT set_config($1, 'x', false)", "?set_config"),
        ("SELECT set_config('a.b', 'x', $1)", "?a.b"),
        ("SELECT set_config('a.b', 'x', NOT true)", "?a.b"),
        ("SELECT set_config('a.b', 'x', false) FROM t", "?a.b"),
        ("SELECT DISTINCT set_config('a.b', 'x', false)", "?a.b"),
        ("SELECT set_config('a.b', 'x', false), upper('y')", "?a.b"),
        (
            "SELECT upper(set_config('a.b', 'x', false)), set_config('A.B', 'y' || $1, false)",
            "?a.b",
        ),
        (
            "SELECT set_config('a.b', 'x', false), now(), set_config('c.d', 'y', false), pg_backend_pid() AS p",
            "a.b='x' c.d='y'",
        ),
        (
            "SELECT set_config('a.b', ('x')::text, false), set_config(CAST('c.d' AS text), cast('y' as varchar), false)",
            "a.b='x' c.d='y'",
        ),
        (
            "select * from set_config('a.b', 'x', false) as result",
            "a.b='x'",
        ),
        ("select * from set_config('a.b', 'x', false), t", "?a.b"),
        ("SELECT set_config('a.b', 't'::bool::text, false)", "?a.b"),
        ("VALUES (set_config('a.b', 'x', false))", "?a.b"),
        (
            "WITH q AS (SELECT set_config('a.b', 'x', false)) TABLE q",
            "?a.b",
        ),
        (
            "SELECT set_config('a.b', 'x', false), set_config(n, 'x', false) FROM t",
            "?set_config",
        ),
        (
            "PREPARE p AS SELECT set_config('a.b', 'x', false)",
            "?set_config",
        ),
        (
            "SELECT f(), set_config('a.b', 'x', false)",
            "?function ?a.b",
        ),
    ]);
}

#[test]
fn reset_and_discard() {
    tell(&[
        ("RESET work_mem", "-work_mem"),
        ("RESET \"My\".Var", "-my.var"),
        ("RESET ALL", "ResetAll"),
        ("RESET TIME ZONE", "-timezone"),
        ("RESET ROLE", "-role"),
        (
            "RESET SESSION AUTHORIZATION",
            "-session_authorization -role",
        ),
        ("RESET TRANSACTION ISOLATION LEVEL", ""),
        ("DISCARD ALL", "DiscardAll"),
        ("DISCARD TEMP", "DiscardTemp"),
        ("DISCARD PLANS", ""),
        ("RESET ALL x", "?set"),
    ]);
}

#[test]
fn transactions_and_channels() {
    tell(&[
        ("BEGIN", "Begin"),
        ("BEGIN WORK ISOLATION LEVEL SERIALIZABLE", "Begin"),
        ("START TRANSACTION READ ONLY, DEFERRABLE", "Begin"),
        ("COMMIT", "Commit(false)"),
        ("END WORK AND CHAIN", "Commit(true)"),
        ("COMMIT AND NO CHAIN", "Commit(false)"),
        ("PREPARE TRANSACTION 'x'", "Commit(false)"),
        ("COMMIT PREPARED 'x'", ""),
        ("ROLLBACK PREPARED 'x'", ""),
        ("ROLLBACK TRANSACTION", "Rollback(false)"),
        ("ABORT AND CHAIN", "Rollback(true)"),
        ("ROLLBACK WORK TO SAVEPOINT a", "RollbackTo(\"a\")"),
        ("ROLLBACK TO savepoint", "RollbackTo(\"savepoint\")"),
        ("SAVEPOINT \"A b\"", "Savepoint(\"A b\")"),
        ("SAVEPOINT Abc", "Savepoint(\"abc\")"),
        ("RELEASE SAVEPOINT a", "Release(\"a\")"),
        ("RELEASE savepoint", "Release(\"savepoint\")"),
        ("LISTEN Abc", "Listen(\"abc\")"),
        ("LISTEN \"A\"\"b\"", "Listen(\"A\\\"b\")"),
        ("LISTEN U&\"a\"", "?listen"),
        ("UNLISTEN a", "Unlisten(Some(\"a\"))"),
        ("UNLISTEN *", "Unlisten(None)"),
        ("DO $$ $$", "?do"),
        ("CALL f(1)", "?call"),
        ("CREATE TEMP TABLE x AS SELECT 1", ""),
    ]);
    let long = "x".repeat(70);
    let cut = &long[..63];
    assert_eq!(told(&format!("LISTEN {long}")), format!("Listen({cut:?})"));
    let accents = format!("{}é", "x".repeat(62));
    assert_eq!(
        told(&format!("LISTEN \"{accents}\"")),
        format!("Listen({:?})", "x".repeat(62))
    );
}

#[test]
fn strings_where_a_backslash_escapes() {
    let rules = Rules {
        backslash_quotes: true,
        ..default()
    };
    let set = |value: &str| {
        vec![Effect::Set {
            name: "a.b".into(),
            value: value.into(),
        }]
    };
    assert_eq!(of("SET a.b = 'x\\'y'", rules), set("E'x\\'y'"));
    assert_eq!(of("SET a.b = 'xy'", rules), set("'xy'"));
    assert_eq!(of("SET a.b = $$x\\y$$", rules), set("E'x\\\\y'"));
}

#[test]
fn opaque_encodings_are_read_where_they_are_ascii() {
    let rules = Rules {
        opaque_encoding: true,
        ..default()
    };
    assert_eq!(
        of("BEGIN; LISTEN a", rules),
        [Effect::Begin, Effect::Listen("a".into())]
    );
    assert_eq!(of("LISTEN é", rules), [Effect::Unknown("encoding")]);
}

#[test]
fn no_bytes_break_it() {
    const PARTS: &[&str] = &[
        "SET ",
        "SESSION ",
        "LOCAL ",
        "TIME ZONE ",
        "AUTHORIZATION ",
        "INTERVAL ",
        "RESET ",
        "LISTEN ",
        "UNLISTEN ",
        "ROLLBACK TO ",
        "RELEASE ",
        "SELECT ",
        "set_config(",
        "'a', ",
        "NULL",
        "false)",
        "::text",
        "TO ",
        "= ",
        "DEFAULT",
        "CHARACTERISTICS AS TRANSACTION ",
        "READ ",
        "ONLY",
        "CREATE ",
        "TEMP ",
        "TABLE ",
        "EXPLAIN (",
        "UPDATE ",
        "pg_settings",
        "DECLARE ",
        "CURSOR WITH HOLD ",
        "U&'\\00",
        "UESCAPE '!'",
        "PREPARE TRANSACTION ",
    ];
    let mut dice = Dice(11);
    for _ in 0..30_000 {
        let mut text = Vec::new();
        for _ in 0..1 + dice.below(8) {
            let from = if dice.below(3) == 0 { PIECES } else { PARTS };
            text.extend_from_slice(dice.pick(from).as_bytes());
        }
        if dice.below(4) == 0 {
            let at = dice.below(text.len());
            text.insert(at, dice.next() as u8);
        }
        let rules = Rules {
            backslash_quotes: dice.below(3) == 0,
            opaque_encoding: dice.below(8) == 0,
            ..default()
        };
        each_statement(&text, rules, |statement| {
            effects(&text, statement, rules);
            let mut anything = statement.clone();
            anything.touches = Touches::ALL;
            effects(&text, &anything, rules);
            effects(b"", &anything, rules);
        });
    }
}
