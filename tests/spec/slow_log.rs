//! The slow log, and what pgbadger reads in it (ours; PgBouncer has none).

use crate::support::frames::{extended, query};
use crate::support::programs::{find, json_leaves};
use crate::support::{Bouncer, Pg, Workdir, output_of};
use crate::{assert_soon, only_pgweir};
use pgweir::config::SlowLogFormat;
use pgweir::daemon::log::{SlowLine, SlowLog, SlowLogConfig, SlowParts};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const PREFIX: &str = "%m [%p] %q%u@%d,app=%a,client=%h";

/// Odoo's, psql's and a report's statements, as the redactor leaves them; some have lines, quotes
/// and words that a reader of logs may stumble over.
const TEXTS: [&str; 6] = [
    "SELECT \"res_users\".\"id\" FROM \"res_users\" WHERE (\"res_users\".\"login\" = '?') LIMIT 0",
    "UPDATE \"stock_quant\" SET \"quantity\" = 0, \"write_date\" = '?' WHERE id IN (0)",
    "SELECT a.name,\n       b.name AS breed_name\nFROM farm.animal a\n\tJOIN farm.breed b ON b.id = a.breed_id",
    "INSERT INTO \"mail_message\" (\"body\") VALUES ('?')",
    "/* LOG:  duration: 1 ms  statement: nothing */ DELETE FROM bus_bus WHERE create_date < '?'",
    "SELECT 100 % 0 AS \"%m [%p]\", 'ünïcode ?' -- DETAIL:  none",
];
const PEOPLE: [(&str, &str, &str, &str); 4] = [
    ("odoo_app", "smart_dairy_prod", "odoo-2211", "10.0.3.7"),
    ("odoo_app", "smart_dairy_prod", "odoo-2219", "10.0.3.8"),
    ("hotel", "hotel", "psql", ""),
    ("report", "smart_dairy_analytics", "", "::1"),
];

fn lines() -> Vec<SlowLine> {
    (0..120_u64)
        .map(|n| {
            let (user, database, application, host) = PEOPLE[n as usize % PEOPLE.len()];
            let server = 500.0 + (n * n) as f64 * 1.5;
            SlowLine {
                ended: 1_795_190_400_000_000 + n * 1_250_000,
                pid: 20_000 + (n % 7) as i32,
                user: user.to_owned(),
                database: database.to_owned(),
                application: application.to_owned(),
                client_host: host.to_owned(),
                client_port: 40_000,
                session: n,
                duration_ms: server + 0.25,
                parts: SlowParts {
                    server,
                    transfer: 0.25,
                    ..SlowParts::default()
                },
                rows: n,
                sqlstate: "00000".to_owned(),
                fingerprint: n % 6,
                text: TEXTS[n as usize % TEXTS.len()].to_owned(),
                tags: Vec::new(),
            }
        })
        .collect()
}

fn write(dir: &Workdir, format: SlowLogFormat) -> std::path::PathBuf {
    let path = dir.join("slow.log");
    let log = SlowLog::open(&SlowLogConfig {
        file: Some(path.clone()),
        format,
        prefix: PREFIX.to_owned(),
        rate: 0,
    })
    .unwrap();
    for line in lines() {
        log.write(&line);
    }
    log.flush();
    assert_eq!((log.lines(), log.suppressed()), (120, 0));
    path
}

/// pgbadger's report as leaves of its JSON.
fn report(dir: &Workdir, log: &Path, format: &[&str]) -> BTreeMap<String, String> {
    let out = dir.join("report.json");
    let mut command = Command::new(find("pgbadger"));
    command
        .args(["-q", "-x", "json", "-o"])
        .arg(&out)
        .arg("--pid-dir")
        .arg(dir.path())
        .args(format)
        .arg(log);
    let (status, said, error) = output_of(&mut command);
    assert!(status.success(), "pgbadger: {said}{error}");
    json_leaves(&out, false).into_iter().collect()
}

