//! The alert rules that ship: promtool takes them, each fires when it should and not at its limit.

#[path = "alerts/cases.rs"]
mod cases;

use crate::only_pgweir;
use crate::support::metric_names;
use crate::support::programs::find;
use crate::support::{Workdir, output_of};
use cases::{CASES, Case};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

const SETUPS: [&str; 2] = ["dairy", "hotel"];
/// Every alert has had its `for` by then.
const AT: &str = "65m";

pub fn rules_file(setup: &str) -> PathBuf {
    let root = env!("CARGO_MANIFEST_DIR");
    PathBuf::from(format!("{root}/config/alerts/{setup}.rules.yml"))
}

fn cases_of(setup: &str) -> impl Iterator<Item = &'static Case> {
    CASES
        .iter()
        .filter(move |case| case.setup.is_empty() || case.setup == setup)
}

/// (alert, severity) of every rule of a file, in its order.
fn rules(setup: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(rules_file(setup)).unwrap();
    let values = |key: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix(key));
        lines.map(|value| value.trim().to_owned()).collect()
    };
    let (alerts, severities) = (values("- alert:"), values("severity:"));
    assert_eq!(alerts.len(), severities.len(), "a severity for each rule");
    for key in ["expr:", "summary:", "next:"] {
        assert_eq!(
            values(key).len(),
            alerts.len(),
            "{setup}: {key} in each rule"
        );
    }
    alerts.into_iter().zip(severities).collect()
}

/// `case` as a test of promtool: the alerts that fire are those expected and no others.
fn test_of(case: &Case, number: usize) -> String {
    let (values, expected) = case.outcomes[number];
    let mut out = format!("  - name: '{} {values:?}'\n", case.alert);
    out += "    interval: 1m\n    input_series:\n";
    let is_up = ("up{}", "1x70");
    let has_up = case.series.iter().any(|(name, _)| name.starts_with("up{"));
    let series = case.series.iter().chain((!has_up).then_some(&is_up));
    for (name, form) in series {
        let mut form = (*form).to_owned();
        for (index, value) in values.iter().enumerate() {
            form = form.replace(&format!("${index}"), value);
        }
        let name = match name.contains("job=") {
            true => (*name).to_owned(),
            false => name.replacen('{', "{job=\"pgweir\",instance=\"w\",", 1),
        };
        let _ = writeln!(out, "      - series: '{name}'\n        values: '{form}'");
    }
    out += "    promql_expr_test:\n";
    out += "      - expr: 'count by (alertname, severity) (ALERTS{alertstate=\"firing\"})'\n";
    let _ = writeln!(out, "        eval_time: {AT}\n        exp_samples:");
    for severity in expected.split_whitespace() {
        let _ = writeln!(
            out,
            "          - labels: '{{alertname=\"{}\",severity=\"{severity}\"}}'\n            value: 1",
            case.alert
        );
    }
    out
}

fn promtool(words: &[&str], files: &[PathBuf]) -> Result<String, String> {
    let mut command = Command::new(find("promtool"));
    let (status, out, error) = output_of(command.args(words).args(files));
    match status.success() {
        true => Ok(out),
        false => Err(format!("{out}{error}")),
    }
}

#[test]
fn promtool_takes_the_rules() {
    let files = SETUPS.map(rules_file);
    let said = promtool(&["check", "rules"], &files).unwrap();
    for setup in SETUPS {
        let count = format!("{} rules found", rules(setup).len());
        assert!(said.contains(&count), "{setup}: {count} in {said}");
    }
}

#[test]
fn every_rule_has_a_case_that_fires_and_one_that_does_not() {
    for setup in SETUPS {
        let rules: BTreeSet<_> = rules(setup).into_iter().collect();
        let (mut fires, mut silent) = (BTreeSet::new(), BTreeSet::new());
        for case in cases_of(setup) {
            for severity in case.severities() {
                let rule = (case.alert.to_owned(), (*severity).to_owned());
                for (_, expected) in case.outcomes {
                    match expected.split_whitespace().any(|word| word == *severity) {
                        true => fires.insert(rule.clone()),
                        false => silent.insert(rule.clone()),
                    };
                }
            }
        }
        assert_eq!(fires, rules, "{setup}: rules that some case makes fire");
        assert_eq!(silent, rules, "{setup}: rules that some case leaves silent");
    }
}

#[test]
fn each_rule_fires_beyond_its_limit_and_not_at_it() {
    std::thread::scope(|scope| {
        for setup in SETUPS {
            scope.spawn(move || hold(setup));
        }
    });
}

fn hold(setup: &str) {
    let dir = Workdir::new("alerts");
    let rules = rules_file(setup);
    let mut text = format!("rule_files: ['{}']\n", rules.display());
    text += "evaluation_interval: 1m\ntests:\n";
    for case in cases_of(setup) {
        for number in 0..case.outcomes.len() {
            text += &test_of(case, number);
        }
    }
    let file = dir.write(&format!("{setup}.test.yml"), &text);
    let said = promtool(&["test", "rules"], &[file]);
    let said = said.unwrap_or_else(|said| panic!("{setup}: {said}"));
    println!("{setup}: {said}");
}

#[test]
fn every_metric_the_rules_use_is_one_that_pgweir_has() {
    only_pgweir!();
    for setup in SETUPS {
        let text = std::fs::read_to_string(rules_file(setup)).unwrap();
        let unknown = metric_names::unknown(&text);
        assert!(unknown.is_empty(), "{setup}: {unknown:?}");
    }
}
