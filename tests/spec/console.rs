//! The admin console: who may, which columns, what the commands do (surface 3).

use crate::support::frames::{extended, query};
use crate::support::{Bouncer, Pg, Reply, Running, output_of, tools};
use crate::{assert_soon, only_pgweir};
use std::process::Command;
use std::time::Duration;

fn start() -> Running {
    Bouncer::new(Pg::shared()).pool_size(2).start()
}

const TEXT: u32 = 25;
const INT: u32 = 23;
const BIG: u32 = 20;
const NUMERIC: u32 = 1700;

/// `name:kind` for every column; i int4, q int8, n numeric, t text.
fn shape(reply: &Reply) -> String {
    let kind = |oid: &u32| match *oid {
        TEXT => "t",
        INT => "i",
        BIG => "q",
        NUMERIC => "n",
        _ => "?",
    };
    let all = reply.columns.iter().zip(&reply.types);
    all.map(|(name, oid)| format!("{name}:{}", kind(oid)))
        .collect::<Vec<_>>()
        .join(" ")
}

fn columns(names: &str, kind: &str) -> String {
    names
        .split_whitespace()
        .map(|name| format!("{name}:{kind}"))
        .collect::<Vec<_>>()
        .join(" ")
}

const SOCKET: &str = "type:t user:t database:t replication:t state:t addr:t port:i local_addr:t \
    local_port:i connect_time:t request_time:t wait:i wait_us:i close_needed:i ptr:t link:t \
    remote_pid:i tls:t application_name:t prepared_statements:i id:i";

#[test]
fn every_show_has_pgbouncers_columns_in_its_order() {
    let bouncer = start();
    bouncer.client().one("select 1");
    let counts = "xact_count query_count bytes_received bytes_sent xact_time query_time wait_time";
    let stats = format!(
        "database:t {} {}",
        columns(
            "total_server_assignment_count total_xact_count total_query_count total_received \
             total_sent total_xact_time total_query_time total_wait_time total_client_parse_count \
             total_server_parse_count total_bind_count total_client_login_count",
            "n"
        ),
        columns(
            "avg_server_assignment_count avg_xact_count avg_query_count avg_recv avg_sent \
             avg_xact_time avg_query_time avg_wait_time avg_client_parse_count \
             avg_server_parse_count avg_bind_count avg_client_login_count",
            "n"
        )
    );
    let pools = format!(
        "database:t user:t {} pool_mode:t load_balance_hosts:t",
        columns(
            "cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active \
             sv_active_cancel sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us",
            "i"
        )
    );
    let tail = columns(
        "client_parse_count server_parse_count bind_count client_login_count",
        "n",
    );
    let avg = columns(
        "avg_client_parse_count avg_server_parse_count avg_bind_count avg_client_login_count",
        "n",
    );
    let head = columns(&format!("server_assignment_count {counts}"), "n");
    let wanted = [
        ("version", "version:t".to_owned()),
        ("state", "key:t value:t".to_owned()),
        ("config", "key:t value:t default:t changeable:t".to_owned()),
        (
            "databases",
            "name:t host:t port:i database:t force_user:t pool_size:i min_pool_size:i \
            reserve_pool_size:i server_lifetime:i pool_mode:t load_balance_hosts:t \
            max_connections:i current_connections:i max_client_connections:i \
            current_client_connections:i paused:i disabled:i"
                .to_owned(),
        ),
        ("pools", pools),
        ("clients", SOCKET.to_owned()),
        ("servers", SOCKET.to_owned()),
        (
            "sockets",
            format!(
                "{SOCKET} {}",
                columns(
                    "recv_pos pkt_pos pkt_remain send_pos send_remain pkt_avail send_avail",
                    "i"
                )
            ),
        ),
        (
            "users",
            "name:t pool_size:t reserve_pool_size:t pool_mode:t max_user_connections:i \
            current_connections:i max_user_client_connections:i \
            current_client_connections:i"
                .to_owned(),
        ),
        ("lists", "list:t items:i".to_owned()),
        ("stats", stats),
        ("stats_totals", format!("database:t {head} {tail}")),
        ("stats_averages", format!("database:t {head} {avg}")),
        ("totals", "name:t value:n".to_owned()),
        ("mem", "name:t size:i used:i free:i memtotal:i".to_owned()),
        ("dns_hosts", "hostname:t ttl:q addrs:t".to_owned()),
        ("dns_zones", "zonename:t serial:q count:i".to_owned()),
        ("peers", "peer_id:i host:t port:i pool_size:i".to_owned()),
    ];
    let mut console = bouncer.console();
    for (topic, expected) in wanted {
        let reply = console.ok(&format!("show {topic}"));
        let expected = expected.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(shape(&reply), expected, "SHOW {topic}");
        assert_eq!(reply.tags, ["SHOW"], "SHOW {topic}");
    }
}

