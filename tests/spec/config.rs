//! Configuration: what is accepted, what is refused and how, reload (surface 1).

use crate::support::{Bouncer, Exit, Pg, Running, output_of};
use crate::{assert_soon, only_pgweir};
use std::process::Command;

fn setting(bouncer: &Running, key: &str) -> String {
    bouncer
        .show("show config")
        .cell("value", |row| row.get("key") == key)
        .expect("the key")
}

/// Starts with `text` as the whole ini.
fn start_with(text: &str) -> Exit {
    let bouncer = Bouncer::new(Pg::shared());
    let path = bouncer.file("broken.ini", text);
    bouncer.only_file(&path).start_to_end()
}

#[test]
fn mistakes_end_the_start_with_file_and_line() {
    only_pgweir!();
    let cases = [
        (
            "unknown key",
            "[pgbouncer]\nno_such_key = 1\n",
            "2",
            "no_such_key",
        ),
        (
            "not a number",
            "[pgbouncer]\n\nmax_client_conn = many\n",
            "3",
            "max_client_conn",
        ),
        (
            "not a word",
            "[pgbouncer]\npool_mode = sometimes\n",
            "2",
            "pool_mode",
        ),
        (
            "boolean word",
            "[pgbouncer]\nlog_connections = maybe\n",
            "2",
            "log_connections",
        ),
        (
            "unknown section",
            "[pgbouncer]\n[nonsense]\n",
            "2",
            "nonsense",
        ),
        (
            "before a section",
            "max_client_conn = 1\n[pgbouncer]\n",
            "1",
            "",
        ),
        (
            "unknown database key",
            "[databases]\nx = hots=1\n[pgbouncer]\n",
            "2",
            "hots",
        ),
        (
            "reserved database",
            "[databases]\npgbouncer = host=x\n[pgbouncer]\n",
            "2",
            "pgbouncer",
        ),
        (
            "unknown user key",
            "[users]\nx = pool_sizes=1\n[pgbouncer]\n",
            "2",
            "pool_sizes",
        ),
        (
            "missing include",
            "[pgbouncer]\n%include /nonexistent.ini\n",
            "2",
            "/nonexistent.ini",
        ),
        (
            "negative time",
            "[pgbouncer]\nquery_timeout = -1\n",
            "2",
            "query_timeout",
        ),
    ];
    for (name, text, line, word) in cases {
        let exit = start_with(text);
        assert_eq!(exit.status.code(), Some(1), "{name}: {}", exit.text);
        assert!(
            exit.text.contains(&format!("broken.ini:{line}")),
            "{name}: {}",
            exit.text
        );
        assert!(exit.text.contains(word), "{name}: {}", exit.text);
    }
}

#[test]
fn a_mistake_ends_the_start() {
    for key in [
        "no_such_key = 1",
        "max_client_conn = many",
        "pool_mode = sometimes",
    ] {
        let (key, value) = key.split_once(" = ").unwrap();
        let exit = Bouncer::new(Pg::shared()).set(key, value).start_to_end();
        assert_eq!(exit.status.code(), Some(1), "{key}: {}", exit.text);
        assert!(exit.text.contains(key), "{key}: {}", exit.text);
    }
}

#[test]
fn values_are_read_as_pgbouncer_reads_them() {
    let bouncer = Bouncer::new(Pg::shared())
        .set("pool_mode", "TRANSACTION")
        .set("reserve_pool_timeout", "5.0")
        .set("query_wait_timeout", "1.5")
        .set("default_pool_size", "0x10")
        .set("reserve_pool_size", "010")
        .start();
    assert_eq!(setting(&bouncer, "pool_mode"), "transaction");
    assert_eq!(setting(&bouncer, "reserve_pool_timeout"), "5");
    assert_eq!(setting(&bouncer, "query_wait_timeout"), "1.5");
    assert_eq!(setting(&bouncer, "default_pool_size"), "16");
    assert_eq!(setting(&bouncer, "reserve_pool_size"), "8");
}

