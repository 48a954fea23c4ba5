//! Names of functions that are not PostgreSQL's own, and that the fingerprint stands for them.

use super::*;

fn names(text: &str) -> Option<Vec<String>> {
    let rules = Rules::default();
    let statement = single(text.as_bytes(), rules);
    let found = callees(text.as_bytes(), &statement, rules)?;
    Some(found.into_iter().map(String::from).collect())
}

#[test]
fn every_name_that_may_be_a_function_of_somebodys() {
    for (text, expected) in [
        ("SELECT f(1)", &["f"][..]),
        ("SELECT F(g(upper(a))), f(2)", &["f", "g"]),
        (
            "SELECT \"F\"(1), s.\"g h\"(2), s . h (3)",
            &["F", "g h", "h"],
        ),
        ("INSERT INTO t (a) VALUES (f(1)), (g())", &["f", "g"]),
        (
            "UPDATE t SET a = f(1) WHERE b IN (g(1), 'f(2)')",
            &["f", "g"],
        ),
        ("SELECT /* x( */ f -- y(\n (1)", &["f"]),
        ("SELECT my.upper(1)", &["upper"]),
        ("WITH a AS (SELECT f(1)) SELECT * FROM a, g(2)", &["f", "g"]),
        ("DELETE FROM t WHERE f(a) RETURNING g(a)", &["f", "g"]),
    ] {
        assert_eq!(
            names(text).as_deref(),
            Some(&expected.iter().map(|s| s.to_string()).collect::<Vec<_>>()[..]),
            "{text}"
        );
    }
}

#[test]
fn what_may_touch_the_session_by_other_means_has_none() {
    let long = format!("SELECT {}(1)", "f".repeat(64));
    for text in [
        "SELECT query_to_xml('select g()', true, true, ''), f(1)",
        "UPDATE pg_settings SET setting = f(1)",
        "UPDATE pg_catalog.\"pg_settings\" SET setting = f(1)",
        "SELECT my.set_config('a', 'b', false)",
        "SELECT my.pg_advisory_lock(1)",
        "SELECT U&\"f\"(1)",
        "SELECT \"f\"\"g\"(1)",
        "SELECT größe(1)",
        "DO 'begin perform f(1); end'",
        "CALL f(1)",
        "REFRESH MATERIALIZED VIEW f",
        "CREATE TABLE t AS SELECT f(1)",
        "EXPLAIN ANALYZE SELECT f(1)",
        "COPY (SELECT f(1)) TO STDOUT",
        "SELECT 1",
        "SELECT f('",
        &long,
    ] {
        assert_eq!(names(text), None, "{text}");
    }
}

/// Answers are kept by fingerprint: two texts that call different functions must differ in it.
#[test]
fn the_fingerprint_stands_for_the_names() {
    for frame in [
        "SELECT $(1)",
        "SELECT 1 WHERE a IN ($(1), $(2))",
        "SELECT 1 WHERE a IN (1, 2, $(2), 3)",
        "SELECT ARRAY[$(1), $(2)]",
        "SELECT ARRAY[1, 2, $(2)]",
        "INSERT INTO t VALUES ($(1)), ($(2))",
        "INSERT INTO t VALUES (1), (2), ($(2))",
        "SELECT s.$(1)",
        "SELECT $(1)::int FROM $(2) AS x (a int) LIMIT $(3)",
        "SELECT * FROM a JOIN b ON $(a)",
    ] {
        let of = |name: &str| single(frame.replace('$', name).as_bytes(), Rules::default());
        assert_ne!(of("f").fingerprint, of("g").fingerprint, "{frame}");
        assert_ne!(of("f").fingerprint, of("\"F\"").fingerprint, "{frame}");
    }
}

fn of_body(body: &str) -> Option<Vec<String>> {
    let found = read_body(body.as_bytes(), false)?;
    Some(found.calls.into_iter().map(String::from).collect())
}

