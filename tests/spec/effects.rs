//! What pgweir reads in statements that change a session, beside what a server makes of them: each
//! text runs on one connection, what was read of it is applied to another, and every setting must
//! come out alike.

use pgweir::sql::{self, Control, Effect, Rules, Touches};

use crate::support::{Pg, RawClient};

/// Statements that a server takes.
const TEXTS: &[&str] = &[
    "SET work_mem = '1MB'",
    "set Work_Mem to '1MB'",
    "SET \"Work_Mem\" TO 1000",
    "SET SESSION work_mem TO 1000",
    "SET/**/SESSION--\nwork_mem/* */=/* */1000 -- c",
    "SET seq_page_cost = + 1.5e3",
    "SET seq_page_cost = .5",
    "SET extra_float_digits = -3",
    "SET extra_float_digits =-3",
    "SET work_mem = 0x1000",
    "SET enable_sort = off",
    "SET enable_sort TO FALSE",
    "SET enable_sort TO 'no'",
    "SET search_path = a, \"B c\", 'd e', \"$user\", Public",
    "SET search_path = ''",
    "SET search_path TO \"a\"\"b\", 'c''d'",
    "SET DateStyle = German, 'YMD'",
    "SET IntervalStyle TO iso_8601",
    "SET my.var = 'x'",
    "SET \"My\" . VAR = 'x'",
    "SET local.var = 1",
    "SET session.var = 1",
    "SET role.var TO on",
    "SET time.zone = a",
    "SET \"select\".var = 1",
    "SET a.b.c = 1",
    "SET a.b = 'it''s'",
    "SET a.b = 'x\\y'",
    "SET a.b = E'x\\ny\\x41\\u00e9\\''''",
    "SET a.b = e'xy'",
    "SET a.b = $$it's\\n$$",
    "SET a.b = $q$a\\b $$ $q$",
    "SET a.b = U&'d\\0061t\\+000061\\\\'",
    "SET a.b = U&'d!0061t!!\\' UESCAPE '!'",
    "SET a.b = 'x'\n'y'  -- c\n  'z\\'",
    "SET a.b = E'x\\\\'\n'y\\\\'",
    "SET a.b = 'éü'",
    "SET a.b = é",
    "SET a.b = Ab",
    "SET a.b = \"Ab\"",
    "SET a.b = -1.50",
    "SET a.b = 0x1f",
    "SET a.b = 1_000",
    "SET a.b = true",
    "SET search_path = é, Ab, \"Ab\", 'Ab', 1, -1.5, true, on",
    "SET a.b = ''",
    "SET a.b = 'x'; SET a.b TO DEFAULT",
    "SET work_mem = 1000; SET work_mem = default",
    "SET TIME ZONE 'UTC'",
    "SET TIME ZONE PST8PDT",
    "SET TIME ZONE \"Europe/Berlin\"",
    "SET TIME ZONE -7",
    "SET TIME ZONE 3.5",
    "SET TIME ZONE 'UTC'; SET TIME ZONE LOCAL",
    "SET TIME ZONE 'UTC'; SET TIME ZONE DEFAULT",
    "SET TIME ZONE INTERVAL '-08:00'",
    "SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE",
    "SET TIME ZONE INTERVAL(3) '2 hours'",
    "SET NAMES 'LATIN1'",
    "SET NAMES 'LATIN1'; SET NAMES",
    "SET NAMES 'LATIN1'; SET NAMES DEFAULT",
    "SET client_encoding TO latin1",
    "SET SCHEMA 'a, b'",
    "SET SEED TO 0.5",
    "SET ROLE effects_joe",
    "SET ROLE 'effects_joe'",
    "SET ROLE \"effects_joe\"; SET ROLE NONE",
    "SET ROLE effects_joe; SET role TO DEFAULT",
    "SET ROLE effects_joe; RESET ROLE",
    "SET SESSION AUTHORIZATION effects_joe",
    "SET SESSION SESSION AUTHORIZATION 'effects_joe'",
    "SET ROLE effects_joe; SET SESSION AUTHORIZATION effects_ann",
    "SET SESSION AUTHORIZATION effects_joe; SET SESSION AUTHORIZATION DEFAULT",
    "SET SESSION AUTHORIZATION effects_joe; RESET SESSION AUTHORIZATION",
    "SET session_authorization TO effects_joe",
    "SET XML OPTION DOCUMENT",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY NOT DEFERRABLE",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE DEFERRABLE READ WRITE, READ ONLY",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
    "SET standard_conforming_strings = off; SET a.b = 'x\\\\y\\'z'",
    "SET transaction_isolation = 'serializable'",
    "SET TRANSACTION READ ONLY",
    "SET LOCAL work_mem = 1000",
    "SET LOCAL TIME ZONE 'UTC'",
    "SET CONSTRAINTS ALL DEFERRED",
    "RESET work_mem",
    "SET work_mem = 1000; SET a.b = 1; RESET ALL",
    "SET work_mem = 1000; SET a.b = 1; DISCARD ALL",
    "RESET TIME ZONE",
    "SELECT set_config('work_mem', '1MB', false)",
    "SELECT pg_catalog.set_config('Work_Mem', '1000', 'f')",
    "SELECT set_config('a.b', 'x\\y''z', FALSE), set_config('a.c', '', 'no') AS x",
    "SELECT set_config('a.b', E'x\\ty', false::bool)",
    "SELECT set_config('a.b'::text, $$x$$::text, 'off'::boolean)",
    "SELECT set_config(text 'a.b', 'x', bool '0')",
    "SELECT set_config('a.b', 'x', true)",
    "SELECT set_config('a.b', version(), ' TRUE ')",
    "SELECT set_config('a.b', 'x', NULL)",
    "SELECT 1, 'x', set_config('a.b', 'x', false)::varchar y, current_user",
    "SET work_mem = 1000; SELECT set_config('work_mem', NULL, false)",
    "SET a.b = 1; SELECT set_config('a.b', NULL, false)",
    "SELECT set_config('search_path', 'a, \"B c\",Public', false)",
    "SELECT set_config('search_path', '', false)",
    "SELECT set_config('search_path', ' \"$user\" , public ', false)",
    "SELECT set_config('temp_tablespaces', 'pg_default', false)",
    "SELECT set_config('DateStyle', 'German, YMD', false)",
    "SELECT set_config('TimeZone', 'UTC', false)",
    "SELECT set_config('role', 'effects_joe', false)",
    "SELECT set_config('session_authorization', 'effects_joe', false)",
];

