use super::*;

fn read(text: &str) -> CustomQueries {
    CustomQueries::parse(Path::new("q.ini"), text.as_bytes())
}

fn errors(text: &str) -> Vec<String> {
    read(text).errors.iter().map(ToString::to_string).collect()
}

fn names(text: &str) -> Vec<String> {
    read(text).queries.into_iter().map(|q| q.name).collect()
}

#[test]
fn the_two_documented_queries_ship_and_give_the_documented_series() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/custom_queries.ini");
    let result = CustomQueries::load(&path);
    assert!(result.errors.is_empty(), "{:?}", result.errors);
    let [sessions, milk] = &result.queries[..] else {
        panic!("two queries: {:?}", result.queries)
    };
    assert_eq!(sessions.series("count"), "odoo_active_sessions_count");
    assert_eq!(sessions.help_of("count"), "Number of active Odoo sessions");
    assert_eq!(
        sessions.database, None,
        "pg_stat_activity is the same everywhere"
    );
    assert!(
        sessions.sql.contains("FROM pg_stat_activity\n"),
        "{}",
        sessions.sql
    );
    assert_eq!(milk.series("liters"), "milk_production_today_liters");
    assert_eq!(milk.database.as_deref(), Some("smart_dairy_prod"));
    assert_eq!(milk.kind_of("liters"), ColumnKind::Gauge);
    assert!(milk.sql.ends_with("CURRENT_DATE"), "{}", milk.sql);
}

#[test]
fn every_key_is_read() {
    let result = read(
        "; comment\n# comment\n\
         [farm]\n\
         help = What the\n  farm does\n\
         database = smart_dairy_prod\n\
         interval = 15\ntimeout = 2.5\nmax_rows = 7\n\
         column.cow = label\n\
         column.milk = Counter, litres so far\n\
         column.note = discard\n\
         sql = SELECT cow, milk, note, age\n\
         \x20 FROM cow -- a comment; with = and [\n\
         \n\
         \x20 ; not a comment of ours\n\
         \x20 WHERE alive;\n\
         \n\
         [next]\nsql=select 1 as one\n",
    );
    assert!(result.errors.is_empty(), "{:?}", result.errors);
    let farm = &result.queries[0];
    assert_eq!((farm.name.as_str(), farm.place.line), ("farm", 3));
    assert_eq!(farm.help, "What the farm does");
    assert_eq!(farm.database.as_deref(), Some("smart_dairy_prod"));
    assert_eq!(farm.interval, Duration::from_secs(15));
    assert_eq!(farm.timeout, Duration::from_millis(2500));
    assert_eq!(farm.max_rows, 7);
    let kinds = ["cow", "milk", "note", "age"].map(|column| farm.kind_of(column));
    assert_eq!(
        kinds,
        [
            ColumnKind::Label,
            ColumnKind::Counter,
            ColumnKind::Discard,
            ColumnKind::Gauge
        ]
    );
    assert_eq!(farm.help_of("milk"), "litres so far");
    assert_eq!(farm.help_of("age"), "What the farm does");
    assert_eq!(farm.series("Age (years)"), "farm_Age__years_");
    assert_eq!(
        farm.sql,
        "SELECT cow, milk, note, age\n  FROM cow -- a comment; with = and [\n\n  \
         ; not a comment of ours\n  WHERE alive"
    );
    let next = &result.queries[1];
    assert_eq!(
        (&*next.sql, next.interval),
        ("select 1 as one", DEFAULT_INTERVAL)
    );
}

#[test]
fn indented_keys_are_keys() {
    let text = "[a]\n  help = x\n  sql = select 1\n     as one\n  interval = 30\n";
    let query = read(text).queries.remove(0);
    assert_eq!(query.sql, "select 1\n     as one");
    assert_eq!(query.interval, Duration::from_secs(30));
}

