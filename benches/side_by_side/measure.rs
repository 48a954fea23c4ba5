//! One run of pgbench and what it cost, read from /proc.

use crate::support::{Pg, Running, tools};
use crate::workload::Workload;
use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Costs per transaction of one run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    pub tps: f64,
    /// CPU of the pooler in microseconds.
    pub pooler_user: f64,
    pub pooler_system: f64,
    /// CPU of all PostgreSQL processes in microseconds.
    pub postgres: f64,
    pub switches: f64,
    pub rss_per_client: f64,
    /// Transactions that pgbench counted as failed, in the whole run.
    pub failed: u64,
}

impl Sample {
    pub fn pooler(&self) -> f64 {
        self.pooler_user + self.pooler_system
    }

    /// CPU of pooler and PostgreSQL together.
    pub fn sum(&self) -> f64 {
        self.pooler() + self.postgres
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} tps, pooler {:.2} us ({:.2} user, {:.2} system), PostgreSQL {:.1} us, {:.2} switches",
            self.tps,
            self.pooler(),
            self.pooler_user,
            self.pooler_system,
            self.postgres,
            self.switches
        )?;
        match self.failed {
            0 => Ok(()),
            failed => write!(f, ", {failed} FAILED transactions"),
        }
    }
}

/// Counters of one moment.
#[derive(Clone, Copy, Default)]
struct Snapshot {
    pooler_ns: u64,
    pooler_user_ticks: u64,
    pooler_system_ticks: u64,
    postgres_ns: u64,
    switches: u64,
}

impl Snapshot {
    fn take(pg: &Pg, pooler: &Running) -> Self {
        let (user, system) = ticks(pooler.pid());
        Self {
            pooler_ns: run_ns(pooler.pid()),
            pooler_user_ticks: user,
            pooler_system_ticks: system,
            postgres_ns: postgres_ns(pg.pid()),
            switches: switches(pooler.pid()),
        }
    }
}

/// Runs `workload` for a second of warming up and `seconds` that count.
pub fn run(pg: &Pg, pooler: &Running, workload: &Workload, seconds: u32) -> Sample {
    let mut pgbench = start(pooler, workload, seconds + 1);
    let lines = BufReader::new(pgbench.stderr.take().expect("a pipe"));
    let (mut first, mut last) = (Snapshot::default(), Snapshot::default());
    let (mut transactions, mut began, mut ended) = (0.0, None, 0.0);
    let mut failed_so_far = 0;
    let mut said = String::new();
    for line in lines.lines().map_while(Result::ok) {
        let Some((at, tps)) = progress(&line) else {
            said += &line;
            said.push('\n');
            continue;
        };
        let now = Snapshot::take(pg, pooler);
        failed_so_far += failed(&line);
        match began {
            None => (first, began) = (now, Some(at)),
            Some(_) => {
                transactions += tps * (at - ended);
                last = now;
            }
        }
        ended = at;
    }
    let status = pgbench.wait().expect("pgbench ends");
    assert!(
        status.success() && transactions > 0.0,
        "pgbench failed: {said}\n{}",
        pooler.log()
    );
    let per = |ns: u64| ns as f64 / 1000.0 / transactions;
    let pooler_us = per(last.pooler_ns - first.pooler_ns);
    let user = (last.pooler_user_ticks - first.pooler_user_ticks) as f64;
    let system = (last.pooler_system_ticks - first.pooler_system_ticks) as f64;
    let share = user / (user + system).max(1.0);
    Sample {
        tps: transactions / (ended - began.expect("a first line")),
        pooler_user: pooler_us * share,
        pooler_system: pooler_us * (1.0 - share),
        postgres: per(last.postgres_ns.saturating_sub(first.postgres_ns)),
        switches: (last.switches - first.switches) as f64 / transactions,
        rss_per_client: 0.0,
        failed: failed_so_far,
    }
}

fn start(pooler: &Running, workload: &Workload, seconds: u32) -> std::process::Child {
    let script = pooler.dir().join("workload.sql");
    Command::new(tools().client.join("pgbench"))
        .args(workload.arguments(&script))
        .args([
            "-T",
            &seconds.to_string(),
            "-P",
            "1",
            "-h",
            "127.0.0.1",
            "-U",
            "scram_user",
        ])
        .args(["-p", &pooler.port.to_string(), "app"])
        .env("PGPASSWORD", "scram-secret")
        .env(
            "PGSSLMODE",
            if workload.tls { "require" } else { "disable" },
        )
        .env("PGGSSENCMODE", "disable")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("pgbench")
}