/// Texts whose effect only the server knows.
const UNKNOWN: &[&str] = &[
    "SELECT set_config('a.b', version(), false)",
    "SELECT set_config('a.b', 'x' || 'y', false)",
    "SELECT set_config('a.b', 'x', NOT true)",
    "SELECT set_config('a.b', 'x', false) FROM generate_series(1, 0)",
    "SELECT set_config('a.b', 'x', false) WHERE false",
    "SELECT set_config('a.b', 'x', false), generate_series(1, 0)",
    "SELECT upper(set_config('a.b', 'x', false))",
    "SELECT CASE WHEN false THEN set_config('a.b', 'x', false) END",
    "SELECT 1 UNION SELECT length(set_config('a.b', 'x', false))",
    "WITH x AS (SELECT set_config('a.b', 'x', false)) SELECT 1",
    "SELECT (SELECT set_config('a.b', 'x', false))",
    "SELECT set_config('a.b', 'x', false) LIMIT 0",
    "VALUES (set_config('a.b', 'x', false))",
    "EXPLAIN SELECT set_config('a.b', 'x', false)",
    "SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE",
    "SET TIME ZONE INTERVAL(3) '2 hours'",
    "UPDATE pg_settings SET setting = '1000' WHERE name = 'work_mem'",
    "DO $$ BEGIN PERFORM set_config('a.b', 'x', false); END $$",
];

fn read(text: &str) -> Vec<Effect> {
    let mut rules = Rules::default();
    let mut found = Vec::new();
    // One text may change how the next is read.
    for part in text.split_inclusive("; ") {
        sql::each_statement(part.as_bytes(), rules, |statement| {
            let is_empty = statement.touches.and(Touches::ALL).is_empty();
            let effects = sql::effects(part.as_bytes(), statement, rules);
            assert!(!is_empty || effects.is_empty(), "{text}");
            found.extend(effects);
        });
        rules.backslash_quotes |= part.starts_with("SET standard_conforming_strings = off");
    }
    found
}

fn quoted(name: &str) -> String {
    let parts: Vec<String> = name.split('.').map(|part| format!("\"{part}\"")).collect();
    parts.join(".")
}

/// What was read, as statements.
fn applied(effects: &[Effect]) -> Vec<String> {
    let statement = |effect: &Effect| match effect {
        Effect::Set { name, value } => format!("SET {} TO {value}", quoted(name)),
        Effect::SetList { name, value } => {
            format!("SELECT pg_catalog.set_config('{name}', {value}, false)")
        }
        Effect::Reset(name) => format!("RESET {}", quoted(name)),
        Effect::ResetAll => "RESET ALL".to_owned(),
        Effect::DiscardAll => "DISCARD ALL".to_owned(),
        other => panic!("{other:?}"),
    };
    effects.iter().map(statement).collect()
}

/// Every setting of a session, but for what the comparison itself changes.
fn settings(client: &mut RawClient) -> String {
    client.ok("RESET standard_conforming_strings");
    client.ok("SET client_encoding TO utf8");
    let own = [
        "a.b",
        "a.c",
        "a.b.c",
        "my.var",
        "local.var",
        "session.var",
        "role.var",
        "time.zone",
        "select.var",
    ];
    let own = own.map(|name| format!("coalesce(current_setting('{name}', true), '')"));
    client.one(&format!(
        "SELECT concat_ws(E'\\n', session_user, current_user, {}, (SELECT string_agg(name || '=' || \
         setting, E'\\n' \
         ORDER BY name) FROM pg_settings WHERE context IN ('user', 'superuser')))",
        own.join(", ")
    ))
}

