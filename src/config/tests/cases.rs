//! Nasty files by name.

use super::*;

/// Name, body of [pgbouncer], what an error must contain.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "word for a number",
        "default_pool_size = abc",
        "test.ini:2: default_pool_size: \"abc\": not a whole number; accepted: a whole number",
    ),
    (
        "fraction for a number",
        "default_pool_size = 1.5",
        "not a whole number",
    ),
    (
        "empty number",
        "default_pool_size =",
        "\"\": not a whole number",
    ),
    (
        "only a comment for a number",
        "default_pool_size = ; x",
        "\"\": not a whole number",
    ),
    (
        "comment without a blank",
        "default_pool_size = 5;x",
        "\"5;x\": not",
    ),
    ("number and rest", "default_pool_size = 5 6", "\"5 6\": not"),
    (
        "hexadecimal without digits",
        "default_pool_size = 0x",
        "not a whole number",
    ),
    (
        "no octal digit",
        "default_pool_size = 09",
        "not a whole number",
    ),
    (
        "more than an integer holds",
        "default_pool_size = 4294967296",
        "out of range",
    ),
    (
        "more than anything holds",
        "default_pool_size = 99999999999999999999",
        "out of range",
    ),
    (
        "yes for a flag",
        "log_connections = yes",
        "accepted: 0 or 1",
    ),
    ("unit on a time", "server_lifetime = 1h", "no unit"),
    ("negative time", "server_lifetime = -1", "negative"),
    (
        "endless time",
        "server_lifetime = inf",
        "not a number of seconds",
    ),
    (
        "no time at all",
        "server_lifetime = nan",
        "not a number of seconds",
    ),
    (
        "unknown word",
        "pool_mode = fast",
        "accepted: session, transaction, statement",
    ),
    (
        "unknown key",
        "pool_mod = session",
        "pool_mod: unknown setting; nearest: pool_mode",
    ),
    (
        "key in the wrong case",
        "Pool_Mode = session",
        "nearest: pool_mode",
    ),
    (
        "key like no other",
        "frobnicate = 1",
        "config/reference.ini",
    ),
    ("port beyond ports", "listen_port = 65536", "0 to 65535"),
    ("no period", "stats_period = 0", "from 1"),
    (
        "line that is nothing",
        "pool_mode",
        "test.ini:2: not understood",
    ),
    (
        "double quotes around a key",
        "\"pool_mode\" = session",
        "'single quotes'",
    ),
    ("quote left open", "'pool_mode = session", "closing '"),
    ("header left open", "[databases", "without ]"),
    (
        "unknown section",
        "[extras]\nx = 1",
        "test.ini:2: unknown section [extras]",
    ),
    (
        "include of nothing",
        "%include /does/not/exist.ini",
        "test.ini:2: %include /does/not/exist.ini: cannot read the file",
    ),
    (
        "hba that does not work yet",
        "auth_type = hba",
        "auth_type: \"hba\" does not work yet",
    ),
    (
        "hba file that is not read yet",
        "auth_hba_file = /etc/hba",
        "does not work yet",
    ),
    (
        "login by query",
        "auth_user = asker",
        "auth_user: \"asker\" does not work yet",
    ),
    (
        "old TLS only",
        "client_tls_protocols = tlsv1.0",
        "no usable TLS version",
    ),
    (
        "unknown TLS",
        "server_tls_protocols = tlsv9",
        "unknown word",
    ),
    (
        "console as auth_dbname",
        "auth_dbname = pgbouncer",
        "auth_dbname: the console",
    ),
    (
        "reserved database",
        "[databases]\npgbouncer = host=x",
        "cannot be a database",
    ),
    (
        "unlimited by misspelling",
        "[databases]\nd = host=x pool_size=abc",
        "test.ini:3: databases.d.pool_size: \"abc\": not a whole number",
    ),
    (
        "port by name",
        "[databases]\nd = port=postgres",
        "1 to 65535",
    ),
    ("port zero", "[databases]\nd = port=0", "1 to 65535"),
    (
        "empty value at the end",
        "[databases]\nd = host=",
        "host= has no value",
    ),
    (
        "empty quotes",
        "[databases]\nd = host=''",
        "host= has no value",
    ),
    (
        "quote left open in a list",
        "[databases]\nd = password='x",
        "password has no closing '",
    ),
    (
        "word without =",
        "[databases]\nd = host",
        "databases.d: syntax error at the start",
    ),
    (
        "unknown key in a list",
        "[databases]\nd = hosst=x",
        "databases.d.hosst: unknown setting; nearest: host",
    ),
    (
        "alias where it is none",
        "[users]\nu = reserve_pool=1",
        "users.u.reserve_pool",
    ),
    (
        "pool mode in a list",
        "[databases]\nd = pool_mode=x",
        "session, transaction, statement",
    ),
    (
        "database by query",
        "[databases]\nd = auth_user=asker",
        "databases.d.auth_user: \"asker\" does not work yet",
    ),
    ("peer without number", "[peers]\none = host=x", "1 to 65535"),
    ("peer without host", "[peers]\n1 = port=5", "needs host="),
    (
        "own address without port",
        "[pgweir]\nhttp_addr = localhost",
        "address:port",
    ),
    (
        "unknown own key",
        "[pgweir]\nlane = 1",
        "pgweir.lane: unknown setting; nearest: lanes",
    ),
];

