//! Who keeps a server between transactions, why and since when: SHOW ACTIVITY, SHOW CLIENTS and
//! /metrics (ours).

use crate::support::{Bouncer, Pg, Running};
use crate::{assert_soon, only_pgweir};

fn activity(bouncer: &Running, app: &str, column: &str) -> Option<String> {
    let reply = bouncer.show("show activity");
    reply.cell(column, |row| row.get("app") == app)
}

fn client_state(bouncer: &Running, app: &str) -> Option<String> {
    let reply = bouncer.show("show clients");
    reply.cell("state", |row| row.get("application_name") == app)
}

fn metric(bouncer: &Running, name: &str, reason: &str) -> Option<String> {
    let (family, label) = (format!("{name}{{"), format!("reason=\"{reason}\""));
    let body = bouncer.http("/metrics");
    let mut lines = body.lines();
    let line = lines.find(|line| line.starts_with(&family) && line.contains(&label))?;
    line.rsplit(' ').next().map(str::to_owned)
}

#[test]
fn a_pinned_client_is_shown_with_its_reason_until_it_is_free() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared()).pool_size(4).start();
    let login = bouncer.login().parameter("application_name", "hoarder");
    let mut client = login.connect();
    assert_eq!(client.one("select 1"), "1");
    assert_eq!(activity(&bouncer, "hoarder", "pinned"), None, "it is idle");
    assert_eq!(client_state(&bouncer, "hoarder").as_deref(), Some("idle"));
    client.ok("select pg_advisory_lock(4711)");
    client.ok("create temporary table t (a int)");
    let both = "advisory lock, temporary table";
    assert_soon!(
        activity(&bouncer, "hoarder", "pinned").as_deref() == Some(both),
        "{:?}",
        activity(&bouncer, "hoarder", "pinned")
    );
    let shown = |column: &str| activity(&bouncer, "hoarder", column).unwrap();
    assert_eq!(
        (shown("state").as_str(), shown("flags").as_str()),
        ("pinned", "P")
    );
    assert!(shown("pinned_s").parse::<f64>().unwrap() < 60.0);
    assert_eq!(client_state(&bouncer, "hoarder").as_deref(), Some("pinned"));
    for reason in ["advisory lock", "temporary table"] {
        for family in ["pgweir_pins", "pgweir_pins_total"] {
            assert_eq!(
                metric(&bouncer, family, reason).as_deref(),
                Some("1"),
                "{family}"
            );
        }
    }
    client.ok("begin");
    client.one("select 1");
    assert_eq!(shown("flags"), "IP");
    client.ok("commit");
    client.ok("drop table t");
    assert_soon!(
        activity(&bouncer, "hoarder", "pinned").as_deref() == Some("advisory lock"),
        "one reason is gone"
    );
    client.ok("select pg_advisory_unlock(4711)");
    assert_soon!(activity(&bouncer, "hoarder", "pinned").is_none(), "free");
    assert_eq!(client_state(&bouncer, "hoarder").as_deref(), Some("idle"));
    assert_eq!(metric(&bouncer, "pgweir_pins", "advisory lock"), None);
    let ever = metric(&bouncer, "pgweir_pins_total", "advisory lock");
    assert_eq!(ever.as_deref(), Some("1"));
}
