#![allow(clippy::unwrap_used)]

use super::*;

fn set(store: &SettingsStore, pairs: &[(&str, &str)]) -> Arc<Settings> {
    pairs.iter().fold(store.empty(), |base, (name, value)| {
        store.with(&base, name, Some(value))
    })
}

fn difference(wants: &Settings, has: &Settings) -> String {
    Settings::difference(wants, has).unwrap_or_default()
}

#[test]
fn equal_settings_are_the_same_set() {
    let store = SettingsStore::default();
    let a = set(&store, &[("work_mem", "'1MB'"), ("app.user", "'7'")]);
    let b = set(&store, &[("WORK_MEM", "'1MB'"), ("app.user", "'7'")]);
    assert!(Arc::ptr_eq(&a, &b));
    assert!(Arc::ptr_eq(&a, &store.with(&a, "app.user", Some("'7'"))));
    let c = store.with(&a, "work_mem", None);
    assert!(Arc::ptr_eq(&c, &set(&store, &[("app.user", "'7'")])));
    let none = store.with(&c, "APP.USER", None);
    assert!(Arc::ptr_eq(&none, &store.empty()));
    assert!(Arc::ptr_eq(&none, &store.with(&none, "x", None)));
    assert_eq!(difference(&a, &b), "");
}

#[test]
fn unused_sets_are_dropped() {
    let store = SettingsStore::default();
    let kept = set(&store, &[("app.user", "'kept'")]);
    for number in 0..4 * PURGE_FROM {
        set(&store, &[("app.user", &format!("'{number}'"))]);
    }
    assert!(store.len() <= 2 * PURGE_FROM + 1, "{}", store.len());
    assert!(Arc::ptr_eq(&kept, &set(&store, &[("app.user", "'kept'")])));
}

#[test]
fn only_what_differs_is_sent() {
    let store = SettingsStore::default();
    let has = set(&store, &[("work_mem", "'1MB'"), ("lock_timeout", "5")]);
    let wants = set(&store, &[("app.user", "'o''x'"), ("lock_timeout", "5")]);
    assert_eq!(
        difference(&wants, &has),
        r#"RESET "work_mem";SET "app"."user" TO 'o''x';"#
    );
    assert_eq!(
        difference(&store.empty(), &has),
        r#"RESET "work_mem";RESET "lock_timeout";"#
    );
    assert_eq!(
        Settings::whole(&has),
        r#"SET "work_mem" TO '1MB';SET "lock_timeout" TO 5;"#
    );
}

#[test]
fn the_order_of_the_last_set_is_kept_and_alone_no_difference() {
    let store = SettingsStore::default();
    let first = set(&store, &[("a", "1"), ("b", "2")]);
    let other = set(&store, &[("b", "2"), ("a", "1")]);
    assert!(!Arc::ptr_eq(&first, &other));
    assert_eq!(Settings::difference(&first, &other), None);
    let again = store.with(&first, "a", Some("1"));
    assert!(Arc::ptr_eq(&again, &other));
}