/// Sum of the durations and count of those that `wanted` holds for.
fn expected(wanted: impl Fn(&SlowLine) -> bool) -> (u64, f64) {
    lines()
        .iter()
        .filter(|line| wanted(line))
        .fold((0, 0.0), |(count, sum), line| {
            (count + 1, sum + line.duration_ms)
        })
}

fn assert_reported(report: &BTreeMap<String, String>, path: &str, (count, sum): (u64, f64)) {
    let number = |leaf: &str| -> f64 {
        let path = format!("{path}/{leaf}");
        let value = report.get(&path);
        value
            .and_then(|value| value.parse().ok())
            .unwrap_or_else(|| panic!("{path}: {value:?}"))
    };
    assert_eq!(number("count"), count as f64, "{path}");
    let seen = number("duration");
    assert!((seen - sum).abs() < 0.01, "{path}: {seen} and not {sum}");
}

fn assert_same_figures(report: &BTreeMap<String, String>, addresses: &[(&str, &str)]) {
    assert_eq!(report["overall_stat/queries_number"], "120");
    for database in ["smart_dairy_prod", "hotel", "smart_dairy_analytics"] {
        let path = format!("database_info/postgres/{database}");
        assert_reported(report, &path, expected(|line| line.database == database));
    }
    for user in ["odoo_app", "hotel", "report"] {
        let path = format!("user_info/postgres/{user}");
        assert_reported(report, &path, expected(|line| line.user == user));
    }
    for (address, host) in addresses {
        let path = format!("host_info/postgres/{address}");
        assert_reported(report, &path, expected(|line| line.client_host == *host));
    }
    let path = "application_info/postgres/odoo-2211";
    assert_reported(report, path, expected(|l| l.application == "odoo-2211"));
    // One group per text: nothing of a statement was taken for the beginning of another line.
    let groups: Vec<f64> = report
        .iter()
        .filter(|(path, _)| {
            path.starts_with("normalyzed_info/postgres/") && path.ends_with(";/count")
        })
        .map(|(_, count)| count.parse().unwrap())
        .collect();
    assert_eq!(groups, [20.0; 6], "{:?}", report.keys().collect::<Vec<_>>());
}

#[test]
fn pgbadger_reads_the_same_counts_users_databases_and_durations() {
    let dir = Workdir::new("slow");
    let log = write(&dir, SlowLogFormat::Stderr);
    let prefix = format!("{PREFIX} ");
    let addresses = [("10.0.3.7", "10.0.3.7"), ("[local]", ""), ("::1", "::1")];
    let report = report(&dir, &log, &["-f", "stderr", "-p", &prefix]);
    assert_same_figures(&report, &addresses);
}

#[test]
fn pgbadger_reads_the_json_form_too() {
    let dir = Workdir::new("slow");
    let log = write(&dir, SlowLogFormat::Json);
    let lines = json_leaves(&log, true);
    let parts = lines
        .iter()
        .filter(|(path, _)| path.ends_with("/server_ms"));
    assert_eq!(parts.count(), 120, "each line is a document of its own");
    // pgbadger 12 cuts an IPv6 address at its first colon in this format.
    let addresses = [("10.0.3.7", "10.0.3.7"), ("[local]", "")];
    assert_same_figures(&report(&dir, &log, &["-f", "jsonlog"]), &addresses);
}

