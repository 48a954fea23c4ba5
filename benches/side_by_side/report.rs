//! The tables.

use crate::measure::{Sample, first_line};
use crate::support::Pg;
use crate::{Contender, Options};
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

/// One workload: for each contender the samples of all rounds (none if it takes no part); the first
/// is what the others are compared with.
pub struct Row {
    pub title: String,
    pub idle: bool,
    pub samples: Vec<Vec<Sample>>,
    pub syscalls: Vec<Option<f64>>,
}

/// The machine and the settings.
pub fn heading(pg: &Pg, contenders: &[Contender], options: &Options) -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown CPU", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = first_line(Command::new("uname").arg("-r"));
    let names: Vec<&str> = contenders.iter().map(|c| c.name.as_str()).collect();
    format!(
        "{cores} cores of {model}, Linux {kernel}; PostgreSQL {}; {}.\n\
         Pool of 20, {} at both ends, loopback TCP; {} alternating rounds of {} s; \
         medians [range of the rounds' ratios].\n",
        pg.ask("show server_version"),
        names.join("; "),
        if options.trust { "trust" } else { "SCRAM" },
        options.rounds,
        options.seconds,
    )
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// Round by round against the first: neighbours in time saw the same machine.
fn ratio(row: &Row, who: usize, value: impl Fn(&Sample) -> f64) -> String {
    if row.samples[who].is_empty() {
        return NONE.to_owned();
    }
    let pairs = row.samples[who].iter().zip(&row.samples[0]);
    let ratios: Vec<f64> = pairs
        .map(|(own, other)| value(own) / value(other))
        .collect();
    let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let high = ratios.iter().copied().fold(0.0, f64::max);
    if ratios.len() < 2 {
        return format!("{:.2}", median(ratios));
    }
    format!("{:.2} [{low:.2}–{high:.2}]", median(ratios))
}

/// What stands for a contender that takes no part or a figure that is not known.
const NONE: &str = "–";

fn middle(row: &Row, who: usize, value: impl Fn(&Sample) -> f64) -> f64 {
    median(row.samples[who].iter().map(value).collect())
}

fn cpu(row: &Row, who: usize) -> String {
    if row.samples[who].is_empty() {
        return NONE.to_owned();
    }
    let (user, system) = (
        middle(row, who, |s| s.pooler_user),
        middle(row, who, |s| s.pooler_system),
    );
    format!(
        "{:.1} ({user:.1} + {system:.1})",
        middle(row, who, Sample::pooler)
    )
}

/// One workload in one line, for the terminal while it runs.
pub fn line(row: &Row) -> String {
    let mut out = format!("{}:", row.title);
    for who in (1..row.samples.len()).filter(|&who| !row.samples[who].is_empty()) {
        let of = if row.idle {
            ratio(row, who, |s| s.rss_per_client)
        } else {
            ratio(row, who, Sample::pooler)
        };
        let _ = write!(out, "  [{who}] {of}");
        if !row.idle {
            let _ = write!(out, " (with PostgreSQL {})", ratio(row, who, Sample::sum));
        }
    }
    out
}

/// The row's title, and what pgbench held against it.
fn title(row: &Row) -> String {
    let failed: u64 = row.samples.iter().flatten().map(|s| s.failed).sum();
    match failed {
        0 => row.title.clone(),
        _ => format!("{} ({failed} FAILED transactions)", row.title),
    }
}

/// The Markdown table of what the pooler costs.
pub fn table(contenders: &[Contender], rows: &[Row]) -> String {
    let mut out = format!(
        "| workload | {}: CPU µs per transaction (user + system) |",
        contenders[0].name
    );
    for contender in &contenders[1..] {
        let _ = write!(out, " {}: CPU µs | ratio |", contender.name);
    }
    out += " PostgreSQL CPU ratio | context switches per transaction | system calls per transaction | TPS ratio |\n";
    out += &format!("|---|{}\n", "---|".repeat(5 + 2 * (contenders.len() - 1)));
    for row in rows {
        let _ = write!(out, "| {} |", title(row));
        if row.idle {
            idle_cells(&mut out, row);
        } else {
            load_cells(&mut out, row);
        }
        out.push('\n');
    }
    out
}

/// The Markdown table of what pooler and PostgreSQL cost together; empty without a load.
pub fn sums(contenders: &[Contender], rows: &[Row]) -> String {
    let loads: Vec<&Row> = rows.iter().filter(|row| !row.idle).collect();
    if loads.is_empty() {
        return String::new();
    }
    let mut out = format!(
        "| workload | {}: CPU µs per transaction (pooler + PostgreSQL) |",
        contenders[0].name
    );
    for contender in &contenders[1..] {
        let _ = write!(out, " {}: CPU µs | ratio |", contender.name);
    }
    out += &format!("\n|---|---|{}\n", "---|---|".repeat(contenders.len() - 1));
    for row in loads {
        let _ = write!(out, "| {} | {} |", title(row), sum(row, 0));
        for who in 1..row.samples.len() {
            let _ = write!(
                out,
                " {} | {} |",
                sum(row, who),
                ratio(row, who, Sample::sum)
            );
        }
        out.push('\n');
    }
    out
}

fn sum(row: &Row, who: usize) -> String {
    if row.samples[who].is_empty() {
        return NONE.to_owned();
    }
    let (pooler, postgres) = (
        middle(row, who, Sample::pooler),
        middle(row, who, |s| s.postgres),
    );
    format!(
        "{:.1} ({pooler:.1} + {postgres:.1})",
        middle(row, who, Sample::sum)
    )
}

fn idle_cells(out: &mut String, row: &Row) {
    let _ = write!(out, " {:.0} bytes |", middle(row, 0, |s| s.rss_per_client));
    for who in 1..row.samples.len() {
        if row.samples[who].is_empty() {
            let _ = write!(out, " {NONE} | {NONE} |");
            continue;
        }
        let bytes = middle(row, who, |s| s.rss_per_client);
        let _ = write!(
            out,
            " {bytes:.0} bytes | {} |",
            ratio(row, who, |s| s.rss_per_client)
        );
    }
    *out += " | | | |";
}

fn load_cells(out: &mut String, row: &Row) {
    let _ = write!(out, " {} |", cpu(row, 0));
    for who in 1..row.samples.len() {
        let _ = write!(
            out,
            " {} | {} |",
            cpu(row, who),
            ratio(row, who, Sample::pooler)
        );
    }
    let own = 1..row.samples.len();
    let each =
        |value: &dyn Fn(usize) -> String| own.clone().map(value).collect::<Vec<_>>().join(", ");
    let everyone = |value: &dyn Fn(usize) -> String| {
        (0..row.samples.len())
            .map(value)
            .collect::<Vec<_>>()
            .join(" / ")
    };
    let _ = write!(out, " {} |", each(&|who| ratio(row, who, |s| s.postgres)));
    let _ = write!(
        out,
        " {} |",
        everyone(&|who| match middle(row, who, |s| s.switches) {
            none if none.is_nan() => NONE.to_owned(),
            switches => format!("{switches:.2}"),
        })
    );
    let calls = |who: usize| row.syscalls[who].map_or(NONE.to_owned(), |n| format!("{n:.2}"));
    let _ = write!(out, " {} |", everyone(&calls));
    let _ = write!(out, " {} |", each(&|who| ratio(row, who, |s| s.tps)));
}
