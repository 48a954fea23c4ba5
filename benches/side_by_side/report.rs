//! The table.

use crate::measure::{Sample, first_line};
use crate::support::Pg;
use crate::{Contender, Options};
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

/// One workload: for each contender the samples of all rounds; the first is what the others are
/// compared with.
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

fn middle(row: &Row, who: usize, value: impl Fn(&Sample) -> f64) -> f64 {
    median(row.samples[who].iter().map(value).collect())
}

fn cpu(row: &Row, who: usize) -> String {
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
    for who in 1..row.samples.len() {
        let of = if row.idle {
            ratio(row, who, |s| s.rss_per_client)
        } else {
            ratio(row, who, Sample::pooler)
        };
        let _ = write!(out, "  [{who}] {of}");
    }
    out
}

/// The Markdown table.
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
        let _ = write!(out, "| {} |", row.title);
        if row.idle {
            idle_cells(&mut out, row);
        } else {
            load_cells(&mut out, row);
        }
        out.push('\n');
    }
    out
}

fn idle_cells(out: &mut String, row: &Row) {
    let _ = write!(out, " {:.0} bytes |", middle(row, 0, |s| s.rss_per_client));
    for who in 1..row.samples.len() {
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
        everyone(&|who| format!("{:.2}", middle(row, who, |s| s.switches)))
    );
    let calls = |who: usize| row.syscalls[who].map_or("–".to_owned(), |n| format!("{n:.2}"));
    let _ = write!(out, " {} |", everyone(&calls));
    let _ = write!(out, " {} |", each(&|who| ratio(row, who, |s| s.tps)));
}