#[test]
fn refused_with_line_key_and_what_is_accepted() {
    for (name, body, wanted) in REFUSED {
        let text = format!("[pgbouncer]\n{body}\n");
        let found = match read(&text) {
            Ok(_) => "(accepted)".to_owned(),
            Err(errors) => errors.to_string(),
        };
        assert!(found.contains(wanted), "{name}: {found}");
    }
}

#[test]
fn all_errors_are_told_at_once() {
    let found =
        errors("x = 1\n[pgbouncer]\npool_mode = a\nmax_client_conn = b\n[databases]\nd = e\n");
    let lines: Vec<&str> = found
        .lines()
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        lines,
        ["test.ini:1", "test.ini:3", "test.ini:4", "test.ini:6"]
    );
}

#[test]
fn main_section_is_needed() {
    assert_eq!(
        errors("[databases]\n"),
        "test.ini: main section missing: there is no [pgbouncer]"
    );
}

#[test]
fn integers_have_the_bases_of_c() {
    let config = settings(
        "default_pool_size = 0x10\nmin_pool_size = 010\nreserve_pool_size = +3\nmax_db_connections = -3",
    );
    let set = &config.settings;
    assert_eq!(
        (
            set.default_pool_size,
            set.min_pool_size,
            set.reserve_pool_size,
            set.max_db_connections
        ),
        (16, 8, 3, 0)
    );
    assert_eq!(
        config.warnings,
        [
            "test.ini:3: min_pool_size: a leading 0 means octal, so this is 8",
            "test.ini:5: max_db_connections: a negative number counts as 0 here"
        ]
    );
}

#[test]
fn socket_mode_without_zero_is_told() {
    assert_eq!(
        settings("unix_socket_mode = 0700")
            .settings
            .unix_socket_mode,
        0o700
    );
    let config = settings("unix_socket_mode = 700");
    assert_eq!(config.settings.unix_socket_mode, 700);
    assert!(
        config.warnings[0].contains("the mode is 01274"),
        "{:?}",
        config.warnings
    );
}

#[test]
fn times_may_have_fractions() {
    let config = settings(
        "reserve_pool_timeout = 5.0\nserver_lifetime = 1e3\nquery_timeout = .25\nclient_idle_timeout = 1e300",
    );
    let set = &config.settings;
    assert_eq!(
        (set.reserve_pool_timeout, set.server_lifetime),
        (seconds(5), seconds(1000))
    );
    assert_eq!(set.query_timeout, Duration::from_millis(250));
    assert!(
        std::time::Instant::now()
            .checked_add(set.client_idle_timeout)
            .is_some()
    );
}

#[test]
fn trailing_comments_are_for_typed_values_only() {
    let config = settings(
        "pool_mode = transaction\t; why\nmax_client_conn = 5 ; x\nadmin_users = a, b ; c\nlogfile = /x ; y",
    );
    assert_eq!(config.settings.pool_mode, PoolMode::Transaction);
    assert_eq!(config.settings.max_client_conn, 5);
    assert_eq!(config.settings.admin_users.as_text(), "a, b");
    assert_eq!(config.settings.logfile, "/x ; y");
    assert!(config.warnings[0].contains("\"; y\" is part of the value"));
    assert_eq!(config.foreign.len(), 3);
    assert!(matches!(acceptance(&config), Acceptance::No(place, _) if place.line == 2));
    let list_only = settings("admin_users = a ; c");
    assert!(
        matches!(acceptance(&list_only), Acceptance::ReadsDifferently(place, _) if place.line == 2)
    );
}

#[test]
fn second_main_header_resets_all_but_what_defaults_to_null() {
    let config = good("[pgbouncer]\npool_mode = statement\nauth_file = /f\n[pgbouncer]\n");
    assert_eq!(config.settings.pool_mode, PoolMode::Session);
    assert_eq!(config.settings.auth_file.as_deref(), Some("/f"));
    assert!(config.warnings[0].contains("test.ini:4: another [pgbouncer] header"));
}

#[test]
fn last_line_wins() {
    let config = good(
        "[databases]\nd = host=a\nd = port=9\n[pgbouncer]\npool_mode = session\npool_mode = statement\n",
    );
    assert_eq!(config.settings.pool_mode, PoolMode::Statement);
    assert_eq!(
        (&config.databases["d"].host, config.databases["d"].port),
        (&None, 9)
    );
}