#[test]
fn pgbadger_and_show_slow_agree_about_real_statements() {
    only_pgweir!();
    let pg = Pg::shared();
    let databases = [pg.database(), pg.database()];
    let dir = Workdir::new("slow");
    let log = dir.write("slow.log", "");
    let bouncer = Bouncer::new(pg)
        .own("slow_statement_ms", 50)
        .own("slow_log_file", log.display())
        .start();
    for (database, user, times) in [
        (&databases[0], "app", 3),
        (&databases[0], "other", 1),
        (&databases[1], "app", 2),
    ] {
        let mut client = bouncer.login().user(user).database(database).connect();
        client.ok("set application_name = 'odoo-7'");
        for _ in 0..times {
            client.ok("select pg_sleep(0.1),\n  'secret', $$it's me$$");
            client.one("select 1");
        }
    }
    let slow = || bouncer.show("show slow limit 100");
    assert_soon!(slow().rows.len() == 6, "six slow ones: {:?}", slow().rows);
    let text = || std::fs::read_to_string(&log).unwrap();
    assert_soon!(
        text().matches("statement: ").count() == 6,
        "six in the file: {}",
        text()
    );
    assert!(
        !text().contains("secret") && !text().contains('$'),
        "{}",
        text()
    );
    let report = report(&dir, &log, &["-f", "stderr", "-p", &format!("{PREFIX} ")]);
    assert_eq!(report["overall_stat/queries_number"], "6");
    let shown = slow();
    let sum: f64 = shown
        .table()
        .map(|row| row.get("server_ms").parse::<f64>().unwrap())
        .sum();
    let of = |kind: &str, name: &str, leaf: &str| -> f64 {
        report[&format!("{kind}/postgres/{name}/{leaf}")]
            .parse()
            .unwrap()
    };
    assert_eq!(of("database_info", &databases[0], "count"), 4.0);
    assert_eq!(of("database_info", &databases[1], "count"), 2.0);
    assert_eq!(of("user_info", "app", "count"), 5.0);
    assert_eq!(of("user_info", "other", "count"), 1.0);
    assert_eq!(of("host_info", "127.0.0.1", "count"), 6.0);
    assert_eq!(of("application_info", "odoo-7", "count"), 6.0);
    let total: f64 = databases
        .iter()
        .map(|database| of("database_info", database, "duration"))
        .sum();
    // SHOW SLOW rounds to whole milliseconds.
    assert!(
        (total - sum).abs() <= 6.0,
        "{total} in pgbadger, {sum} in SHOW SLOW"
    );
}

#[test]
fn what_is_slow_is_written_without_constants_and_without_those_who_may_be_slow() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let dir = Workdir::new("slowlog");
    let path = dir.join("slow.log");
    // The writer is the pooler, which may be another account.
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).expect("chmod");
    let bouncer = Bouncer::new(pg)
        .own("slow_statement_ms", 20)
        .own("slow_ignore_users", "scram_user")
        .own("slow_log_file", path.display())
        .start();
    let mut client = bouncer.client_of(&database);
    for name in ["it''s", "Ada"] {
        client.ok(&format!(
            "select pg_sleep(0.03), '{name}' as who /*route='%2Fweb',secret='x'*/"
        ));
    }
    client.exchange(&extended("select pg_sleep($1::float8)", &["0.03"]));
    client.ok("select 'quick'");
    client.ok("create table t as select pg_sleep(0.03)::text as c");
    client.put(&query("copy (select pg_sleep(0.05)) to stdout"));
    client.until_ready();
    let mut ignored = bouncer
        .login()
        .user("scram_user")
        .database(&database)
        .connect();
    ignored.ok("select pg_sleep(0.03) as ignored");

    assert_eq!(bouncer.show("show slow limit all").rows.len(), 4);
    let written = || std::fs::read_to_string(&path).unwrap_or_default();
    crate::assert_soon!(written().matches("duration:").count() >= 4, "four lines");
    let log = written();
    assert_eq!(log.matches("duration:").count(), 4, "{log}");
    assert!(
        !log.contains("Ada") && !log.contains("quick") && !log.contains("ignored"),
        "{log}"
    );
    assert!(
        log.contains("  route: /web") && !log.contains("secret"),
        "{log}"
    );
    assert!(log.contains("'?'") && !log.contains("$2"), "{log}");

    let told = || bouncer.http("/metrics");
    assert_soon!(
        told().contains("pgweir_slow_log_lines_total 4"),
        "{}",
        told()
    );
}
