//! pgweir beside PgBouncer: same machine, same PostgreSQL, same settings, runs that alternate.
//!
//! `cargo bench --bench side_by_side -- [--quick] [--only NAME,..] [--rounds N] [--seconds N]
//! [--pgweir PATH] [--pgbouncer PATH] [--trust] [--lanes 1,all] [--insight] [--list]`
//!
//! `--list` shows the workloads and runs nothing; `--quick` is 3 rounds of 3 s without counting
//! system calls; `--trust` is no passwords; `--lanes` has one contender for each value.
//! A pgweir with `keep_unnamed = 1` (and the first of `--lanes`) takes part where `--list` says so.
//!
//! Prints two Markdown tables of ratios pgweir : PgBouncer (median, and the range over the rounds):
//! what the pooler costs, and what pooler and PostgreSQL cost together. With `--insight` they are
//! of pgweir with insight on : off.
//! CPU is what the kernel accounts to the processes (for PostgreSQL: the postmaster, its children
//! and those it has reaped), divided by the transactions pgbench counted between the same two
//! moments; logins are over by then, except where they are what is measured.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "side_by_side/measure.rs"]
mod measure;
#[path = "side_by_side/report.rs"]
mod report;
#[path = "../tests/spec/support/mod.rs"]
mod support;
#[path = "side_by_side/workload.rs"]
mod workload;

use measure::Sample;
use std::path::PathBuf;
use std::process::Command;
use support::{Authority, Bouncer, Login, Pg, RawClient, Running};
use workload::{Kind, Workload};

/// What the command line asks for.
pub struct Options {
    pub rounds: usize,
    pub seconds: u32,
    pub only: Vec<String>,
    pub pgweir: PathBuf,
    pub pgbouncer: Option<PathBuf>,
    pub lanes: Vec<String>,
    pub trust: bool,
    pub insight: bool,
    pub idle_clients: usize,
    pub syscalls: bool,
}

fn options() -> Option<Options> {
    let mut all = Options {
        rounds: 5,
        seconds: 5,
        only: Vec::new(),
        pgweir: PathBuf::from(env!("CARGO_BIN_EXE_pgweir")),
        pgbouncer: None,
        lanes: vec!["1".into(), "all".into()],
        trust: false,
        insight: false,
        idle_clients: 2000,
        syscalls: true,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .unwrap_or_else(|| panic!("{word} needs a value"))
        };
        match word.as_str() {
            "--bench" => {}
            "--quick" => (all.rounds, all.seconds, all.syscalls) = (3, 3, false),
            "--only" => all.only = value().split(',').map(str::to_owned).collect(),
            "--rounds" => all.rounds = value().parse().expect("a number"),
            "--seconds" => all.seconds = value().parse().expect("a number"),
            "--pgweir" => all.pgweir = value().into(),
            "--pgbouncer" => all.pgbouncer = Some(value().into()),
            "--lanes" => all.lanes = value().split(',').map(str::to_owned).collect(),
            "--trust" => all.trust = true,
            "--insight" => all.insight = true,
            "--list" => {
                for workload in workload::all() {
                    let kept = if workload.is_run_kept() {
                        "; also with keep_unnamed = 1"
                    } else {
                        ""
                    };
                    println!("{:12} {}{kept}", workload.name, workload.title);
                }
                return None;
            }
            other => panic!("unknown option {other}; see the top of benches/side_by_side.rs"),
        }
    }
    Some(all)
}

/// One pooler that takes part.
pub struct Contender {
    pub name: String,
    binary: PathBuf,
    own: bool,
    /// Lines of `[pgweir]`.
    settings: Vec<(&'static str, String)>,
    /// Which workloads it takes part in.
    joins: fn(&Workload) -> bool,
}

/// The setting for a value of `--lanes`; `all` is the default.
fn lanes_setting(lanes: &str) -> Vec<(&'static str, String)> {
    match lanes {
        "all" => Vec::new(),
        _ => vec![("lanes", lanes.to_owned())],
    }
}

fn contenders(options: &Options) -> Vec<Contender> {
    if options.insight {
        let pgweir = |insight: u8| Contender {
            name: format!("pgweir, lanes = 1, insight = {insight}"),
            binary: options.pgweir.clone(),
            own: true,
            settings: vec![("lanes", "1".to_owned()), ("insight", insight.to_string())],
            joins: |_| true,
        };
        return vec![pgweir(0), pgweir(1)];
    }
    let pgbouncer = options.pgbouncer.clone().unwrap_or_else(newest_pgbouncer);
    let mut all = vec![Contender {
        name: measure::first_line(Command::new(&pgbouncer).arg("-V")),
        binary: pgbouncer,
        own: false,
        settings: Vec::new(),
        joins: |_| true,
    }];
    let version = measure::first_line(Command::new(&options.pgweir).arg("-V"));
    let own = version.contains("pgweir") || !version.starts_with("PgBouncer");
    for lanes in &options.lanes {
        all.push(Contender {
            name: if own {
                format!("pgweir, lanes = {lanes}")
            } else {
                version.clone()
            },
            binary: options.pgweir.clone(),
            own,
            settings: lanes_setting(lanes),
            joins: |_| true,
        });
    }
    if let (true, Some(lanes)) = (own, options.lanes.first()) {
        let mut settings = lanes_setting(lanes);
        settings.push(("keep_unnamed", "1".to_owned()));
        all.push(Contender {
            name: format!("pgweir, lanes = {lanes}, keep_unnamed = 1"),
            binary: options.pgweir.clone(),
            own,
            settings,
            joins: Workload::is_run_kept,
        });
    }
    all
}

/// The newest PgBouncer a Debian release offers, else the installed one.
fn newest_pgbouncer() -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/pgbouncer.sh");
    for suite in ["sid", "trixie", "system"] {
        let out = Command::new("bash")
            .args([script, suite])
            .output()
            .expect("bash");
        if out.status.success() {
            return PathBuf::from(String::from_utf8_lossy(&out.stdout).trim());
        }
        eprintln!("{}", String::from_utf8_lossy(&out.stderr).trim());
    }
    panic!("no PgBouncer to compare with");
}

