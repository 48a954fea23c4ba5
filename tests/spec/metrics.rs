//! /metrics, /healthz, /readyz (ours; PgBouncer has no HTTP).

use crate::support::frames::query;
use crate::support::{Bouncer, Pg, Running};
use crate::{assert_soon, only_pgweir};

fn value(bouncer: &Running, name: &str, labels: &[&str]) -> Option<f64> {
    let body = bouncer.http("/metrics");
    let line = body.lines().find(|line| {
        (line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} ")))
            && labels.iter().all(|label| line.contains(label))
    })?;
    line.rsplit(' ').next()?.trim().parse().ok()
}

#[test]
fn metrics_are_prometheus_text_with_the_exporters_names() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).start();
    let mut client = bouncer.client_of(&database);
    for _ in 0..7 {
        client.one("select 1");
    }
    let body = bouncer.http("/metrics");
    assert!(
        body.starts_with("HTTP/1.1 200"),
        "{}",
        &body[..100.min(body.len())]
    );
    assert!(
        body.to_lowercase()
            .contains("content-type: text/plain; version=0.0.4"),
        "{body:.600}"
    );
    let label = format!("database=\"{database}\"");
    assert_soon!(
        value(
            &bouncer,
            "pgbouncer_stats_totals_queries_pooled_total",
            &[&label]
        ) == Some(7.0),
        "queries are counted: {}",
        bouncer.http("/metrics")
    );
    for name in [
        "pgbouncer_up",
        "pgbouncer_version_info",
        "pgbouncer_pools_client_active_connections",
        "pgbouncer_pools_server_idle_connections",
        "pgbouncer_databases_pool_size",
        "pgbouncer_config_max_client_connections",
        "process_resident_memory_bytes",
    ] {
        assert!(
            value(&bouncer, name, &[]).is_some(),
            "{name} in {}",
            bouncer.http("/metrics")
        );
    }
    for line in bouncer
        .http("/metrics")
        .lines()
        .skip_while(|line| !line.trim().is_empty())
        .skip(1)
    {
        let fine = line.is_empty()
            || line.starts_with('#')
            || line
                .rsplit(' ')
                .next()
                .is_some_and(|n| n.trim().parse::<f64>().is_ok());
        assert!(fine, "not Prometheus text: {line}");
    }
}

#[test]
fn waiting_clients_show_in_the_metrics() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(1).start();
    let mut holder = bouncer.client_of(&database);
    holder.ok("begin");
    let mut waiting = bouncer.client_of(&database);
    waiting.put(&query("select 1"));
    let label = format!("database=\"{database}\"");
    assert_soon!(
        value(
            &bouncer,
            "pgbouncer_pools_client_waiting_connections",
            &[&label]
        ) == Some(1.0),
        "one waits"
    );
    holder.ok("commit");
}

#[test]
fn refused_logins_are_counted_by_reason() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared()).set("auth_type", "md5").start();
    for _ in 0..3 {
        let _ = bouncer.login().password("wrong").refused();
    }
    bouncer.client().one("select 1");
    let failed = || -> f64 {
        let body = bouncer.http("/metrics");
        let lines = body
            .lines()
            .filter(|line| line.starts_with("pgweir_") && line.contains("login"));
        lines
            .filter(|line| !line.contains("ok"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    };
    assert_soon!(
        failed() >= 3.0,
        "three refusals: {}",
        bouncer.http("/metrics")
    );
}

#[test]
fn health_is_about_the_process_and_ready_about_accepting() {
    only_pgweir!();
    let bouncer = Bouncer::new(Pg::shared()).start();
    let ok = |path: &str| bouncer.http(path).starts_with("HTTP/1.1 200");
    assert!(ok("/healthz") && ok("/readyz"));
    assert!(bouncer.http("/nothing/here").starts_with("HTTP/1.1 404"));
    bouncer.show("pause");
    assert!(
        ok("/readyz"),
        "a pause holds clients, it does not send them away"
    );
    bouncer.show("resume");
    let mut client = bouncer.client();
    client.ok("begin; select 1");
    bouncer.signal(libc::SIGINT);
    assert_soon!(
        !ok("/readyz") && ok("/healthz"),
        "shutting down: alive, not ready"
    );
}

#[test]
fn a_taken_http_port_does_not_stop_pooling() {
    only_pgweir!();
    let first = Bouncer::new(Pg::shared()).start();
    let second = Bouncer::new(Pg::shared())
        .own("http_addr", format!("127.0.0.1:{}", first.http_port))
        .start();
    assert_eq!(second.client().one("select 1"), "1");
    assert_soon!(second.logged("WARNING") > 0, "and says so");
}

#[test]
fn the_oldest_statement_idleness_and_queueing_are_known_by_database() {
    only_pgweir!();
    let pg = Pg::shared();
    let database = pg.database();
    let bouncer = Bouncer::new(pg).pool_size(2).start();
    let label = format!("database=\"{database}\"");
    let oldest = |what: &str| {
        value(
            &bouncer,
            &format!("pgweir_oldest_{what}_seconds"),
            &[&label],
        )
    };
    let mut idle = bouncer.client_of(&database);
    let mut busy = bouncer.client_of(&database);
    let mut queued = bouncer.client_of(&database);
    for what in ["statement", "transaction", "idle_in_transaction", "queued"] {
        assert_eq!(oldest(what), Some(0.0), "{what}: nothing goes on");
    }
    idle.ok("begin");
    busy.put(&query("select pg_sleep(60)"));
    assert_soon!(oldest("statement") > Some(0.05), "a statement runs");
    queued.put(&query("select 1"));
    assert_soon!(oldest("queued") > Some(0.05), "one is queued");
    assert_soon!(oldest("idle_in_transaction") > Some(0.05), "one idles");
    // Asked first: both grow while they are asked for.
    let idleness = oldest("idle_in_transaction");
    assert!(oldest("transaction") >= idleness);
    idle.ok("commit");
    queued.until_ready();
    assert_soon!(
        oldest("queued") == Some(0.0) && oldest("idle_in_transaction") == Some(0.0),
        "over: {}",
        bouncer.http("/metrics")
    );
    assert!(oldest("statement") > Some(0.0), "this one still runs");
}
