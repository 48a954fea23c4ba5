//! The sidecar: what it needs, what it survives, and what it never disturbs.

use crate::support::{Authority, Bouncer, Pg, Running, frames};
use crate::{assert_soon, only_pgweir};

const CREATE: &str = "create role monitor login; grant pg_monitor to monitor";

fn metric(pooler: &Running, name: &str) -> Option<f64> {
    let text = pooler.http("/metrics");
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Started, and its metrics can be asked for.
fn started(bouncer: Bouncer) -> Running {
    let pooler = bouncer.start();
    assert_soon!(
        std::net::TcpStream::connect(("127.0.0.1", pooler.http_port)).is_ok(),
        "the HTTP port listens: {}",
        pooler.log()
    );
    pooler
}

fn is_up(pooler: &Running) -> bool {
    metric(pooler, "pgweir_sidecar_up") == Some(1.0)
}

fn watched(pg: &Pg) -> Bouncer {
    Bouncer::new(pg).own("monitor_user", "monitor")
}

fn unknown(pooler: &Running) -> String {
    let reply = pooler.show("show blocked");
    reply
        .rows
        .iter()
        .flatten()
        .flatten()
        .cloned()
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn without_a_monitor_user_nothing_is_asked() {
    only_pgweir!();
    let pg = Pg::start();
    let pooler = started(Bouncer::new(&pg));
    pooler.client().ok("select pg_sleep(0.6)");
    assert_soon!(
        unknown(&pooler).contains("set monitor_user"),
        "it says what to do: {}",
        unknown(&pooler)
    );
    assert!(!pg.log().contains("pgweir sidecar"), "{}", pg.log());
    let text = pooler.http("/metrics");
    assert!(!text.contains("pgweir_pg_"), "{text}");
    assert!(text.contains("pgweir_sidecar_up{"), "{text}");
}

#[test]
fn health_of_the_server_is_in_the_metrics() {
    only_pgweir!();
    let pg = Pg::start();
    pg.admin().ok(CREATE);
    pg.admin()
        .ok("create table wasted with (autovacuum_enabled = off) as \
         select g from generate_series(1, 5000) g");
    pg.admin().ok("delete from wasted where g > 1000");
    // Dead rows are looked at every five minutes only: they must be known before the first look.
    let dead = "select n_dead_tup from pg_stat_user_tables where relname = 'wasted'";
    assert_soon!(pg.ask(dead) == "4000", "PostgreSQL counts dead rows");
    let pooler = started(watched(&pg));
    assert_soon!(is_up(&pooler), "the sidecar logs in: {}", pooler.log());
    let limit = metric(&pooler, "pgweir_pg_connections_limit");
    assert_eq!(limit, Some(397.0), "{}", pooler.http("/metrics"));
    let server = format!("server=\"127.0.0.1:{}\"", pg.port);
    for name in [
        "pgweir_pg_blocks_hit_total",
        "pgweir_pg_blocks_read_total",
        "pgweir_pg_deadlocks_total",
        "pgweir_pg_database_size_bytes",
        "pgweir_pg_long_queries",
        "pgweir_pg_locks_waiting",
    ] {
        let series = format!("{name}{{{server},database=\"app\"}}");
        assert!(metric(&pooler, &series).is_some(), "{series}");
    }
    for name in [
        "pgweir_pg_wal_bytes_total",
        "pgweir_pg_connections{",
        "pgweir_sidecar_last_success_timestamp_seconds",
    ] {
        assert!(metric(&pooler, name) > Some(0.0), "{name}");
    }
    let checkpoints = format!("pgweir_pg_checkpoints_total{{{server},kind=\"requested\"}}");
    assert!(metric(&pooler, &checkpoints).is_some());
    let dead = format!(
        "pgweir_pg_table_dead_rows_ratio{{{server},database=\"app\",schema=\"public\",table=\"wasted\"}}"
    );
    assert_soon!(
        metric(&pooler, &dead) == Some(0.8),
        "{dead}: {}",
        pooler.http("/metrics")
    );
    assert_eq!(pooler.logged("WARNING sidecar"), 0, "{}", pooler.log());
    // The console judges the same figures.
    let state = |alert: &str| {
        let alerts = pooler.show("show alerts limit 100");
        alerts.cell("state", |row| row.get("alert") == alert)
    };
    assert_soon!(
        state("dead_rows").as_deref() == Some("WARNING"),
        "{:?}",
        pooler.show("show alerts limit 100").rows
    );
    assert_eq!(state("sidecar_blind").as_deref(), Some("OK"));
    assert_eq!(state("pg_connections").as_deref(), Some("OK"));
}

#[test]
fn a_missing_privilege_is_named_and_may_come_later() {
    only_pgweir!();
    let pg = Pg::start();
    pg.admin().ok("create role monitor login");
    let pooler = started(watched(&pg));
    assert_soon!(
        unknown(&pooler).contains("GRANT pg_monitor TO monitor"),
        "the console names it: {}",
        unknown(&pooler)
    );
    assert_soon!(is_up(&pooler), "up all the same: {}", pooler.log());
    assert_eq!(metric(&pooler, "pgweir_pg_locks_waiting"), None);
    assert!(metric(&pooler, "pgweir_pg_blocks_hit_total").is_some());
    assert_soon!(pooler.logged("GRANT pg_monitor") == 1, "{}", pooler.log());
    pg.admin().ok("grant pg_monitor to monitor");
    // Something old makes it look again at once.
    pooler.client().ok("select pg_sleep(1)");
    assert_soon!(
        !unknown(&pooler).contains("GRANT"),
        "it sees: {}",
        unknown(&pooler)
    );
    assert_eq!(pooler.logged("GRANT pg_monitor"), 1, "{}", pooler.log());
}

#[test]
fn a_login_that_fails_is_told_once_and_disturbs_nobody() {
    only_pgweir!();
    let pg = Pg::start();
    let pooler = Bouncer::new(&pg)
        .own("monitor_user", "scram_user")
        .own("monitor_password", "wrong");
    let pooler = started(pooler);
    let failed = || {
        pg.log()
            .matches("password authentication failed for user \"scram_user\"")
            .count()
    };
    assert_soon!(failed() >= 3, "it tries again: {}", pg.log());
    assert_eq!(pooler.client().one("select 7"), "7");
    assert_soon!(
        pooler.logged("WARNING sidecar of") == 1,
        "one warning: {}",
        pooler.log()
    );
    assert_eq!(metric(&pooler, "pgweir_sidecar_up"), Some(0.0));
    assert!(metric(&pooler, "pgweir_sidecar_errors_total{") >= Some(3.0));
    assert!(!pooler.log().contains("wrong"), "{}", pooler.log());
    pg.admin().ok("grant pg_monitor to scram_user");
    pg.admin()
        .ok("set password_encryption = 'scram-sha-256'; alter role scram_user password 'wrong'");
    assert_soon!(is_up(&pooler), "it comes back: {}", pooler.log());
}

#[test]
fn the_userlist_has_the_password() {
    only_pgweir!();
    let pg = Pg::start();
    pg.admin().ok("grant pg_monitor to scram_user");
    let pooler = started(Bouncer::new(&pg).own("monitor_user", "scram_user"));
    assert_soon!(is_up(&pooler), "it logs in: {}", pooler.log());
}

#[test]
fn no_password_where_one_is_wanted_is_explained() {
    only_pgweir!();
    let pg = Pg::start();
    let pooler = Bouncer::new(&pg)
        .own("monitor_user", "scram_user")
        .userlist("\"app\" \"app-secret\"\n\"admin\" \"admin-secret\"\n");
    let pooler = started(pooler);
    assert_soon!(
        pooler.logged("set monitor_password") == 1,
        "it says so: {}",
        pooler.log()
    );
}

#[test]
fn postgresql_may_go_and_come_back() {
    only_pgweir!();
    let pg = Pg::start();
    pg.admin().ok(CREATE);
    let pooler = started(watched(&pg));
    assert_soon!(is_up(&pooler), "up: {}", pooler.log());
    pg.stop(libc::SIGINT);
    assert_soon!(!is_up(&pooler), "down: {}", pooler.log());
    assert!(unknown(&pooler).contains("unknown"), "{}", unknown(&pooler));
    assert_eq!(metric(&pooler, "pgweir_pg_connections_limit"), None);
    pg.launch();
    assert_soon!(is_up(&pooler), "up again: {}", pooler.log());
    assert_soon!(pooler.logged("asks again") == 1, "{}", pooler.log());
    assert_eq!(pooler.client().one("select 7"), "7");
}

#[test]
fn a_hung_question_is_cancelled() {
    only_pgweir!();
    let pg = Pg::start();
    pg.admin().ok(CREATE);
    let pooler = started(watched(&pg));
    assert_soon!(is_up(&pooler), "up: {}", pooler.log());
    let backend = "select pid from pg_stat_activity where application_name = 'pgweir sidecar' \
                   and datname = 'postgres'";
    let pid: i32 = pg.ask(backend).parse().expect("a pid");
    // SAFETY: plain integers; the pid was read a moment ago.
    unsafe { libc::kill(pid, libc::SIGSTOP) };
    let mut client = pooler.client();
    client.put(&frames::query("select pg_sleep(60)"));
    assert_soon!(
        pooler.logged("cancelled") == 1,
        "given up: {}",
        pooler.log()
    );
    // SAFETY: as above.
    unsafe { libc::kill(pid, libc::SIGCONT) };
    assert_soon!(
        pg.log().contains("canceling statement due to user request")
            || pg.ask(&format!(
                "select count(*) from pg_stat_activity where pid = {pid}"
            )) == "0",
        "PostgreSQL was told: {}",
        pg.log()
    );
    assert_soon!(is_up(&pooler), "it goes on: {}", pooler.log());
    assert_eq!(pooler.client().one("select 7"), "7");
}

#[test]
fn no_database_is_held() {
    only_pgweir!();
    let pg = Pg::start();
    pg.admin().ok(CREATE);
    let name = pg.database();
    let bouncer = watched(&pg);
    let file = bouncer.file(
        "queries.ini",
        &format!("[often]\ninterval = 1\ntimeout = 1\ndatabase = {name}\nsql = select 1 as n\n"),
    );
    let pooler = started(bouncer.own("custom_queries_file", file));
    let series = format!(
        "often_n{{server=\"127.0.0.1:{}\",database=\"{name}\"}}",
        pg.port
    );
    assert_soon!(
        metric(&pooler, &series) == Some(1.0),
        "asked: {}",
        pooler.log()
    );
    // PostgreSQL waits five seconds for others to leave by themselves.
    pg.admin().ok(&format!("drop database {name}"));
    assert_soon!(
        metric(&pooler, &series).is_none(),
        "what is gone has no value: {}",
        pooler.http("/metrics")
    );
    assert!(is_up(&pooler));
}

#[test]
fn custom_queries_become_series_and_a_bad_one_stands_alone() {
    only_pgweir!();
    let pg = Pg::start();
    pg.admin().ok(CREATE);
    pg.admin()
        .ok("create table herd (kind text, n int); grant select on herd to monitor");
    pg.admin()
        .ok("insert into herd values ('cow', 7), ('goat', 2)");
    let bouncer = watched(&pg);
    let file = bouncer.file(
        "queries.ini",
        "[herd]\nhelp = Animals\ninterval = 1\ntimeout = 1\ndatabase = app\n\
         column.kind = label\ncolumn.n = counter Heads\nsql = select kind, n from herd -- all\n\
         [missing]\ninterval = 1\ntimeout = 1\ndatabase = app\nsql = select n from nowhere\n\
         [worded]\ninterval = 1\ntimeout = 1\nsql = select 'many' as n\n\
         [two]\ninterval = 1\ntimeout = 1\nsql = select 1 as n; drop table herd\n\
         [writing]\ninterval = 1\ntimeout = 1\ndatabase = app\n\
         sql = with x as (delete from herd returning 1) select count(*) as n from x\n\
         [slow]\ninterval = 1\ntimeout = 0.2\nsql = select 1 as n from pg_sleep(5)\n\
         [rows]\ninterval = 1\ntimeout = 1\nmax_rows = 3\ncolumn.g = label\n\
         sql = select g, g as n from generate_series(1, 10) g\n",
    );
    let pooler = started(bouncer.own("custom_queries_file", file));
    let own = format!("server=\"127.0.0.1:{}\",database=\"app\"", pg.port);
    let cows = format!("herd_n{{{own},kind=\"cow\"}}");
    assert_soon!(metric(&pooler, &cows) == Some(7.0), "{}", pooler.log());
    assert!(
        pooler
            .http("/metrics")
            .contains("# HELP herd_n Heads\n# TYPE herd_n counter")
    );
    let rows = || pooler.http("/metrics").matches("\nrows_n{").count();
    assert_soon!(rows() == 3, "{}", pooler.http("/metrics"));
    for (query, reason) in [
        ("missing", "refused"),
        ("worded", "not_a_number"),
        ("two", "refused"),
        ("writing", "refused"),
        ("slow", "timeout"),
    ] {
        let series = format!(
            "pgweir_sidecar_errors_total{{server=\"127.0.0.1:{}\",query=\"{query}\",reason=\"{reason}\"}}",
            pg.port
        );
        assert_soon!(
            metric(&pooler, &series) >= Some(2.0),
            "{series}: {}",
            pooler.log()
        );
        assert_eq!(metric(&pooler, &format!("{query}_n")), None);
        let told = format!(": {query} (");
        assert_eq!(pooler.logged(&told), 1, "once: {}", pooler.log());
    }
    pg.admin().ok("update herd set n = 8 where kind = 'cow'");
    assert_soon!(metric(&pooler, &cows) == Some(8.0), "it goes on");
    assert_eq!(pg.ask("select count(*) from herd"), "2");
}

#[test]
fn tls_and_unix_sockets_are_used_as_for_the_pools() {
    only_pgweir!();
    let authority = Authority::new("root");
    let pg = Pg::with_tls(&authority);
    pg.admin().ok(CREATE);
    let bouncer = watched(&pg);
    let ca = bouncer.file("ca.crt", &authority.pem);
    let pooler = bouncer
        .set("server_tls_sslmode", "verify-full")
        .set("server_tls_ca_file", ca)
        .database(format!(
            "local = host={} port={} dbname=app",
            pg.socket_dir().display(),
            pg.port
        ));
    let pooler = started(pooler);
    assert_soon!(
        pooler
            .http("/metrics")
            .matches("pgweir_sidecar_up{")
            .count()
            == 2
            && pooler
                .http("/metrics")
                .lines()
                .filter(|line| line.starts_with("pgweir_sidecar_up{"))
                .all(|line| line.ends_with(" 1")),
        "both are up: {}",
        pooler.log()
    );
    let tls = "select count(*) from pg_stat_ssl s join pg_stat_activity a using (pid) \
               where a.application_name = 'pgweir sidecar' and s.ssl";
    assert_eq!(pg.ask(tls), "1");
}

#[test]
fn a_reload_starts_and_ends_it() {
    only_pgweir!();
    let pg = Pg::start();
    pg.admin().ok(CREATE);
    let pooler = started(watched(&pg));
    assert_soon!(is_up(&pooler), "up: {}", pooler.log());
    let sidecars =
        "select count(*) from pg_stat_activity where application_name = 'pgweir sidecar'";
    // Another address of the same server: the first one is left.
    let other = format!("* = host=localhost port={}", pg.port);
    pooler.reload(|ini| ini.only_databases(&[&other]));
    let line = format!("pgweir_sidecar_up{{server=\"localhost:{}\"}} 1", pg.port);
    assert_soon!(pooler.http("/metrics").contains(&line), "{}", pooler.log());
    assert!(!pooler.http("/metrics").contains("server=\"127.0.0.1"));
    assert_soon!(pg.ask(sidecars) == "1", "one is left");
}

#[test]
fn check_tells_whether_the_role_will_do() {
    only_pgweir!();
    let pg = Pg::start();
    pg.admin().ok("create role monitor login");
    let check = || watched(&pg).argument("--check").start_to_end().text;
    let server = format!("127.0.0.1:{}", pg.port);
    let text = check();
    assert!(
        text.contains(&format!(
            "{server}: monitor logs in and sees too little: GRANT pg_monitor TO monitor"
        )),
        "{text}"
    );
    pg.admin().ok("grant pg_monitor to monitor");
    let text = check();
    assert!(
        text.contains(&format!(
            "{server}: monitor logs in and may see all sessions"
        )),
        "{text}"
    );
    let text = Bouncer::new(&pg)
        .own("monitor_user", "nologin_user")
        .argument("--check")
        .start_to_end()
        .text;
    assert!(text.contains("nologin_user cannot be used:"), "{text}");
}
