//! Fingerprints beside PostgreSQL's own query_id: what it groups we group, what it separates we
//! separate, as far as a lexer can know. And `pgweir --fingerprint`.
//!
//! Truth is the `query_id` of the server's JSON log; every statement carries a tag in a comment,
//! which neither side counts. What a lexer cannot know, and no bar asks for: the types of constants,
//! the columns of `*`, tables of one name in two schemas, and other spellings of the same tree
//! (`(a, b) IN ((1, 2))` is `a = 1 AND b = 2` there). What is kept apart or together on purpose:
//! columns named differently, tables that 18 merges behind one alias, literals of DDL, names of
//! savepoints and cursors. `make grouping` holds the same against PostgreSQL's regression SQL.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::shapes::{self, Dice};
use crate::support::{Pg, output_of, tools};
use pgweir::sql::{self, Class, Grouping, Rules};

const TRUTH: &str = "
logging_collector = on
log_destination = 'jsonlog'
log_directory = 'log'
log_filename = 'truth'
log_file_mode = 0644
log_rotation_size = 0
log_min_duration_statement = 0
compute_query_id = on
";

/// Texts with the server's group of each; statements that failed are left out.
fn run_all(pg: &Pg, texts: Vec<String>) -> Vec<(String, i64)> {
    let mut admin = pg.admin();
    for sql in shapes::schema() {
        admin.ok(&sql);
    }
    for (at, text) in texts.iter().enumerate() {
        if admin.query(&format!("{text} /* tid={at} */")).status == b'E' {
            admin.ok("ROLLBACK");
        }
    }
    admin.query("ROLLBACK");
    admin.ok("SELECT 'the last of all'");
    let log = pg.data().join("log/truth.json");
    let read = || fs::read_to_string(&log).unwrap_or_default();
    crate::assert_soon!(read().contains("the last of all"), "the log is written");
    let lines = read();
    let group = |line: &str| -> Option<(usize, i64)> {
        if !line.contains("duration: ") {
            return None;
        }
        let number = |from: &str, at: usize| {
            let digits = &from[at..];
            let end = digits.find(|c: char| c != '-' && !c.is_ascii_digit());
            digits[..end.unwrap_or(digits.len())].parse::<i64>().ok()
        };
        let tag = number(line, line.rfind("tid=")? + 4)?;
        let id = number(line, line.rfind("\"query_id\":")? + 11)?;
        Some((usize::try_from(tag).ok()?, id))
    };
    let known: HashMap<usize, i64> = lines.lines().filter_map(group).collect();
    let with_group = |(at, text)| Some((text, *known.get(&at)?));
    texts
        .into_iter()
        .enumerate()
        .filter_map(with_group)
        .collect()
}

/// How well two groupings of the same statements agree.
struct Agreement {
    statements: usize,
    theirs: usize,
    ours: usize,
    /// Harmony of homogeneity and completeness (by entropy).
    v: f64,
    /// Harmony of precision and recall over pairs of statements.
    f1: f64,
    /// Share of the pairs that are one group there and one here too.
    recall: f64,
    /// The heaviest groups that the other side splits or merges.
    differences: String,
}

fn agreement(sample: &[(u64, i64, &str)]) -> Agreement {
    let mut both: HashMap<(u64, i64), (f64, &str)> = HashMap::new();
    let (mut ours, mut theirs) = (HashMap::<u64, f64>::new(), HashMap::<i64, f64>::new());
    for (our, their, text) in sample {
        both.entry((*our, *their)).or_insert((0.0, text)).0 += 1.0;
        *ours.entry(*our).or_default() += 1.0;
        *theirs.entry(*their).or_default() += 1.0;
    }
    let all = sample.len() as f64;
    let entropy = |sizes: &mut dyn Iterator<Item = f64>| -> f64 {
        sizes.map(|n| -n / all * (n / all).ln()).sum()
    };
    let joint = entropy(&mut both.values().map(|(n, _)| *n));
    let (ours_h, theirs_h) = (
        entropy(&mut ours.values().copied()),
        entropy(&mut theirs.values().copied()),
    );
    let part = |conditional: f64, whole: f64| {
        if whole == 0.0 {
            1.0
        } else {
            1.0 - conditional / whole
        }
    };
    let homogeneity = part(joint - ours_h, theirs_h);
    let completeness = part(joint - theirs_h, ours_h);
    let pairs =
        |sizes: &mut dyn Iterator<Item = f64>| -> f64 { sizes.map(|n| n * (n - 1.0) / 2.0).sum() };
    let common = pairs(&mut both.values().map(|(n, _)| *n));
    let precision = common / pairs(&mut ours.values().copied()).max(1.0);
    let recall = common / pairs(&mut theirs.values().copied()).max(1.0);
    let mut lines: Vec<(f64, String)> = both
        .iter()
        .filter(|((our, their), (n, _))| *n < ours[our] || *n < theirs[their])
        .map(|((our, their), (n, text))| {
            let short: String = text.chars().take(300).collect();
            (
                *n,
                format!(
                    "{n} of ours {our:016x} ({}), theirs {their} ({}): {short}",
                    ours[our], theirs[their]
                ),
            )
        })
        .collect();
    lines.sort_by(|a, b| b.0.total_cmp(&a.0));
    let lines: Vec<String> = lines.into_iter().take(20).map(|(_, line)| line).collect();
    Agreement {
        statements: sample.len(),
        theirs: theirs.len(),
        ours: ours.len(),
        v: 2.0 * homogeneity * completeness / (homogeneity + completeness),
        f1: 2.0 * precision * recall / (precision + recall),
        recall,
        differences: lines.join("\n"),
    }
}