#[test]
fn headers_keys_and_comments_in_odd_places() {
    let config = good(
        "  # c\n\t; c\n[pgbouncer] pool_mode=session ; no blank needed before =\n'max_client_conn'=7\r\n[databases] ; c\n'my db' = dbname='it''s' host = h\n",
    );
    assert_eq!(config.settings.max_client_conn, 7);
    assert_eq!(config.databases["my db"].dbname.as_deref(), Some("it's"));
    assert_eq!(config.databases["my db"].host.as_deref(), Some("h"));
}

#[test]
fn blanks_around_the_equals_sign_of_a_list() {
    let config = good("[databases]\nd = dbname = x host= port=1\n[pgbouncer]\n");
    let database = &config.databases["d"];
    // COMPAT: a value may follow its = at a distance, so "port=1" is the host here.
    assert_eq!(database.dbname.as_deref(), Some("x"));
    assert_eq!(
        (database.host.as_deref(), database.port),
        (Some("port=1"), 5432)
    );
}

#[test]
fn entries_inherit_where_pgbouncer_does() {
    let config = good(
        "[databases]\nd = pool_size=0 reserve_pool=3 max_db_connections=0 server_lifetime=0 query_wait_timeout=0 min_pool_size=-1 port=5433x ; c\n\
         [users]\nu = pool_size=9 max_user_connections=-1 query_timeout=0 query_wait_timeout=-1\n\
         [pgbouncer]\nmax_db_connections = 50\n",
    );
    let database = &config.databases["d"];
    assert_eq!(
        (database.pool_size, database.reserve_pool_size),
        (Some(0), Some(3))
    );
    assert_eq!(
        (database.max_db_connections, database.server_lifetime),
        (None, None)
    );
    assert_eq!(
        (database.query_wait_timeout, database.min_pool_size),
        (Some(Duration::ZERO), None)
    );
    assert_eq!(database.port, 5433);
    assert!(
        config
            .warnings
            .iter()
            .any(|text| text.ends_with("\"x\" after the number is ignored"))
    );
    let pool = config.pool(database, "u");
    assert_eq!(
        (
            pool.pool_size(),
            pool.reserve_pool_size(),
            pool.min_pool_size()
        ),
        (9, 3, 0)
    );
    assert_eq!(config.pool(database, "other").pool_size(), 0);
    assert_eq!(config.max_db_connections(database), 50);
    assert_eq!(config.query_wait_timeout(database, "u"), Duration::ZERO);
}

#[test]
fn what_has_no_effect_is_named_in_one_warning() {
    let config =
        good("[databases]\nd = auth_dbname=x\n[pgbouncer]\npkt_buf = 8192\nsbuf_loopcnt = 5\n");
    assert_eq!(
        config.warnings,
        [
            "accepted without effect in this release: pkt_buf (test.ini:4), databases.d.auth_dbname (test.ini:2)"
        ]
    );
}

#[test]
fn passwords_stay_out_of_debug_and_reports() {
    let config = good(
        "[databases]\nd = user=u password=hunter2\n[pgbouncer]\n[pgweir]\nmonitor_password = hunter2\n",
    );
    assert_eq!(config.databases["d"].password.reveal(), "hunter2");
    let shown = format!("{config:?}{}", report(&config, &[], &Default::default()));
    assert!(!shown.contains("hunter2"));
    let found = errors("[databases]\nd = password=with hunter2\n[pgbouncer]\n");
    assert!(
        found.contains("syntax error behind the value of password"),
        "{found}"
    );
    assert!(!found.contains("hunter2"));
    let ldap = errors("[pgbouncer]\nauth_ldap_options = hunter2\n");
    assert!(!ldap.contains("hunter2"), "{ldap}");
}

#[test]
fn semicolons_in_quotes_are_no_comments() {
    let config = good("[databases]\nd = password='a ;b' ; c\n[pgbouncer]\n");
    assert_eq!(config.databases["d"].password.reveal(), "a ;b");
    let kind = ForeignKind::TrailingComment("; c".to_owned());
    assert_eq!(config.foreign[0].kind, kind);
}

#[test]
fn includes_may_not_go_round_in_circles() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("loop.ini");
    std::fs::write(&path, format!("[pgbouncer]\n%include {}\n", path.display())).unwrap();
    let found = load(&path).unwrap_err().to_string();
    assert!(
        found.contains("loop.ini:2: %include: %include is nested more than 10 deep"),
        "{found}"
    );
}

#[test]
fn missing_file_is_named() {
    let found = load(Path::new("/does/not/exist.ini"))
        .unwrap_err()
        .to_string();
    assert!(
        found.starts_with("/does/not/exist.ini: cannot read the file: "),
        "{found}"
    );
}

#[test]
fn bytes_that_are_not_text_matter_outside_comments_only() {
    let in_comment = parse(Path::new("x.ini"), b"[pgbouncer]\n; caf\xe9\n");
    assert!(in_comment.is_ok());
    let in_value = parse(Path::new("x.ini"), b"[pgbouncer]\nlogfile = caf\xe9\n");
    assert_eq!(
        in_value.unwrap_err().to_string(),
        "x.ini:2: not valid UTF-8"
    );
}