#[test]
fn show_version_is_the_first_line_of_v_and_starts_as_scripts_expect() {
    let bouncer = start();
    let version = bouncer.show("show version").one();
    assert_eq!(version, crate::support::version());
    assert!(version.starts_with("PgBouncer 1."), "{version}");
    let console = bouncer.console();
    let server_version = console
        .parameter("server_version")
        .expect("reported")
        .to_owned();
    assert!(server_version.contains("/bouncer"), "{server_version}");
    assert_eq!(console.parameter("server_encoding"), Some("UTF8"));
    assert_eq!(console.parameter("TimeZone"), Some("GMT"));
}

#[test]
fn show_help_is_a_notice_with_the_commands_in_its_detail() {
    let reply = start().show("show help");
    assert!(reply.rows.is_empty());
    assert_eq!(reply.notices[0].text(), "Console usage");
    assert!(reply.notices[0].field('D').contains("SHOW"));
}

#[test]
fn show_config_lists_every_setting_and_whether_it_may_be_changed() {
    let bouncer = Bouncer::new(Pg::shared())
        .set("query_wait_timeout", "7.5")
        .start();
    let config = bouncer.show("show config");
    let cell = |key: &str, column: &str| {
        config
            .cell(column, |row| row.get("key") == key)
            .unwrap_or_else(|| panic!("no {key}"))
    };
    assert_eq!(cell("query_wait_timeout", "value"), "7.5");
    assert_eq!(cell("query_wait_timeout", "default"), "120");
    assert_eq!(cell("listen_port", "changeable"), "no");
    assert_eq!(cell("default_pool_size", "changeable"), "yes");
    assert_eq!(cell("unix_socket_mode", "value"), "511");
    assert_eq!(cell("pool_mode", "value"), "transaction");
    assert!(config.rows.len() >= 90, "{} settings", config.rows.len());
}

#[test]
fn show_pools_clients_and_servers_show_what_is_going_on() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(1).start();
    let mut busy = bouncer
        .login()
        .database(&database)
        .parameter("application_name", "busy")
        .connect();
    busy.ok("begin");
    let backend = busy.backend();
    let mut waiting = bouncer.client_of(&database);
    waiting.put(&query("select 1"));
    let _idle = bouncer.client_of(&database);
    let number = |column: &str| bouncer.pool(&database, "app", column);
    assert_soon!(number("cl_waiting") == 1, "one waits");
    assert_eq!(
        (number("cl_active"), number("sv_active"), number("sv_idle")),
        (2, 1, 0)
    );
    let servers = bouncer.show("show servers");
    let server = servers
        .table()
        .find(|row| row.get("database") == database)
        .expect("a server");
    assert_eq!((server.get("type"), server.get("state")), ("S", "active"));
    assert_eq!(server.number("remote_pid"), i64::from(backend));
    let clients = bouncer.show("show clients");
    let mine = clients
        .table()
        .find(|row| row.get("application_name") == "busy")
        .expect("a client");
    assert_eq!(
        (mine.get("type"), mine.get("state"), mine.get("user")),
        ("C", "active", "app")
    );
    assert_eq!(mine.number("port"), i64::from(busy.local_port()));
    assert_eq!(mine.get("link"), server.get("ptr"), "joined");
    let states: Vec<&str> = clients
        .table()
        .filter(|row| row.get("database") == database)
        .map(|row| {
            if row.get("state") == "waiting" {
                "waiting"
            } else {
                "other"
            }
        })
        .collect();
    assert_eq!(
        states.iter().filter(|state| **state == "waiting").count(),
        1
    );
    busy.ok("commit");
    waiting.until_ready();
    assert_soon!(number("sv_idle") == 1, "the server is idle again");
}

