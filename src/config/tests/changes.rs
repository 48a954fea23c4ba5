//! Reload, differences, and the sums of `--check`.

use super::*;
use std::collections::{BTreeMap, BTreeSet};

fn reload_text(text: &str, running: &Config) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pgbouncer.ini");
    std::fs::write(&path, text).unwrap();
    reload(&path, running).unwrap()
}

#[test]
fn reload_keeps_boot_only_and_null_values() {
    let mut running = settings("listen_port = 6000\nauth_file = /f\ndefault_pool_size = 5");
    running.settings = running.settings.set("default_pool_size", "9").unwrap();
    let new = reload_text("[pgbouncer]\nlisten_port = 7000\n", &running);
    assert_eq!(new.settings.listen_port, 6000);
    assert_eq!(
        new.settings.auth_file.as_deref(),
        Some("/f"),
        "no default to go back to"
    );
    assert_eq!(
        new.settings.default_pool_size, 20,
        "SET is lost, and the line is gone"
    );
    assert!(
        new.warnings[0]
            .contains("listen_port stays 6000 until the next start (the file says 7000)")
    );
}

#[test]
fn diff_names_every_change_and_no_password() {
    let old = good("[databases]\na = password=one\nb = host=x\n[pgbouncer]\npool_mode = session\n");
    let new = good(
        "[databases]\na = password=two\nc = host=y\n[pgbouncer]\npool_mode = statement\n[pgweir]\nlanes = 2\n",
    );
    let lines: Vec<String> = diff(&old, &new).iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "pool_mode changed from session to statement",
            "pgweir.lanes changed from 0 to 2",
            "databases.a.password changed from *** to ***",
            "databases.b changed from (present) to (absent)",
            "databases.c changed from (absent) to (present)",
        ]
    );
    assert!(diff(&new, &new.clone()).is_empty());
}

#[test]
fn fate_of_databases() {
    let old = good("[databases]\na = host=x\nb = host=x\nc = host=x\n* = host=x\n[pgbouncer]\n");
    let new = good("[databases]\na = host=x pool_size=9 password=p\nb = host=y\n[pgbouncer]\n");
    assert_eq!(fate(&old, &new, "a"), Fate::Stays);
    assert_eq!(fate(&old, &new, "b"), Fate::Dirty);
    assert_eq!(fate(&old, &new, "c"), Fate::Removed);
    assert_eq!(fate(&old, &new, "from_star"), Fate::Removed);
    let star_moved = good("[databases]\n* = host=z\n[pgbouncer]\nserver_tls_sslmode = require\n");
    assert_eq!(fate(&old, &star_moved, "from_star"), Fate::Dirty);
    assert!(is_server_tls_changed(&old, &star_moved) && !is_server_tls_changed(&old, &new));
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn demand_of_the_documented_set_ups() {
    let dairy = load(&shipped("dairy/pgbouncer.ini")).unwrap();
    let demand = server_demand(&dairy, None);
    assert_eq!(
        demand[0].total(),
        Some(400),
        "max_db_connections bounds it, whoever logs in"
    );
    let one = server_demand(&dairy, Some(&names(&["odoo_app"])));
    assert_eq!(one[0].total(), Some(125), "one pool and its reserve");
    let hotel = load(&shipped("hotel/pgbouncer.ini")).unwrap();
    assert_eq!(server_demand(&hotel, None)[0].total(), None);
    let two = &server_demand(&hotel, Some(&names(&["a", "b"])))[0];
    assert_eq!(
        (two.server.as_str(), two.total()),
        ("localhost:5432", Some(100))
    );
    assert!(matches!(
        two.verdict(Ok(99)),
        Verdict::TooMany {
            total: 100,
            limit: 99
        }
    ));
    assert!(matches!(two.verdict(Ok(100)), Verdict::Fits { .. }));
}

#[test]
fn demand_counts_forced_users_and_the_sidecar() {
    let config = good(
        "[databases]\na = host=h user=u pool_size=5\nb = host=h user=u pool_size=7\nc = port=6000\n\
         [pgbouncer]\n[pgweir]\nmonitor_user = m\n",
    );
    let demands = server_demand(&config, None);
    let by_name: BTreeMap<&str, Option<u64>> = demands
        .iter()
        .map(|d| (d.server.as_str(), d.total()))
        .collect();
    assert_eq!(by_name["h:5432"], Some(14));
    assert_eq!(by_name["/tmp/.s.PGSQL.6000"], None);
    let answers = BTreeMap::from([("h:5432".to_owned(), Err("connection refused".to_owned()))]);
    let text = report(&config, &demands, &answers);
    assert!(
        text.contains("h:5432: 14 (sidecar 2): unknown: connection refused"),
        "{text}"
    );
}