#[test]
fn comments_behind_typed_values_are_tolerated() {
    // PgBouncer refuses them; the dairy's documented file has them.
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared())
        .set(
            "pool_mode",
            "transaction           ; Transaction-level pooling for Odoo",
        )
        .set("default_pool_size", "7 ; seven")
        .start();
    assert_eq!(setting(&bouncer, "pool_mode"), "transaction");
    assert_eq!(setting(&bouncer, "default_pool_size"), "7");
}

#[test]
fn an_include_reads_another_file_and_the_last_value_counts() {
    let bouncer = Bouncer::new(Pg::shared());
    let path = bouncer.file("more.ini", "default_pool_size = 3\nmin_pool_size = 1\n");
    // The line is no key and value; it stands where the section's next line would.
    let bouncer = bouncer
        .set("max_client_conn", format!("50\n%include {path}"))
        .start();
    assert_eq!(setting(&bouncer, "default_pool_size"), "3");
    assert_eq!(setting(&bouncer, "min_pool_size"), "1");
}

#[test]
fn a_reload_changes_what_it_can_and_keeps_everybody() {
    let pg = Pg::shared();
    let bouncer = Bouncer::new(pg).pool_size(1).start();
    let mut client = bouncer.client();
    client.ok("begin");
    bouncer.reload(|ini| ini.pool_size(3).set("query_wait_timeout", 17));
    assert_eq!(setting(&bouncer, "default_pool_size"), "3");
    assert_eq!(setting(&bouncer, "query_wait_timeout"), "17");
    assert_eq!(
        bouncer.client().one("select 'second server'"),
        "second server"
    );
    client.ok("commit");
}

#[test]
fn a_reload_says_what_changed_from_what_to_what() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared()).pool_size(4).start();
    bouncer.reload(|ini| ini.pool_size(9));
    assert_soon!(
        bouncer.logged("default_pool_size") > 0,
        "a line about it: {}",
        bouncer.log()
    );
    let log = bouncer.log();
    let line = log
        .lines()
        .find(|line| line.contains("default_pool_size"))
        .unwrap();
    assert!(line.contains('4') && line.contains('9'), "{line}");
}

#[test]
fn a_reload_with_a_mistake_changes_nothing() {
    // PgBouncer applies what comes before the mistake and resets the rest (surface 8).
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared())
        .pool_size(4)
        .set("query_wait_timeout", 19)
        .start();
    let mut client = bouncer.client();
    client.ok("begin");
    bouncer.edit(|ini| ini.pool_size(9).set("max_client_conn", "many"));
    let error = bouncer.console().fails("reload");
    assert_eq!(
        error.text(),
        "RELOAD failed, see logs for additional details"
    );
    assert_eq!(error.sqlstate(), "F0000");
    assert_eq!(setting(&bouncer, "default_pool_size"), "4");
    assert_eq!(setting(&bouncer, "query_wait_timeout"), "19");
    assert_soon!(bouncer.logged("max_client_conn") > 0, "the log names it");
    client.ok("commit");
}

#[test]
fn new_users_and_passwords_count_after_a_reload() {
    let bouncer = Bouncer::new(Pg::shared()).set("auth_type", "md5").start();
    let login = bouncer.login().user("other");
    assert!(login.try_connect().is_ok());
    // mtime has a granularity; the size differs too.
    bouncer.reload(|ini| {
        ini.userlist("\"admin\" \"admin-secret\"\n\"other\" \"a new, longer secret\"\n")
    });
    assert!(login.try_connect().is_err());
    assert!(login.password("a new, longer secret").try_connect().is_ok());
}

#[test]
fn a_database_that_moves_takes_its_clients_along() {
    let (pg, second) = (Pg::shared(), Pg::start());
    second
        .admin()
        .ok("create table only_here (n int); grant all on only_here to public");
    let line = |port: u16| format!("moving = host=127.0.0.1 port={port} dbname=app");
    let bouncer = Bouncer::new(pg).only_databases(&[&line(pg.port)]).start();
    let mut client = bouncer.client_of("moving");
    client.one("select 1");
    bouncer.reload(|ini| ini.only_databases(&[&line(second.port)]));
    assert_soon!(
        client
            .query("select count(*) from only_here")
            .errors
            .is_empty(),
        "the next transactions run on the new server"
    );
}