#[test]
fn statistics_count_queries_transactions_and_bytes() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).start();
    let mut client = bouncer.client_of(&database);
    client.one("select 1");
    client.ok("begin");
    client.one("select repeat('x', 10000)");
    client.ok("commit");
    let total = |column: &str| -> i64 {
        let stats = bouncer.show("show stats_totals");
        let cell = stats.cell(column, |row| row.get("database") == database);
        cell.expect("a row").parse().expect("a number")
    };
    assert_soon!(total("query_count") == 4, "BEGIN, COMMIT and two SELECTs");
    assert_eq!(
        (total("xact_count"), total("server_assignment_count")),
        (2, 2)
    );
    assert!(total("bytes_sent") > 10_000);
    assert!(total("bytes_received") > 40);
    assert_eq!(total("client_login_count"), 1);
    assert!(total("xact_time") >= total("query_time") / 2);
}

#[test]
fn a_pipeline_counts_once_and_waiting_is_measured() {
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(1).start();
    let mut holder = bouncer.client_of(&database);
    holder.ok("begin");
    let mut waiting = bouncer.client_of(&database);
    waiting.put(&query("select 1"));
    std::thread::sleep(Duration::from_millis(600));
    holder.ok("commit");
    waiting.until_ready();
    let stats = bouncer.show("show stats_totals");
    let row = stats
        .table()
        .find(|row| row.get("database") == database)
        .expect("a row");
    assert!(
        row.number("wait_time") > 300_000,
        "{} us",
        row.number("wait_time")
    );
}

#[test]
fn admins_may_all_stats_users_may_look_and_nobody_else_comes_in() {
    let bouncer = start();
    let mut stats = bouncer
        .login()
        .user("stats")
        .database("pgbouncer")
        .connect();
    stats.ok("show pools");
    assert_eq!(stats.fails("pause").text(), "admin access needed");
    assert_eq!(
        stats.fails("set default_pool_size = 5").text(),
        "admin access needed"
    );
    let refused = bouncer.login().user("app").database("pgbouncer").refused();
    assert_eq!(
        (refused.severity(), refused.text()),
        ("FATAL", "not allowed")
    );
}

#[test]
fn the_consoles_password_is_asked_for_and_strangers_are_refused_before() {
    let bouncer = Bouncer::new(Pg::shared()).set("auth_type", "md5").start();
    let console = bouncer.login().database("pgbouncer");
    assert!(console.clone().user("admin").try_connect().is_ok());
    let wrong = console.clone().user("admin").password("wrong").refused();
    assert_eq!(wrong.text(), "password authentication failed");
    let stranger = console.user("app").password("wrong").refused();
    assert_eq!(stranger.text(), "not allowed");
}

#[test]
fn the_user_pgbouncer_comes_in_over_the_socket_of_its_own_account_only() {
    let bouncer = Bouncer::new(Pg::shared()).set("auth_type", "md5").start();
    // The tests may run as root: the pooler then runs as another account and refuses.
    let own = crate::support::account().is_none();
    let login = bouncer.login().user("pgbouncer").database("pgbouncer");
    let over_socket = login
        .clone()
        .unix(&bouncer.dir())
        .password("none")
        .try_connect();
    assert_eq!(over_socket.is_ok(), own);
    assert!(
        login.password("none").try_connect().is_err(),
        "never over TCP"
    );
}

