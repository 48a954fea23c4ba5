#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::config::PoolMode;
use crate::insight::export::{Export, FlagExport, PoolExport, TopExport, TopInfo};
use crate::listen::view::HubFigures;
use crate::pool::view::{DatabaseRow, ListenRow, Lists, PoolRow, WaitRow};
use crate::stats::Totals;
use crate::stats::events::Event;

/// One statement ran ten times and failed once.
fn insight() -> Export {
    let dairy = || (Arc::from("dairy"), Arc::from("odoo"));
    let mut pool = PoolExport::default();
    pool.statements.add(2_500);
    pool.transactions.add(30_000_000);
    pool.parts.wait = 1_500_000;
    pool.classes[0] = 10;
    pool.rows[0] = 30;
    let top = |fingerprint| TopExport {
        fingerprint,
        pool: dairy(),
        amounts: [10, 2_500, 30, 1],
    };
    Export {
        pools: vec![(dairy(), pool)],
        errors: vec![("dairy".into(), "23".to_owned(), 1)],
        top: vec![top(Some(0xab)), top(None)],
        infos: vec![TopInfo {
            fingerprint: 0xab,
            verb: "select".to_owned(),
            table: "stock_quant".to_owned(),
        }],
        apps: vec![("odoo-*".into(), 2_500)],
        targets: vec![("pk".into(), 10, 1)],
        flags: vec![FlagExport {
            database: "dairy".into(),
            flag: "blocked",
            severity: "critical",
            flagged: 1,
            begun: 3,
        }],
        lock_waits: vec![("dairy".into(), 0)],
        ..Export::default()
    }
}

fn ages() -> ages::Ages {
    ages::Ages {
        statement: 1_500_000,
        transaction: 2_000_000,
        idle_in_transaction: 300_000_000,
        queued: 0,
    }
}