/// `progress: 2.0 s, 12345.6 tps, lat ...`: moment and rate since the line before.
fn progress(line: &str) -> Option<(f64, f64)> {
    let rest = line.strip_prefix("progress: ")?;
    let (at, rest) = rest.split_once(" s, ")?;
    let (tps, _) = rest.split_once(" tps")?;
    Some((at.parse().ok()?, tps.parse().ok()?))
}

/// `..., 3 failed` in a progress line: failed transactions since the line before; only pgbench 15
/// and later say it.
fn failed(line: &str) -> u64 {
    line.split(", ")
        .find_map(|part| part.trim().strip_suffix(" failed")?.parse().ok())
        .unwrap_or(0)
}

/// Nanoseconds on a CPU, summed over all threads.
fn run_ns(pid: i32) -> u64 {
    per_thread(pid, "schedstat", |text| {
        text.split_whitespace()
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(0)
    })
}

fn switches(pid: i32) -> u64 {
    per_thread(pid, "status", |text| {
        text.lines()
            .filter(|line| line.contains("ctxt_switches:"))
            .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
            .sum()
    })
}

fn per_thread(pid: i32, file: &str, value: impl Fn(&str) -> u64) -> u64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return 0;
    };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join(file)).ok())
        .map(|text| value(&text))
        .sum()
}

/// utime and stime of /proc/PID/stat; cutime and cstime too with `children`.
fn stat_fields(pid: i32) -> Vec<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    // Field 3 (state) comes first here; 14 to 17 are utime, stime, cutime, cstime.
    after
        .split_whitespace()
        .skip(11)
        .take(4)
        .filter_map(|n| n.parse().ok())
        .collect()
}

fn ticks(pid: i32) -> (u64, u64) {
    let fields = stat_fields(pid);
    (
        fields.first().copied().unwrap_or(0),
        fields.get(1).copied().unwrap_or(0),
    )
}

/// The postmaster, its living children, and the dead ones it has reaped.
fn postgres_ns(postmaster: i32) -> u64 {
    let path = format!("/proc/{postmaster}/task/{postmaster}/children");
    let children = fs::read_to_string(path).unwrap_or_default();
    let living: u64 = children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .map(run_ns)
        .sum();
    let reaped: u64 = stat_fields(postmaster).iter().skip(2).sum();
    run_ns(postmaster) + living + reaped * 10_000_000
}

/// System calls per transaction, from a short run under `strace -c`; `None` where that is missing
/// or not allowed. The run is slow, so only the count is used.
pub fn syscalls(pooler: &Running, workload: &Workload) -> Option<f64> {
    let report = pooler.dir().join("strace.txt");
    let mut strace = Command::new("strace")
        .args(["-f", "-c", "-q", "-o", &report.display().to_string()])
        .args(["-p", &pooler.pid().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    std::thread::sleep(Duration::from_millis(500));
    if let Ok(Some(_)) = strace.try_wait() {
        return None;
    }
    let mut pgbench = start(pooler, workload, 4);
    let lines = BufReader::new(pgbench.stderr.take().expect("a pipe"));
    let (mut transactions, mut before) = (0.0, 0.0);
    for (at, tps) in lines
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| progress(&line))
    {
        transactions += tps * (at - before);
        before = at;
    }
    let _ = pgbench.wait();
    let pid = i32::try_from(strace.id()).ok()?;
    // SAFETY: plain integers; strace is our child and not reaped. SIGINT makes it print.
    unsafe { libc::kill(pid, libc::SIGINT) };
    let _ = strace.wait();
    let text = fs::read_to_string(report).ok()?;
    let total = text
        .lines()
        .rev()
        .find(|line| line.trim_end().ends_with("total"))?;
    let calls: f64 = total.split_whitespace().nth(3)?.parse().ok()?;
    (transactions > 0.0).then_some(calls / transactions)
}

/// First line a program prints.
pub fn first_line(command: &mut Command) -> String {
    let out = command.output().expect("run it");
    String::from_utf8_lossy(&out.stdout)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}