#[test]
fn nonsense_gets_an_error_and_keeps_the_session() {
    let bouncer = start();
    let mut console = bouncer.console();
    for nonsense in [
        "select 1",
        "nonsense",
        "show",
        "show nothing",
        "",
        "show version; show state",
        "pause nosuchword extra",
        "set",
        "set default_pool_size",
        "kill_client",
    ] {
        let error = console.fails(nonsense);
        assert_eq!(
            (error.severity(), error.sqlstate()),
            ("ERROR", "08P01"),
            "{nonsense}"
        );
    }
    let error = console.fails("nonsense");
    assert_eq!(error.text(), "invalid command 'nonsense', use SHOW HELP;");
    assert_eq!(console.ok("show version").rows.len(), 1);
}

#[test]
fn a_backslash_command_of_psql_gets_one_clear_error() {
    // psql's \d sends a long SELECT; PgBouncer ends the session or says "invalid command".
    only_pgweir!();
    let bouncer = start();
    let mut psql = Command::new(tools().client.join("psql"));
    psql.args([
        "-X",
        "-h",
        "127.0.0.1",
        "-p",
        &bouncer.port.to_string(),
        "-U",
        "admin",
        "pgbouncer",
    ])
    .args(["-c", "\\d", "-c", "show version"]);
    let (_, out, error) = output_of(&mut psql);
    assert!(
        out.contains("PgBouncer 1."),
        "the session goes on: {out} {error}"
    );
    assert_eq!(error.matches("ERROR:").count(), 1, "{error}");
    bouncer.console().fails("nonsense");
    assert_soon!(bouncer.logged("invalid command 'nonsense'") > 0, "logged");
    assert_eq!(bouncer.logged("no tables here"), 0, "not worth a warning");
}

#[test]
fn psql_shows_the_screens() {
    let bouncer = start();
    for (command, word) in [
        ("show pools", "cl_waiting"),
        ("show stats", "total_xact_count"),
        ("show clients", "application_name"),
        ("show lists", "used_clients"),
        ("show databases", "pool_size"),
    ] {
        let mut psql = Command::new(tools().client.join("psql"));
        psql.args([
            "-X",
            "-h",
            "127.0.0.1",
            "-p",
            &bouncer.port.to_string(),
            "-U",
            "stats",
        ])
        .args(["pgbouncer", "-c", command]);
        let (status, out, error) = output_of(&mut psql);
        assert!(
            status.success() && out.contains(word),
            "{command}: {out} {error}"
        );
    }
}

#[test]
fn the_extended_protocol_works_for_commands_without_parameters() {
    // PgBouncer refuses it; Npgsql, pgx and others use nothing else (surface 3.1).
    only_pgweir!();
    let bouncer = start();
    let mut console = bouncer.console();
    let reply = console.exchange(&extended("show version", &[]));
    assert_eq!(reply.rows.len(), 1, "{reply:?}");
    assert_eq!(console.ok("show state").rows.len(), 3);
}

#[test]
fn drivers_questions_are_answered() {
    let bouncer = start();
    let mut console = bouncer.console();
    for (name, value) in [
        ("client_encoding", "UTF-8"),
        ("default_transaction_isolation", "read committed"),
        ("standard_conforming_strings", "on"),
        ("datestyle", "ISO"),
        ("timezone", "GMT"),
    ] {
        assert_eq!(console.one(&format!("show {name}")), value);
    }
    let reply = console.ok("set client_encoding to 'UTF8'");
    assert_eq!(
        (reply.notices[0].text(), reply.tags[0].as_str()),
        ("SET ignored", "SET")
    );
    assert_eq!(console.ok("select version").rows.len(), 1);
    assert_eq!(console.ok("SHOW Version;").rows.len(), 1);
}