#[test]
fn bodies_that_leave_nothing_themselves() {
    for (body, expected) in [
        ("select 2 * n", &[][..]),
        (
            "declare r record; begin for r in select * from t for update loop \
             update only t as x set a = f(r.a), b = case when c then 1 else 2 end where x.id = r.id; \
             end loop; return g(1); end",
            &["f", "g"],
        ),
        (
            "begin insert into t values (1) on conflict (a) do update set a = 2; \
             insert into t values (1) on conflict do nothing; return null; end",
            &[],
        ),
        (
            "begin -- set work_mem = 1; create temp table\n raise notice 'execute'; perform h(now()); end",
            &["h"],
        ),
        ("begin x := '--'; return x; end", &[]),
        (
            "begin perform set_config('a.b', f(1, g(2))::text, true); perform pg_notify('a', 'b'); \
             set local work_mem = '1GB'; SET CONSTRAINTS ALL DEFERRED; notify a; end",
            &["f", "g"],
        ),
        (
            "begin perform pg_advisory_xact_lock(1); return nextval('s'); end",
            &[],
        ),
        (
            "merge into t using s on a = b when matched then update set a = 1",
            &[],
        ),
    ] {
        let found = of_body(body);
        let found: Option<Vec<&str>> = found
            .as_ref()
            .map(|names| names.iter().map(String::as_str).collect());
        // Words of PL/pgSQL before brackets, and tables before their columns, may be among them.
        let found = found.map(|names| {
            let real = names.into_iter().filter(|name| name.len() == 1);
            real.filter(|name| *name != "t").collect::<Vec<_>>()
        });
        assert_eq!(found.as_deref(), Some(expected), "{body}");
    }
}

#[test]
fn bodies_that_may_leave_something() {
    for body in [
        "begin set work_mem = '1GB'; end",
        "begin update t set a = 1; set work_mem = '1GB'; end",
        "begin if exists (select from t for update) then set role x; end if; end",
        "begin -- update t\n set work_mem = '1GB'; end",
        "begin perform set_config('a', 'b', false); end",
        "begin perform pg_catalog.pg_advisory_lock(1); end",
        "begin perform set_config('a', f(1, 2), n); end",
        "begin set local_preload_libraries = 'x'; end",
        "begin set session work_mem = 1; end",
        "begin set \"work_mem\" = 1; end",
        "begin create temp table a (n int); end",
        "begin select 1 into temp a; end",
        "begin execute 'set a.b = 1'; end",
        "begin open c for execute q; end",
        "declare c cursor with hold for select 1",
        "begin reset all; end",
        "begin do $$begin set a.b = 1; end$$; end",
        "begin do 'begin end'; end",
        "begin call p(); end",
        "begin perform query_to_xml('select f()', true, true, ''); end",
        "begin update pg_settings set setting = 1; end",
        "begin x := 'a\\'; set work_mem = 1; y := '; '; end",
        "begin listen a; end",
        "begin perform U&\"f\"(1); end",
        "begin x := '",
    ] {
        assert_eq!(of_body(body), None, "{body}");
    }
}

#[test]
fn bodies_that_notify() {
    let notifies = |body: &str| read_body(body.as_bytes(), false).map(|body| body.notifies);
    assert_eq!(
        notifies("begin perform pg_notify('a', 'b'); end"),
        Some(true)
    );
    assert_eq!(notifies("begin NOTIFY a; end"), Some(true));
    assert_eq!(notifies("begin return 1; end"), Some(false));
}

#[test]
fn select_into_makes_a_table_in_sql_alone() {
    for (body, in_sql) in [
        ("select 1 as a into t", false),
        ("insert into t select 1", true),
        (
            "merge into t using s on true when matched then delete",
            true,
        ),
        (
            "with a as (insert into t values (1) returning *) select * from a",
            true,
        ),
    ] {
        assert_eq!(read_body(body.as_bytes(), true).is_some(), in_sql, "{body}");
        assert!(read_body(body.as_bytes(), false).is_some(), "{body}");
    }
}
