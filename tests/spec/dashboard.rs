//! The Grafana dashboard that ships: valid JSON, valid PromQL, metrics that pgweir has.

use crate::only_pgweir;
use crate::support::metric_names;
use crate::support::programs::{find, json_leaves};
use crate::support::{Workdir, output_of};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

fn leaves() -> Vec<(String, String)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/grafana/pgweir.json");
    json_leaves(&file, false)
}

/// Every expression, with Grafana's variables replaced by what they could be.
fn expressions() -> Vec<String> {
    let found: Vec<_> = leaves()
        .into_iter()
        .filter(|(path, _)| path.ends_with("/expr"))
        .map(|(_, text)| {
            [
                ("$__rate_interval", "5m"),
                ("$__range", "3h"),
                ("$job", "pgweir"),
                ("$instance", ".*"),
                ("$database", ".*"),
            ]
            .iter()
            .fold(text, |text, (name, value)| text.replace(name, value))
        })
        .collect();
    assert!(found.len() > 60, "{} expressions", found.len());
    found
}

#[test]
fn promtool_takes_every_expression() {
    let dir = Workdir::new("dashboard");
    let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
    let all = expressions();
    for (number, expression) in all.iter().enumerate() {
        assert!(
            !expression.contains('$'),
            "a variable of ours: {expression}"
        );
        let quoted = expression.replace('\'', "''");
        let _ = writeln!(
            rules,
            "      - record: check:panel:{number}\n        expr: '{quoted}'"
        );
    }
    let file = dir.write("dashboard.yml", &rules);
    let mut promtool = Command::new(find("promtool"));
    let (status, said, error) = output_of(promtool.args(["check", "rules"]).arg(file));
    assert!(status.success(), "{said}{error}");
    assert!(
        said.contains(&format!("{} rules found", all.len())),
        "{said}"
    );
}

#[test]
fn every_panel_asks_the_chosen_data_source_and_has_a_place_of_its_own() {
    let leaves = leaves();
    let sources = leaves
        .iter()
        .filter(|(path, _)| path.ends_with("/datasource/uid"));
    let sources: BTreeSet<_> = sources.map(|(_, uid)| uid.as_str()).collect();
    assert_eq!(sources, BTreeSet::from(["${datasource}"]));
    let value = |path: String| {
        leaves
            .iter()
            .find(|(p, _)| *p == path)
            .map(|(_, v)| v.as_str())
    };
    let has_variable = leaves
        .iter()
        .any(|(path, kind)| path.starts_with("templating/") && kind == "datasource");
    assert!(has_variable, "a variable for the data source");
    let (mut places, mut ids) = (BTreeSet::new(), BTreeSet::new());
    let mut number = 0;
    while let Some(id) = value(format!("panels/{number}/id")) {
        let at = |axis: &str| value(format!("panels/{number}/gridPos/{axis}")).unwrap();
        assert!(ids.insert(id), "panel {number} has the id of another");
        assert!(
            places.insert((at("x"), at("y"))),
            "panel {number} hides another"
        );
        number += 1;
    }
    assert!(number > 30, "{number} panels");
}

#[test]
fn every_metric_of_the_dashboard_is_one_that_pgweir_has() {
    only_pgweir!();
    let texts: Vec<_> = leaves()
        .into_iter()
        .filter(|(path, _)| path.ends_with("/expr") || path.ends_with("/query/query"))
        .map(|(_, text)| text)
        .collect();
    let unknown = metric_names::unknown(&texts.join("\n"));
    assert!(unknown.is_empty(), "{unknown:?}");
}