fn compare(pg: &Pg) {
    let mut admin = pg.admin();
    for role in ["effects_joe", "effects_ann"] {
        admin.ok(&format!("CREATE ROLE {role}"));
        admin.ok(&format!("GRANT pg_read_all_settings TO {role}"));
    }
    let mut differ = Vec::new();
    for text in TEXTS {
        let effects = read(text);
        if effects
            .iter()
            .any(|effect| matches!(effect, Effect::Unknown(_) | Effect::Asked(_)))
        {
            if !UNKNOWN.contains(text) {
                differ.push(format!("{text}: {effects:?}"));
            }
            continue;
        }
        let mut direct = pg.admin();
        for part in text.split_inclusive("; ") {
            let errors = direct.query(part).errors;
            differ.extend(
                errors
                    .iter()
                    .map(|error| format!("{text}: {}", error.text())),
            );
        }
        let expected = settings(&mut direct);
        for conforming in ["on", "off"] {
            let mut other = pg.admin();
            other.ok(&format!("SET standard_conforming_strings = {conforming}"));
            let applied = applied(&effects);
            for statement in &applied {
                let errors = other.query(statement).errors;
                differ.extend(
                    errors
                        .iter()
                        .map(|error| format!("{statement}: {}", error.text())),
                );
            }
            let found = settings(&mut other);
            let lines = expected.lines().zip(found.lines());
            let lines = lines.filter(|(expected, found)| expected != found);
            differ.extend(lines.map(|lines| format!("{text}: {applied:?}: {lines:?}")));
        }
    }
    assert!(differ.is_empty(), "{differ:#?}");
}

#[test]
fn settings_come_out_alike_on_16() {
    compare(&Pg::version(16, ""));
}

#[test]
fn settings_come_out_alike_on_18() {
    compare(&Pg::version(18, ""));
}

#[test]
fn what_only_the_server_knows_is_unknown() {
    let pg = Pg::shared();
    for text in UNKNOWN {
        let effects = read(text);
        let is_unknown = |effect: &Effect| matches!(effect, Effect::Unknown(_) | Effect::Asked(_));
        assert!(effects.iter().any(is_unknown), "{text}: {effects:?}");
        pg.admin().ok(text);
    }
}

/// What is answered without a server is what a server takes, and as what.
#[test]
fn every_text_that_is_answered_here_is_one_that_a_server_takes() {
    const MODES: [&str; 8] = [
        "READ ONLY",
        "READ WRITE",
        "DEFERRABLE",
        "NOT DEFERRABLE",
        "ISOLATION LEVEL READ UNCOMMITTED",
        "ISOLATION LEVEL READ COMMITTED",
        "isolation/**/level repeatable--\n read",
        "ISOLATION LEVEL SERIALIZABLE",
    ];
    let mut texts = Vec::new();
    for begin in [
        "BEGIN",
        "begin work",
        "BEGIN TRANSACTION",
        "START TRANSACTION",
    ] {
        texts.push((begin.to_owned(), Control::Begin));
        for first in MODES {
            texts.push((format!("{begin} {first};"), Control::Begin));
            for second in MODES {
                for comma in [" ", ",", " /* , */ , "] {
                    let text = format!(" {begin} {first}{comma}{second} ;; -- end");
                    texts.push((text, Control::Begin));
                }
            }
        }
    }
    for work in ["", " WORK", " TRANSACTION"] {
        for chain in ["", " AND NO CHAIN"] {
            for (word, control) in [
                ("COMMIT", Control::Commit),
                ("END", Control::Commit),
                ("ROLLBACK", Control::Rollback),
                ("ABORT", Control::Rollback),
            ] {
                texts.push((format!("{word}{work}{chain};"), control));
            }
        }
    }
    for (text, control) in [
        ("DISCARD ALL", Control::DiscardAll),
        ("DISCARD TEMP", Control::DiscardTemp),
        ("DISCARD TEMPORARY", Control::DiscardTemp),
        ("DISCARD PLANS", Control::DiscardPlans),
        ("DISCARD SEQUENCES", Control::DiscardSequences),
        ("RESET ALL", Control::ResetAll),
        ("DEALLOCATE ALL", Control::DeallocateAll),
        ("DEALLOCATE PREPARE ALL", Control::DeallocateAll),
        ("UNLISTEN *", Control::UnlistenAll),
        ("UNLISTEN*--x", Control::UnlistenAll),
    ] {
        texts.push((text.to_owned(), control));
    }
    let mut client = Pg::shared().admin();
    for (text, expected) in texts {
        assert_eq!(sql::control(text.as_bytes()), Some(expected), "{text}");
        if matches!(expected, Control::Commit | Control::Rollback) {
            client.ok("BEGIN");
        }
        let reply = client.ok(&text);
        assert_eq!(reply.tags.len(), 1, "{text}");
        let is_open = reply.status == b'T';
        assert_eq!(is_open, expected == Control::Begin, "{text}");
        if is_open {
            client.ok("ROLLBACK");
        }
    }
}