#[test]
fn identity_is_undone_first_and_set_last() {
    let store = SettingsStore::default();
    let has = set(&store, &[("role", "r"), ("work_mem", "1"), ("role", "r")]);
    let user = set(&store, &[("session_authorization", "'u'"), ("role", "r")]);
    assert_eq!(
        Settings::whole(&has),
        r#"SET "work_mem" TO 1;SET "role" TO r;"#
    );
    assert_eq!(
        difference(&user, &has),
        r#"RESET "role";RESET "work_mem";SET "session_authorization" TO 'u';SET "role" TO r;"#
    );
    let other = store.with(&user, "role", Some("s"));
    assert_eq!(difference(&other, &user), r#"SET "role" TO s;"#);
    assert_eq!(
        difference(&store.with(&user, "role", None), &user),
        r#"RESET "role";"#
    );
    let more = store.with(&user, "work_mem", Some("2"));
    assert_eq!(
        difference(&more, &user),
        r#"RESET "role";RESET "session_authorization";SET "work_mem" TO 2;SET "session_authorization" TO 'u';SET "role" TO r;"#
    );
    assert_eq!(
        difference(&store.empty(), &user),
        r#"RESET "role";RESET "session_authorization";"#
    );
}

#[test]
fn what_took_the_rights_of_a_role_is_set_and_reset_with_them() {
    let store = SettingsStore::default();
    let pairs = [
        ("role", "boss"),
        ("log_statement", "'all'"),
        ("work_mem", "1"),
    ];
    let has = store.with(&set(&store, &pairs), "role", None);
    assert_eq!(
        Settings::whole(&has),
        r#"SET "role" TO boss;SET "log_statement" TO 'all';RESET "role";SET "work_mem" TO 1;"#
    );
    assert_eq!(
        difference(&store.empty(), &has),
        r#"SET "role" TO boss;RESET "log_statement";RESET "role";RESET "work_mem";"#
    );
}

#[test]
fn a_new_session_user_has_no_role() {
    let store = SettingsStore::default();
    let only = set(&store, &[("role", "r")]);
    let none = store.empty();
    assert!(Arc::ptr_eq(
        &none,
        &store.reset(&only, "session_authorization", &none)
    ));
    let start = store.startup([("role", "s")]);
    let back = store.reset(&only, "session_authorization", &start);
    assert!(Arc::ptr_eq(&start, &back));
    let both = set(&store, &[("session_authorization", "u"), ("role", "r")]);
    for value in [Some("u"), Some("v"), None] {
        let after = store.with(&both, "session_authorization", value);
        assert_eq!(after.get("role"), None, "{value:?}");
        assert_eq!(after.get("session_authorization"), value);
    }
}

#[test]
fn startup_values_are_quoted() {
    let store = SettingsStore::default();
    for (name, value, sql) in [
        ("work_mem", "1MB", "'1MB'"),
        ("Work_Mem", "x'; drop", "'x''; drop'"),
        ("app.x", r"\'", r"E'\\'''"),
        ("work_mem", "a, b", "'a, b'"),
    ] {
        let set = store.startup([(name, value)]);
        assert_eq!(
            set.get(&name.to_ascii_lowercase()),
            Some(sql),
            "{name} {value}"
        );
    }
    let raw = store.startup([("Search_Path", r#"Shop, "My ""One""#)]);
    let sql = r#"SELECT pg_catalog.set_config('search_path','Shop, "My ""One"',false);"#;
    assert_eq!(Settings::whole(&raw), sql);
    let other = store.with(&raw, "search_path", Some("x"));
    assert!(Arc::ptr_eq(&raw, &store.reset(&other, "SEARCH_PATH", &raw)));
    assert!(Arc::ptr_eq(
        &store.empty(),
        &store.reset(&other, "search_path", &store.empty())
    ));
    let twice = store.startup([("a", "1"), ("role", "r"), ("A", "2")]);
    assert_eq!(
        Settings::whole(&twice),
        r#"SET "a" TO '2';SET "role" TO 'r';"#
    );
}

#[test]
fn a_list_that_set_config_was_given_goes_to_it_again() {
    let store = SettingsStore::default();
    let named = store.with_list(&store.empty(), "search_path", "'a, \"B\"'");
    assert_eq!(
        Settings::whole(&named),
        r#"SELECT pg_catalog.set_config('search_path','a, "B"',false);"#
    );
    let plain = store.with(&named, "search_path", Some("a"));
    assert_eq!(difference(&plain, &named), r#"SET "search_path" TO a;"#);
}

#[test]
fn reset_all_keeps_the_user_and_the_role() {
    let store = SettingsStore::default();
    let start = store.startup([("work_mem", "1MB"), ("role", "first")]);
    let now = set(
        &store,
        &[
            ("app.x", "1"),
            ("session_authorization", "u"),
            ("role", "r"),
        ],
    );
    let after = store.after_reset_all(&now, &start);
    let pairs: Vec<_> = after.iter().collect();
    assert_eq!(
        pairs,
        [
            ("work_mem", "'1MB'"),
            ("session_authorization", "u"),
            ("role", "r")
        ]
    );
}

#[test]
fn only_what_a_parse_folds_makes_a_context() {
    let store = SettingsStore::default();
    let harmless = set(
        &store,
        &[
            ("lock_timeout", "1"),
            ("search_path", "a"),
            ("role", "r"),
            ("app.user", "1"),
        ],
    );
    assert_eq!(harmless.parse_context(), 0);
    assert_eq!(harmless.parse_context(), store.empty().parse_context());
    let postgres = set(&store, &[("intervalstyle", "postgres"), ("app.user", "1")]);
    let iso = set(&store, &[("intervalstyle", "iso_8601")]);
    assert_ne!(postgres.parse_context(), 0);
    let unknown = set(&store, &[("of_a_later_version", "1")]);
    assert_ne!(unknown.parse_context(), 0);
    assert_ne!(postgres.parse_context(), iso.parse_context());
    let moved = set(
        &store,
        &[("array_nulls", "off"), ("intervalstyle", "postgres")],
    );
    let same = set(
        &store,
        &[("intervalstyle", "postgres"), ("array_nulls", "off")],
    );
    assert_eq!(moved.parse_context(), same.parse_context());
}

#[test]
fn limits_on_one_client() {
    let store = SettingsStore::default();
    let mut many = store.empty();
    for number in 0..MOST_NAMES {
        many = store.with(&many, &format!("app.x{number}"), Some("1"));
    }
    assert!(!many.is_over_limit());
    assert!(store.with(&many, "app.more", Some("1")).is_over_limit());
    let long = store.with(&store.empty(), "app.x", Some(&"x".repeat(MOST_BYTES)));
    assert!(long.is_over_limit());
}