#[test]
fn a_bad_entry_is_reported_with_line_and_key_and_the_rest_goes_on() {
    let text = "\
        [good]\nsql = select 1\n\
        [bad]\nsql = select 1\nintervall = 5\ninterval = soon\nmax_rows = 0\n\
        [no_sql]\nhelp = x\n\
        [empty_sql]\nsql = ;\n\
        [pgweir_mine]\nsql = select 1\n\
        [9lives]\nsql = select 1\n\
        [good]\nsql = select 2\n\
        [twice]\nsql = select 1\nsql = select 2\n\
        [slow]\nsql = select 1\ninterval = 2\n\
        [col]\ncolumn.a = histogram\ncolumn.server = label\nsql = select 1\n\
        [open\n\
        [last]\nsql = select 3\n";
    assert_eq!(names(text), ["good", "last"]);
    let said = errors(text);
    let expected = [
        "q.ini:5: bad.intervall: not known here; accepted: help, database, interval, timeout, max_rows, sql, column.NAME",
        "q.ini:6: bad.interval: \"soon\": not a number of seconds; accepted: 1 to 86400 seconds",
        "q.ini:7: bad.max_rows: \"0\": out of range; accepted: 1 to 1000",
        "q.ini:8: no_sql.sql: missing; accepted: one SQL statement",
        "q.ini:11: empty_sql.sql: missing; accepted: one SQL statement",
        "q.ini:12: pgweir_mine: \"pgweir_mine\": taken; accepted: letters, digits and _, 64 at most, no digit first; not pgweir_, pgbouncer_, process_, pg_",
        "q.ini:14: 9lives: \"9lives\": not a name of that form; accepted: letters, digits and _, 64 at most, no digit first; not pgweir_, pgbouncer_, process_, pg_",
        "q.ini:16: good: given twice; accepted: once",
        "q.ini:20: twice.sql: given twice; accepted: once",
        "q.ini:21: slow.timeout: longer than interval; accepted: a timeout that is not longer",
        "q.ini:25: col.column.a: \"histogram\": unknown word; accepted: gauge, counter, label or discard, then a help text if wanted",
        "q.ini:26: col.column.server: \"server\": taken; accepted: a column's name of letters, digits and _; not server or database as a label",
        "q.ini:28: col: section header without ]",
    ];
    assert_eq!(said, expected, "{said:#?}");
    assert_eq!(read(text).rejected, 9);
}

#[test]
fn noise_is_an_error_and_no_panic() {
    for text in [
        &b"sql = select 1\n"[..],
        b"[",
        b"[]\nsql = select 1",
        b"[a]\n=\n= x\nsql",
        b"[a]\nsql = \xff\n",
        b"[a]\r\nsql = select 1\r\ninterval = 1e999\r\n",
        b"\0",
    ] {
        let result = CustomQueries::parse(Path::new("q.ini"), text);
        assert!(!result.errors.is_empty(), "{text:?}");
        assert!(result.queries.is_empty(), "{text:?}");
    }
    assert!(errors("").is_empty());
    assert_eq!(names("[a]\r\nsql = select 1\r\n  as one\r\n"), ["a"]);
}

#[test]
fn a_slip_in_it_is_a_warning_of_the_configuration_and_no_reason_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    let queries = dir.path().join("q.ini");
    let targets = dir.path().join("t.ini");
    std::fs::write(&queries, "[a]\nsql = select 1\n[b]\nhelp = x\n").unwrap();
    std::fs::write(&targets, "pk = 5 00000000000000aa\nx\n").unwrap();
    let text = format!(
        "[pgbouncer]\n[pgweir]\ncustom_queries_file = {}\ntargets_file = {}\n",
        queries.display(),
        targets.display()
    );
    let config = crate::config::parse(Path::new("test.ini"), text.as_bytes()).unwrap();
    assert_eq!(config.custom_queries[0].name, "a");
    assert_eq!(
        (config.custom_queries.len(), config.rejected_queries),
        (1, 1)
    );
    assert_eq!(config.targets[0].fingerprints, [0xaa]);
    let said = config.warnings.join("\n");
    let expected = format!("{}:3: b.sql: missing", queries.display());
    assert!(said.contains(&expected), "{said}");
    assert!(
        said.contains(&format!("{}:2: not understood", targets.display())),
        "{said}"
    );
}