fn grouped(sample: &[(String, i64)], grouping: Grouping, utility: bool) -> Agreement {
    let rules = Rules {
        grouping,
        ..Rules::default()
    };
    let told: Vec<(u64, i64, &str)> = sample
        .iter()
        .map(|(text, id)| (sql::single(text.as_bytes(), rules), *id, text.as_str()))
        .filter(|(statement, ..)| (statement.class == Class::Control) == utility)
        .map(|(statement, id, text)| (statement.fingerprint, id, text))
        .collect();
    let found = agreement(&told);
    eprintln!(
        "{grouping:?} utility={utility}: {} statements, {} groups of theirs, {} of ours, V {:.4}, F1 {:.4}, recall {:.4}",
        found.statements, found.theirs, found.ours, found.v, found.f1, found.recall
    );
    if std::env::var_os("PGWEIR_SHOW").is_some() {
        eprintln!("{}", found.differences);
    }
    found
}

fn odoo_day() -> Vec<String> {
    (1..=4)
        .flat_map(|seed| {
            let mut dice = Dice::new(seed);
            (0..4000)
                .map(move |_| shapes::statement(&mut dice))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[track_caller]
fn at_least(found: &Agreement, v: f64, f1: f64) {
    assert!(
        found.v >= v && found.f1 >= f1,
        "V {:.4}, F1 {:.4}\n{}",
        found.v,
        found.f1,
        found.differences
    );
}

/// A number for the table behind the first FROM.
fn first_table(text: &str) -> i64 {
    let text = sql::normalise(text.as_bytes(), Rules::default());
    let (_, table) = sql::verb_and_relation(&text);
    table.map_or(0, |name| sql::of_label(&name) as i64)
}

#[test]
fn grouping_agrees_with_postgresql_18() {
    let pg = Pg::version(18, TRUTH);
    let sample = run_all(&pg, odoo_day());
    assert!(sample.len() > 10_000, "{}", sample.len());
    at_least(&grouped(&sample, Grouping::Strict(18), false), 0.99, 0.96);
    // 18 takes an alias for the table's name, so one id covers twelve tables: not wanted here.
    let by_table: Vec<(String, i64)> = sample
        .iter()
        .map(|(text, id)| (text.clone(), id ^ first_table(text)))
        .collect();
    at_least(&grouped(&by_table, Grouping::Strict(18), false), 0.99, 0.98);
    at_least(&grouped(&sample, Grouping::Strict(18), true), 0.999, 0.999);
    // Rows of any number are one shape here, and each number its own there: merged, never split.
    let default = grouped(&by_table, Grouping::Default, false);
    assert!(
        default.v >= 0.98 && default.recall >= 0.98,
        "{} {}",
        default.v,
        default.recall
    );
}

#[test]
fn grouping_agrees_with_postgresql_16() {
    let pg = Pg::version(16, TRUTH);
    let sample = run_all(&pg, odoo_day());
    assert!(sample.len() > 10_000, "{}", sample.len());
    at_least(&grouped(&sample, Grouping::Strict(16), false), 0.99, 0.98);
}

/// What pgbench says in one mode: statements with the server's group of each.
fn pgbench(pg: &Pg, mode: &str) -> Vec<(String, i64)> {
    let log = pg.data().join("log/truth.json");
    let before = fs::read_to_string(&log).unwrap_or_default().len();
    for script in ["tpcb-like", "simple-update", "select-only"] {
        let mut command = Command::new(tools().client.join("pgbench"));
        command.args([
            "-n",
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
            "-p",
            &pg.port.to_string(),
        ]);
        command.args(["-t", "20", "-M", mode, "-b", script, "app"]);
        let (status, _, error) = output_of(&mut command);
        assert!(status.success(), "{error}");
    }
    let mark = format!("the end of {mode}");
    pg.admin().ok(&format!("SELECT '{mark}'"));
    let read = || {
        fs::read_to_string(&log)
            .unwrap_or_default()
            .split_off(before)
    };
    crate::assert_soon!(read().contains(&mark), "the log is written");
    let told = |line: &str| {
        let (_, said) = line.split_once("\"message\":\"duration: ")?;
        let (said, rest) = said.split_once('"')?;
        let (how, text) = said.split_once(" ms  ")?.1.split_once(": ")?;
        let is_run = how == "statement" || how.starts_with("execute ");
        let (_, id) = rest.split_once("\"query_id\":")?;
        let id = id.split(['}', ',']).next()?.parse().ok()?;
        (is_run && !text.contains(&mark)).then(|| (text.to_owned(), id))
    };
    read().lines().filter_map(told).collect()
}

#[test]
fn pgbench_is_grouped_exactly_as_postgresql_does() {
    let pg = Pg::version(18, TRUTH);
    let mut init = Command::new(tools().client.join("pgbench"));
    init.args([
        "-i",
        "-q",
        "-h",
        "127.0.0.1",
        "-U",
        "postgres",
        "-p",
        &pg.port.to_string(),
        "app",
    ]);
    let (status, _, error) = output_of(&mut init);
    assert!(status.success(), "{error}");
    for mode in ["simple", "extended", "prepared"] {
        let sample = pgbench(&pg, mode);
        assert!(sample.len() > 200, "{mode}: {}", sample.len());
        for utility in [false, true] {
            let found = grouped(&sample, Grouping::Default, utility);
            // All but equal: the entropies are sums of rounded logarithms.
            at_least(&found, 1.0 - 1e-9, 1.0 - 1e-9);
            assert_eq!(found.ours, found.theirs);
        }
    }
}

fn fingerprints(arguments: &[&str], input: &[u8]) -> (bool, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pgweir"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start it");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(input)
        .expect("write");
    let out = child.wait_with_output().expect("its end");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.success(), text(&out.stdout), text(&out.stderr))
}

#[test]
fn the_command_line_prints_a_line_for_each_text() {
    let (is_ok, out, error) = fingerprints(
        &["--fingerprint"],
        b"SELECT  1\n\nselect 2 -- x\nSELECT a FROM t; COMMIT\n;\nINSERT INTO t (a) VALUES (1), (2)\n",
    );
    assert!(is_ok && error.is_empty(), "{error}");
    let lines: Vec<Vec<&str>> = out.lines().map(|line| line.split('\t').collect()).collect();
    let texts: Vec<&str> = lines.iter().map(|line| line[1]).collect();
    assert_eq!(
        texts,
        [
            "select $1",
            "select $1",
            "select a from t; commit",
            "(empty)",
            "insert into t (a) values ($1) /*, ... */",
        ]
    );
    assert_eq!(lines[0][0], lines[1][0]);
    let (first, second) = lines[2][0].split_once(',').expect("two statements");
    assert!([first, second, lines[0][0]].iter().all(|f| {
        f.len() == 16
            && f.bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    }));
}

#[test]
fn the_command_line_reads_files_and_strict_rules() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("statements.sql");
    fs::write(
        &file,
        b"SELECT a\nFROM t WHERE a IN (1, 2)\0INSERT INTO t VALUES (1), (2)\0",
    )
    .expect("write");
    let path = file.to_str().expect("a name");
    let texts = |arguments: &[&str]| -> Vec<String> {
        let (is_ok, out, error) = fingerprints(arguments, b"");
        assert!(is_ok, "{error}");
        out.lines()
            .filter_map(|line| Some(line.split_once('\t')?.1.to_owned()))
            .collect()
    };
    assert_eq!(
        texts(&["--fingerprint", path]),
        [
            "select a from t where a in ($1 /*, ... */)",
            "insert into t values ($1) /*, ... */"
        ]
    );
    assert_eq!(
        texts(&["--fingerprint", path, "--strict", "18"]),
        [
            "select a from t where a in ($1 /*, ... */)",
            "insert into t values ($1), ($2)"
        ]
    );
    assert_eq!(
        texts(&["--fingerprint", path, "--strict", "16"]),
        [
            "select a from t where a in ($1, $2)",
            "insert into t values ($1), ($2)"
        ]
    );
}

#[test]
fn the_command_line_refuses_what_it_cannot_do() {
    for (arguments, said) in [
        (
            &["--fingerprint", "/does/not/exist"][..],
            "/does/not/exist: No such file",
        ),
        (&["--fingerprint", "/"], "/: Is a directory"),
        (
            &["--fingerprint", "--strict", "17"],
            "option '--strict' takes 16 or 18, not '17'",
        ),
        (
            &["--fingerprint", "a", "b"],
            "option '--fingerprint' takes one file",
        ),
        (
            &["--strict", "16", "a.ini"],
            "option '--strict' goes with --fingerprint only",
        ),
    ] {
        let (is_ok, out, error) = fingerprints(arguments, b"");
        assert!(!is_ok && out.is_empty(), "{arguments:?} {out}");
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
}