impl Contender {
    fn start(&self, pg: &Pg, options: &Options, tls: Option<&Authority>) -> Running {
        let auth = if options.trust {
            "trust"
        } else {
            "scram-sha-256"
        };
        let mut bouncer = Bouncer::new(pg)
            .binary(&self.binary, self.own)
            .set("auth_type", auth)
            .set("server_tls_sslmode", "disable")
            .set("max_client_conn", 5000)
            .set("max_prepared_statements", 200)
            .pool_size(20)
            .open_files(8192);
        for (key, value) in &self.settings {
            bouncer = bouncer.own(key, value);
        }
        if let Some(authority) = tls {
            let (cert, key) = authority.sign("localhost");
            let (cert, key) = (
                bouncer.file("server.crt", &cert),
                bouncer.file("server.key", &key),
            );
            bouncer = bouncer
                .set("client_tls_sslmode", "require")
                .set("client_tls_cert_file", cert)
                .set("client_tls_key_file", key);
        }
        bouncer.start()
    }
}

fn main() {
    let Some(options) = options() else { return };
    raise_file_limit();
    let mut contenders = contenders(&options);
    let pg = Pg::with("max_connections = 200\nshared_buffers = 256MB\n");
    workload::prepare(&pg);
    let authority = Authority::new("bench");
    let chosen: Vec<Workload> = workload::all()
        .into_iter()
        .filter(|w| options.only.is_empty() || options.only.contains(&w.name))
        .collect();
    assert!(
        !chosen.is_empty(),
        "no workload of that name; --list shows them"
    );
    contenders.retain(|contender| chosen.iter().any(contender.joins));
    println!("{}", report::heading(&pg, &contenders, &options));
    let mut rows = Vec::new();
    for workload in &chosen {
        let row = match workload.kind {
            Kind::Idle => idle(&pg, &contenders, &options, workload),
            _ => alternate(&pg, &contenders, &options, workload, &authority),
        };
        eprintln!("{}", report::line(&row));
        rows.push(row);
    }
    println!("{}", report::table(&contenders, &rows));
    println!("{}", report::sums(&contenders, &rows));
}

fn raise_file_limit() {
    let both = libc::rlimit {
        rlim_cur: 16_384,
        rlim_max: 16_384,
    };
    // SAFETY: a valid struct; failing only means that fewer idle clients fit.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &both) };
}

/// Runs one workload through every pooler in turn, `rounds` times.
fn alternate(
    pg: &Pg,
    contenders: &[Contender],
    options: &Options,
    workload: &Workload,
    authority: &Authority,
) -> report::Row {
    let tls = workload.tls.then_some(authority);
    let running: Vec<Option<Running>> = contenders
        .iter()
        .map(|c| (c.joins)(workload).then(|| c.start(pg, options, tls)))
        .collect();
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); contenders.len()];
    for round in 0..options.rounds {
        for step in 0..running.len() {
            // Each round begins with another pooler: nobody is always the one after a checkpoint.
            let who = (round + step) % running.len();
            let Some(pooler) = &running[who] else {
                continue;
            };
            let sample = measure::run(pg, pooler, workload, options.seconds);
            eprintln!(
                "  {} round {round} {}: {sample}",
                workload.name, contenders[who].name
            );
            samples[who].push(sample);
        }
    }
    let is_counted = options.syscalls && workload.count_syscalls;
    let syscalls = running
        .iter()
        .map(|pooler| measure::syscalls(pooler.as_ref().filter(|_| is_counted)?, workload))
        .collect();
    report::Row {
        title: workload.title.clone(),
        idle: false,
        samples,
        syscalls,
    }
}

/// Resident memory per client that has run one query and then says nothing.
fn idle(pg: &Pg, contenders: &[Contender], options: &Options, workload: &Workload) -> report::Row {
    let mut samples: Vec<Vec<Sample>> = Vec::new();
    for contender in contenders {
        if !(contender.joins)(workload) {
            samples.push(Vec::new());
            continue;
        }
        let pooler = contender.start(pg, options, None);
        let login = || Login::new(pooler.port).user("scram_user");
        let mut first: Vec<RawClient> = (0..20).map(|_| login().connect()).collect();
        first
            .iter_mut()
            .for_each(|client| drop(client.one("select 1")));
        let before = pooler.rss_kb();
        let mut clients: Vec<RawClient> = Vec::new();
        for _ in 0..options.idle_clients {
            let mut client = login().connect();
            client.one("select 1");
            clients.push(client);
        }
        let grown = pooler.rss_kb().saturating_sub(before);
        let bytes = grown as f64 * 1024.0 / options.idle_clients as f64;
        eprintln!(
            "  {} {}: {bytes:.0} bytes per idle client",
            workload.name, contender.name
        );
        samples.push(vec![Sample {
            rss_per_client: bytes,
            ..Sample::default()
        }]);
    }
    report::Row {
        title: format!("{} ({} clients)", workload.title, options.idle_clients),
        idle: true,
        syscalls: vec![None; contenders.len()],
        samples,
    }
}