#[test]
fn a_database_that_is_removed_ends_its_clients() {
    let pg = Pg::shared();
    let line = |name: &str| format!("{name} = host=127.0.0.1 port={} dbname=app", pg.port);
    let bouncer = Bouncer::new(pg)
        .only_databases(&[&line("stays"), &line("goes")])
        .start();
    let (mut stays, mut goes) = (bouncer.client_of("stays"), bouncer.client_of("goes"));
    goes.ok("begin");
    bouncer.reload(|ini| ini.only_databases(&[&line("stays")]));
    assert_eq!(goes.end().error().text(), "database removed");
    assert_eq!(stays.one("select 1"), "1");
    assert_eq!(
        bouncer.login().database("goes").refused().text(),
        "no such database: goes"
    );
}

#[test]
fn a_changed_password_of_a_forced_user_is_used_for_new_servers() {
    let pg = Pg::shared();
    let line = |secret: &str| {
        format!(
            "forced = host=127.0.0.1 port={} dbname=app user=scram_user password='{secret}'",
            pg.port
        )
    };
    let bouncer = Bouncer::new(pg)
        .only_databases(&[&line("wrong")])
        .set("server_login_retry", 1)
        .start();
    assert_eq!(
        bouncer.login().database("forced").refused().sqlstate(),
        "28P01"
    );
    bouncer.reload(|ini| ini.only_databases(&[&line("scram-secret")]));
    assert_soon!(
        bouncer.login().database("forced").try_connect().is_ok(),
        "the new one works"
    );
}

#[test]
fn a_missing_userlist_is_an_error_in_the_log_only() {
    let bouncer = Bouncer::new(Pg::shared())
        .set("auth_file", "/nonexistent/userlist.txt")
        .start();
    assert!(bouncer.login().try_connect().is_err());
    assert_soon!(
        bouncer.logged("/nonexistent/userlist.txt") > 0,
        "the log names it"
    );
}

#[test]
fn connect_query_runs_once_on_every_new_server() {
    let pg = Pg::shared();
    let database = pg.database();
    let line = format!(
        "{database} = host=127.0.0.1 port={} connect_query='set work_mem to ''33MB'''",
        pg.port
    );
    let bouncer = Bouncer::new(pg).database(line).pool_size(1).start();
    assert_eq!(bouncer.client_of(&database).one("show work_mem"), "33MB");
    // Nor does what clients do to their sessions take it from the next one.
    let mut client = bouncer.client_of(&database);
    for sql in [
        "set work_mem to '44MB'",
        "reset work_mem",
        "do $$ begin perform set_config('work_mem', '55MB', false); end $$",
        "set work_mem to '66MB'; discard all",
    ] {
        client.query(sql);
        let work_mem = bouncer.client_of(&database).one("show work_mem");
        assert_eq!(work_mem, "33MB", "after {sql}");
    }
}

#[test]
fn a_database_may_live_behind_a_unix_socket_or_another_name() {
    let pg = Pg::shared();
    let local = format!(
        "local = host={} port={} dbname=app",
        pg.socket_dir().display(),
        pg.port
    );
    let named = format!("named = host=localhost port={} dbname=app", pg.port);
    // localhost may be ::1 first, where this cluster does not listen.
    let bouncer = Bouncer::new(pg)
        .database(local)
        .database(named)
        .set("server_login_retry", 1)
        .start();
    for name in ["local", "named"] {
        assert_eq!(
            bouncer.client_of(name).one("select current_database()"),
            "app",
            "{name}"
        );
    }
}

