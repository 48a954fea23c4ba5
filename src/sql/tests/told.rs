//! What is told of a statement beside its fingerprint: class, verb, places, redacted text.

use super::*;

#[test]
fn redacted_text_is_sql_again() {
    let cases = [
        (
            "select 'a', 1, null, true, -5 from T",
            "select '?', 0, null, true, 0 from t",
        ),
        (
            "where \"select\" in ('a', 'b')",
            "where \"select\" in ('?' /*, ... */)",
        ),
        ("savepoint x", "savepoint \"?\""),
        (
            "insert into t values (1, 'a'), (2, 'b')",
            "insert into t values (0, '?') /*, ... */",
        ),
        ("select $1, 2", "select $1, 0"),
    ];
    for (sql, text) in cases {
        assert_eq!(redact(sql.as_bytes(), default()), text, "{sql}");
    }
}

#[test]
fn classes_verbs_and_writes() {
    let cases = [
        ("select 1", Class::Select, Verb::Other, false),
        (
            "(select 1) union (select 2)",
            Class::Select,
            Verb::Other,
            false,
        ),
        ("select 1 for update", Class::Select, Verb::Other, true),
        (
            "select 1 for no key update",
            Class::Select,
            Verb::Other,
            true,
        ),
        ("select 1 for key share", Class::Select, Verb::Other, true),
        ("select a into b from t", Class::Select, Verb::Other, true),
        (
            "with x as (select 1) select * from x",
            Class::Select,
            Verb::Other,
            false,
        ),
        (
            "with x as (insert into t values (1) returning *) select * from x",
            Class::Insert,
            Verb::Other,
            true,
        ),
        (
            "with x as (select 1) update t set a = 1",
            Class::Update,
            Verb::Other,
            true,
        ),
        ("insert into t select 1", Class::Insert, Verb::Other, true),
        ("delete from t", Class::Delete, Verb::Other, true),
        (
            "merge into t using s on a when matched then delete",
            Class::Merge,
            Verb::Other,
            true,
        ),
        ("copy t from stdin", Class::Copy, Verb::Other, true),
        (
            "copy (select a from t) to stdout",
            Class::Copy,
            Verb::Other,
            false,
        ),
        (
            "create unique index i on t (a)",
            Class::Maintenance,
            Verb::Other,
            true,
        ),
        ("create table t ()", Class::Ddl, Verb::Other, true),
        ("truncate t", Class::Ddl, Verb::Other, true),
        ("vacuum t", Class::Maintenance, Verb::Other, false),
        ("lock t", Class::Other, Verb::Other, true),
        ("begin", Class::Control, Verb::Begin, false),
        ("start transaction", Class::Control, Verb::Begin, false),
        ("end", Class::Control, Verb::Commit, false),
        (
            "prepare transaction 'x'",
            Class::Control,
            Verb::Commit,
            false,
        ),
        ("abort", Class::Control, Verb::Rollback, false),
        ("rollback to x", Class::Control, Verb::Savepoint, false),
        ("release x", Class::Control, Verb::Savepoint, false),
        (
            "prepare q as delete from t",
            Class::Other,
            Verb::Prepare,
            true,
        ),
        ("execute q", Class::Other, Verb::Execute, false),
        ("deallocate q", Class::Control, Verb::Deallocate, false),
        ("set x = 1", Class::Control, Verb::Other, false),
        ("discard all", Class::Control, Verb::Other, false),
        (
            "declare c cursor for select 1",
            Class::Select,
            Verb::Declare,
            false,
        ),
        ("fetch c", Class::Select, Verb::Fetch, false),
        ("move 5 in c", Class::Other, Verb::Fetch, false),
        ("close c", Class::Control, Verb::Close, false),
        ("do $$x$$", Class::Other, Verb::Other, false),
        ("nonsense", Class::Other, Verb::Other, false),
        ("", Class::Empty, Verb::Other, false),
    ];
    for (sql, class, verb, writes) in cases {
        let found = single(sql.as_bytes(), default());
        assert_eq!(
            (found.class, found.verb, found.writes),
            (class, verb, writes),
            "{sql}"
        );
    }
}

#[test]
fn places_names_and_tags() {
    let sql = b"/*a='b'*/ PREPARE \"Q 1\" AS SELECT 1 ; execute q /* route='x' */ ; deallocate all";
    let found = all(sql, default());
    let piece = |range: &Option<std::ops::Range<usize>>| {
        range
            .clone()
            .map(|range| String::from_utf8_lossy(&sql[range]).into_owned())
    };
    let told: Vec<_> = found
        .iter()
        .map(|s| {
            (
                piece(&Some(s.span.clone())).unwrap(),
                piece(&s.name),
                piece(&s.tags),
            )
        })
        .collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        told,
        [
            (
                "/*a='b'*/ PREPARE \"Q 1\" AS SELECT 1".to_owned(),
                some("\"Q 1\""),
                some("/*a='b'*/")
            ),
            (
                "execute q /* route='x' */".to_owned(),
                some("q"),
                some("/* route='x' */")
            ),
            ("deallocate all".to_owned(), None, None),
        ]
    );
    let body = single(b"select 1", default());
    assert_eq!(found[0].body, Some((body.fingerprint, Class::Select)));
    assert_eq!(single(b"select /* inside */ 1", default()).tags, None);
}

#[test]
fn where_statements_end() {
    for (sql, count) in [
        ("select 1; select 2", 2),
        ("select (1; 2)", 1),
        ("select ';', \";\", $$;$$ -- ;\n /* ; */", 1),
        (
            "create function f() returns int begin atomic select case when a then 1 end; select 2; end; select 3",
            2,
        ),
        (
            "create or replace procedure p() begin atomic select 1; end; select 3",
            2,
        ),
        ("create table begin (atomic int); select 1", 2),
        ("begin; select 1; end", 3),
    ] {
        assert_eq!(all(sql.as_bytes(), default()).len(), count, "{sql}");
    }
}

#[test]
fn a_text_ends_at_its_first_nul() {
    assert_eq!(all(b"select 1\0; select 2", default()).len(), 1);
    assert_eq!(single(b"\0select 1", default()).class, Class::Empty);
}

#[test]
fn unterminated_text_is_one_token() {
    for sql in [
        "select 'a",
        "select \"a",
        "select $$a",
        "select 1 /* a",
        "select e'a\\'",
        "select u&\"a",
        "savepoint \"a",
        "set x = 'a",
    ] {
        assert!(single(sql.as_bytes(), default()).is_unterminated, "{sql}");
    }
    assert_eq!(fingerprint("select 'a"), fingerprint("select 'a'"));
}

#[test]
fn an_opaque_encoding_leaves_the_first_word() {
    let rules = Rules {
        opaque_encoding: true,
        ..default()
    };
    let found = all(b" Insert into t values ('\x83\x5c'); select 1", rules);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].class, found[0].span.clone()),
        (Class::Insert, 1..38)
    );
    assert_eq!(found[0].fingerprint, single(b"INSERT x", rules).fingerprint);
    assert_ne!(found[0].fingerprint, single(b"UPDATE x", rules).fingerprint);
    assert_eq!(single(b" -- x", rules).class, Class::Empty);
}