fn snapshot() -> Snapshot {
    let event = |event, label: &str| (event, "dairy".to_owned(), label.to_owned(), 3);
    let mut totals = Totals::default();
    for (index, value) in totals.0.iter_mut().enumerate() {
        *value = 1_000_000 * (index as u64 + 1);
    }
    Snapshot {
        started: SystemTime::now(),
        databases: vec![DatabaseRow {
            name: "dairy".into(),
            host: Some("db \"one\"".into()),
            port: 5432,
            database: "dairy".into(),
            pool_mode: Some(PoolMode::Transaction),
            pool_size: 20,
            is_paused: true,
            ..DatabaseRow::default()
        }],
        pools: vec![PoolRow {
            database: "dairy".into(),
            user: "odoo".into(),
            cl_active: 7,
            max_wait_us: 2_900_000,
            ..PoolRow::default()
        }],
        totals: vec![("dairy".into(), totals)],
        waits: vec![WaitRow {
            database: "dairy".into(),
            user: "odoo".into(),
            counts: [5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            sum_us: 121_000_000,
        }],
        listening: vec![ListenRow {
            database: "dairy".into(),
            user: "odoo".into(),
            figures: HubFigures {
                connections: 1,
                clients: 3,
                channels: 2,
                received: 40,
                delivered: 90,
                dropped_overflow: 5,
                dropped_gone: 6,
                reconnects: 1,
            },
        }],
        lists: Lists {
            databases: 2,
            used_clients: 8,
            ..Lists::default()
        },
        max_client_conn: 1000,
        max_user_connections: 0,
        lanes: vec![LaneRow {
            cpu: Duration::from_millis(1250),
            clients: 8,
        }],
        events: vec![
            event(Event::ClientLogin, "ok"),
            event(Event::ClientError, "query_wait_timeout"),
            event(Event::ServerOpened, ""),
            event(Event::ServerClosed, "server idle timeout"),
            event(Event::ClientClosed, "client close request"),
            event(Event::ServerLoginFailure, "28P01"),
            event(Event::Reserve, "odoo"),
            event(Event::Pin, "library"),
            event(Event::Nested, "error"),
        ],
        asked: crate::http::sidecar::Asked::default(),
        reload: Reload::default().row(),
        pins: [(("dairy".into(), "odoo".into(), "library"), 2)].into(),
        ages: [("dairy".into(), ages())].into(),
        insight: insight(),
        series_limit: 5000,
        series_dropped: 2,
    }
}

/// The names a dashboard may rely on; a change here is a change for users.
const NAMES: &str = "\
process_cpu_seconds_total counter
process_resident_memory_bytes gauge
process_open_fds gauge
process_max_fds gauge
process_start_time_seconds gauge
pgbouncer_up gauge
pgbouncer_version_info gauge
pgbouncer_databases gauge
pgbouncer_users gauge
pgbouncer_pools gauge
pgbouncer_free_clients gauge
pgbouncer_used_clients gauge
pgbouncer_login_clients gauge
pgbouncer_free_servers gauge
pgbouncer_used_servers gauge
pgbouncer_cached_dns_names gauge
pgbouncer_cached_dns_zones gauge
pgbouncer_in_flight_dns_queries gauge
pgbouncer_config_max_client_connections gauge
pgbouncer_config_max_user_connections gauge
pgbouncer_databases_pool_size gauge
pgbouncer_databases_reserve_pool gauge
pgbouncer_databases_max_connections gauge
pgbouncer_databases_current_connections gauge
pgbouncer_databases_paused gauge
pgbouncer_databases_disabled gauge
pgbouncer_pools_client_active_connections gauge
pgbouncer_pools_client_active_cancel_connections gauge
pgbouncer_pools_client_waiting_connections gauge
pgbouncer_pools_client_waiting_cancel_connections gauge
pgbouncer_pools_server_active_connections gauge
pgbouncer_pools_server_active_cancel_connections gauge
pgbouncer_pools_server_being_canceled_connections gauge
pgbouncer_pools_server_idle_connections gauge
pgbouncer_pools_server_used_connections gauge
pgbouncer_pools_server_testing_connections gauge
pgbouncer_pools_server_login_connections gauge
pgbouncer_pools_client_maxwait_seconds gauge
pgbouncer_stats_totals_queries_pooled_total counter
pgbouncer_stats_totals_queries_duration_seconds_total counter
pgbouncer_stats_totals_received_bytes_total counter
pgbouncer_stats_totals_sent_bytes_total counter
pgbouncer_stats_totals_client_wait_seconds_total counter
pgbouncer_stats_totals_sql_transactions_pooled_total counter
pgbouncer_stats_totals_server_in_transaction_seconds_total counter
pgbouncer_stats_totals_client_parses_total counter
pgbouncer_stats_totals_server_parses_total counter
pgbouncer_stats_totals_binds_total counter
pgweir_build_info gauge
pgweir_lane_cpu_seconds_total counter
pgweir_lane_clients gauge
pgweir_config_last_reload_successful gauge
pgweir_config_last_reload_success_timestamp_seconds gauge
pgweir_pool_wait_seconds histogram
pgweir_client_logins_total counter
pgweir_client_errors_total counter
pgweir_client_connections_closed_total counter
pgweir_server_connections_opened_total counter
pgweir_server_connections_closed_total counter
pgweir_server_login_failures_total counter
pgweir_reserve_connections_total counter
pgweir_pins_total counter
pgweir_nested_transactions_total counter
pgweir_listen_connections gauge
pgweir_listen_clients gauge
pgweir_listen_channels gauge
pgweir_notifications_received_total counter
pgweir_notifications_delivered_total counter
pgweir_listen_reconnects_total counter
pgweir_notifications_dropped_total counter
pgweir_oldest_statement_seconds gauge
pgweir_oldest_transaction_seconds gauge
pgweir_oldest_idle_in_transaction_seconds gauge
pgweir_oldest_queued_seconds gauge
pgweir_pins gauge
pgweir_statement_groups gauge
pgweir_statement_groups_limit gauge
pgweir_statement_evictions_total counter
pgweir_texts_dropped_total counter
pgweir_slow_log_lines_total counter
pgweir_slow_log_suppressed_total counter
pgweir_sessions_flagged gauge
pgweir_flags_total counter
pgweir_oldest_lock_wait_seconds gauge
pgweir_statement_seconds histogram
pgweir_statement_errors_total counter
pgweir_target_calls_total counter
pgweir_target_missed_total counter
pgweir_statement_part_seconds_total counter
pgweir_statements_total counter
pgweir_statement_rows_total counter
pgweir_transaction_seconds histogram
pgweir_application_statement_seconds_total counter
pgweir_top_statement_info gauge
pgweir_top_statement_calls_total counter
pgweir_top_statement_seconds_total counter
pgweir_top_statement_rows_total counter
pgweir_top_statement_errors_total counter
pgweir_metrics_series_dropped_total counter
";

#[test]
fn names_and_types() {
    let body = render(&snapshot()).0;
    let types = body.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    assert_eq!(
        types.map(|line| format!("{line}\n")).collect::<String>(),
        NAMES
    );
}

#[test]
fn samples_carry_the_exporters_labels_and_units() {
    let body = render(&snapshot()).0;
    for line in [
        "pgbouncer_databases_paused{name=\"dairy\",host=\"db \\\"one\\\"\",port=\"5432\",\
         database=\"dairy\",force_user=\"\",pool_mode=\"transaction\"} 1",
        "pgbouncer_pools_client_active_connections{database=\"dairy\",user=\"odoo\"} 7",
        "pgbouncer_pools_client_maxwait_seconds{database=\"dairy\",user=\"odoo\"} 2",
        "pgbouncer_stats_totals_queries_pooled_total{database=\"dairy\"} 3000000",
        "pgbouncer_stats_totals_queries_duration_seconds_total{database=\"dairy\"} 7",
        "pgweir_pool_wait_seconds_bucket{database=\"dairy\",user=\"odoo\",le=\"120\"} 5",
        "pgweir_pool_wait_seconds_count{database=\"dairy\",user=\"odoo\"} 6",
        "pgweir_lane_cpu_seconds_total{lane=\"0\"} 1.25",
        "pgweir_oldest_statement_seconds{database=\"dairy\"} 1.5",
        "pgweir_oldest_idle_in_transaction_seconds{database=\"dairy\"} 300",
        "pgweir_client_logins_total{database=\"dairy\",result=\"ok\"} 3",
        "pgweir_server_connections_opened_total{database=\"dairy\"} 3",
        "pgweir_server_login_failures_total{database=\"dairy\",sqlstate=\"28P01\"} 3",
        "pgweir_reserve_connections_total{database=\"dairy\",user=\"odoo\"} 3",
        "pgweir_pins_total{database=\"dairy\",reason=\"library\"} 3",
        "pgweir_pins{database=\"dairy\",user=\"odoo\",reason=\"library\"} 2",
        "pgweir_nested_transactions_total{database=\"dairy\",result=\"error\"} 3",
        "pgweir_listen_connections{database=\"dairy\",user=\"odoo\"} 1",
        "pgweir_listen_clients{database=\"dairy\",user=\"odoo\"} 3",
        "pgweir_listen_channels{database=\"dairy\",user=\"odoo\"} 2",
        "pgweir_notifications_received_total{database=\"dairy\",user=\"odoo\"} 40",
        "pgweir_notifications_delivered_total{database=\"dairy\",user=\"odoo\"} 90",
        "pgweir_notifications_dropped_total{database=\"dairy\",user=\"odoo\",reason=\"listen_buffer\"} 5",
        "pgweir_notifications_dropped_total{database=\"dairy\",user=\"odoo\",reason=\"gone\"} 6",
        "pgweir_listen_reconnects_total{database=\"dairy\",user=\"odoo\"} 1",
        "pgweir_config_last_reload_successful 1",
        "pgweir_statement_seconds_bucket{database=\"dairy\",user=\"odoo\",le=\"0.005\"} 1",
        "pgweir_transaction_seconds_sum{database=\"dairy\",user=\"odoo\"} 30",
        "pgweir_statement_part_seconds_total{database=\"dairy\",user=\"odoo\",part=\"wait\"} 1.5",
        "pgweir_statements_total{database=\"dairy\",user=\"odoo\",class=\"select\"} 10",
        "pgweir_statement_errors_total{database=\"dairy\",sqlstate=\"23\"} 1",
        "pgweir_top_statement_info{fingerprint=\"00000000000000ab\",verb=\"select\",table=\"stock_quant\"} 1",
        "pgweir_top_statement_seconds_total{fingerprint=\"(other)\",database=\"dairy\",user=\"odoo\"} 0.0025",
        "pgweir_flags_total{database=\"dairy\",flag=\"blocked\",severity=\"critical\"} 3",
        "pgweir_target_missed_total{target=\"pk\"} 1",
        "pgweir_metrics_series_dropped_total 2",
    ] {
        assert!(body.lines().any(|l| l == line), "missing: {line}\n{body}");
    }
}

/// Prometheus' own judgement, where it is installed.
#[test]
fn promtool_finds_nothing_to_say() {
    let spawned = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = spawned else {
        return;
    };
    let body = render(&snapshot()).0;
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(body.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

struct Fake {
    ready: AtomicBool,
}

impl Source for Fake {
    fn metrics(&self) -> String {
        "x 1\n".into()
    }
    fn is_ready(&self) -> bool {
        self.ready.load(Relaxed)
    }
}

async fn free_address() -> String {
    let probe = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    probe.local_addr().unwrap().to_string()
}

async fn ask(addr: &str, request: &str) -> String {
    let mut stream = loop {
        match TcpStream::connect(addr).await {
            Ok(stream) => break stream,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    let request = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.to_lowercase()
}

#[tokio::test]
async fn routes() {
    let addr = free_address().await;
    let fake = Arc::new(Fake {
        ready: AtomicBool::new(true),
    });
    let source: Arc<dyn Source> = fake.clone();
    let at = addr.clone();
    let server = tokio::spawn(async move { serve(&at, source).await });

    let metrics = ask(&addr, "GET /metrics").await;
    assert!(metrics.starts_with("http/1.1 200"), "{metrics}");
    assert!(metrics.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert!(metrics.ends_with("\r\n\r\nx 1\n"));
    assert!(ask(&addr, "GET /healthz").await.ends_with("ok\n"));
    assert!(ask(&addr, "GET /readyz").await.starts_with("http/1.1 200"));
    assert!(
        ask(&addr, "GET /metrics/x")
            .await
            .starts_with("http/1.1 404")
    );
    assert!(
        ask(&addr, "POST /metrics")
            .await
            .starts_with("http/1.1 405")
    );
    let head = ask(&addr, "HEAD /healthz").await;
    assert!(
        head.starts_with("http/1.1 200") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    assert!(ask(&addr, "rubbish\r\n").await.starts_with("http/1.1 400"));

    fake.ready.store(false, Relaxed);
    assert!(ask(&addr, "GET /readyz").await.starts_with("http/1.1 503"));
    assert!(ask(&addr, "GET /healthz").await.starts_with("http/1.1 200"));
    server.abort();
}

#[tokio::test]
async fn an_address_in_use_is_tried_again() {
    let holder = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = holder.local_addr().unwrap().to_string();
    let at = addr.clone();
    let bound = tokio::spawn(async move {
        let listener = serve::bind_patiently(&at, Duration::from_millis(5)).await;
        listener.local_addr().unwrap().to_string()
    });
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert!(!bound.is_finished());
    drop(holder);
    assert_eq!(bound.await.unwrap(), addr);
}

#[tokio::test]
async fn more_connections_than_places_wait_their_turn() {
    let addr = free_address().await;
    let at = addr.clone();
    let source: Arc<dyn Source> = Arc::new(Fake {
        ready: AtomicBool::new(true),
    });
    let server = tokio::spawn(async move { serve(&at, source).await });
    ask(&addr, "GET /healthz").await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(&addr).await.unwrap());
    }
    let waiting = ask(&addr, "GET /healthz");
    let answered = tokio::time::timeout(Duration::from_millis(200), waiting).await;
    assert!(answered.is_err(), "all places are taken");
    drop(silent);
    assert!(ask(&addr, "GET /healthz").await.ends_with("ok\n"));
    server.abort();
}

/// A pooler that nobody has connected to yet.
fn idle_directory() -> Arc<crate::pool::Directory> {
    use crate::pool::{Directory, Live, NewShared, Shared};
    let ini =
        b"[databases]\nb = host=h1,h2 user=u pool_size=7\na = host=10.0.0.1 port=5433 dbname=x\n\
                [pgbouncer]\npool_mode = transaction\nreserve_pool_size = 5\n";
    let config = crate::config::parse(std::path::Path::new("t.ini"), ini).unwrap();
    let live = Live {
        config,
        userlist: crate::config::Userlist::default(),
        client_tls: None,
        server_tls: Arc::new(crate::net::tls::ServerTls::disabled()),
        socket_options: crate::net::SocketOptions::default(),
    };
    let key_cache = Arc::new(crate::auth::scram::KeyCache::open().unwrap());
    let new = NewShared {
        lanes: Vec::new(),
        live,
        key_cache,
        resolver: Arc::default(),
    };
    Directory::open(Shared::assemble(new))
}

#[test]
fn an_idle_pooler_shows_its_databases_and_the_console() {
    let directory = idle_directory();
    let face = Face::of(Arc::clone(&directory), Arc::default());
    assert!(face.is_ready());
    let body = face.metrics();
    for line in [
        "pgbouncer_databases 3",
        "pgbouncer_users 2",
        "pgbouncer_pools 2",
        "pgbouncer_databases_pool_size{name=\"a\",host=\"10.0.0.1\",port=\"5433\",database=\"x\",force_user=\"\",pool_mode=\"\"} 20",
        "pgbouncer_databases_pool_size{name=\"b\",host=\"h1,h2\",port=\"5432\",database=\"b\",force_user=\"u\",pool_mode=\"\"} 7",
        "pgbouncer_databases_pool_size{name=\"pgbouncer\",host=\"\",port=\"6432\",database=\"pgbouncer\",force_user=\"pgbouncer\",pool_mode=\"statement\"} 2",
        "pgbouncer_pools_server_login_connections{database=\"b\",user=\"u\"} 0",
        "pgbouncer_config_max_client_connections 100",
    ] {
        assert!(body.lines().any(|l| l == line), "missing: {line}\n{body}");
    }
    directory.begin_shutdown(true);
    assert!(!face.is_ready());
}