#[test]
fn check_prints_the_settings_and_whether_pgbouncer_would_take_the_file() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared()).pool_size(13);
    let path = bouncer.file("checked.ini", &bouncer.ini());
    let run = |path: &str| {
        let binary = std::env::var("PGWEIR_BIN").unwrap_or(env!("CARGO_BIN_EXE_pgweir").to_owned());
        output_of(Command::new(binary).args(["--check", path]))
    };
    let (status, out, error) = run(&path);
    assert!(status.success(), "{out}{error}");
    assert!(
        out.contains("default_pool_size") && out.contains("13"),
        "{out}"
    );
    assert!(
        out.contains("PgBouncer would accept this file: yes"),
        "{out}"
    );
    let broken = bouncer.file("broken.ini", "[pgbouncer]\nmax_client_conn = many\n");
    let (status, out, error) = run(&broken);
    assert_eq!(status.code(), Some(1));
    assert!(
        format!("{out}{error}").contains("broken.ini:2"),
        "{out}{error}"
    );
    let trailing = bouncer.file("trailing.ini", "[pgbouncer]\nmax_client_conn = 10 ; ten\n");
    let (status, out, error) = run(&trailing);
    assert!(status.success(), "{out}{error}");
    assert!(
        out.contains("PgBouncer would accept this file: no"),
        "{out}"
    );
}

/// The documented files as `config/` ships them; what names another machine is replaced.
fn documented(name: &str, database: &str) -> Running {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
    let text =
        std::fs::read_to_string(format!("{folder}/{name}/pgbouncer.ini")).expect("it is there");
    let pg = Pg::shared();
    let bouncer = Bouncer::new(pg);
    let dir = bouncer.path().display().to_string();
    let port = crate::support::free_port();
    let mut lines = Vec::new();
    for line in text.lines() {
        let key = line.split('=').next().unwrap_or_default().trim();
        lines.push(match key {
            "*" => format!("* = host=localhost port={}", pg.port),
            "smart_dairy_prod" => {
                format!(
                    "smart_dairy_prod = host=localhost port={} dbname={database}",
                    pg.port
                )
            }
            "listen_port" => format!("listen_port = {port}\nunix_socket_dir = {dir}"),
            "auth_file" => format!("auth_file = {dir}/userlist.txt"),
            _ => line.to_owned(),
        });
    }
    let ini = lines.join("\n");
    bouncer.whole_ini(&ini, port).start()
}

#[test]
fn the_hotels_documented_file_works_as_it_stands() {
    only_pgweir!();
    let bouncer = documented("hotel", "app");
    let login = crate::support::Login::new(bouncer.port);
    assert_eq!(login.connect().one("select 1"), "1");
    assert_eq!(
        login.password("wrong").refused().text(),
        "password authentication failed"
    );
}

#[test]
fn the_dairys_documented_file_works_as_it_stands() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = documented("dairy", &database);
    let login = crate::support::Login::new(bouncer.port).database("smart_dairy_prod");
    // The pool is kept filled for as long as it has a client.
    let mut client = login.connect();
    assert_eq!(client.one("select current_database()"), database);
    assert_soon!(
        pg.backends(&database) == 20,
        "min_pool_size = 20 is kept filled"
    );
}

#[test]
fn a_protecting_setting_that_does_not_work_ends_the_start() {
    only_pgweir!();
    for (key, value) in [("auth_type", "pam"), ("auth_type", "ldap")] {
        let exit = Bouncer::new(Pg::shared()).set(key, value).start_to_end();
        assert_eq!(
            exit.status.code(),
            Some(1),
            "{key} = {value}: {}",
            exit.text
        );
        assert!(exit.text.contains(key), "{}", exit.text);
    }
}

#[test]
fn a_line_of_its_own_counts_for_a_database_that_is_in_use_already() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(1).start();
    let mut client = bouncer.client_of(&database);
    client.ok("select 1");
    let line = format!("{database} = host=127.0.0.1 port={} pool_size=7", pg.port);
    bouncer.reload(|ini| ini.database(line));
    let shown = bouncer.show("show databases");
    let mut mine = shown.table().filter(|row| row.get("name") == database);
    assert_eq!(
        mine.next()
            .map(|row| row.get("pool_size").to_owned())
            .as_deref(),
        Some("7")
    );
    client.ok("select 1");
}
