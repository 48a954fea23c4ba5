//! What pgweir promises, told from outside: real PostgreSQL, real binary, bytes on the wire.
//! One chapter: `cargo test --test spec transaction`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "spec/support/mod.rs"]
mod support;

// When a server is linked and released: transactions, pipelines, errors, leaving.
#[path = "spec/transaction.rs"]
mod transaction;
// COPY in both directions, and its failures.
#[path = "spec/copy.rs"]
mod copy;
// Messages larger than any buffer.
#[path = "spec/big.rs"]
mod big;
// Cancel requests reach the right backend or none.
#[path = "spec/cancel.rs"]
mod cancel;
// Logging in: every auth_type, startup packets, and every way to get them wrong.
#[path = "spec/login.rs"]
mod login;
// The same over TLS.
#[path = "spec/login_tls.rs"]
mod login_tls;
// Pool sizes and every cap on connections.
#[path = "spec/pool_limits.rs"]
mod pool_limits;
// Who keeps a server, why and since when.
#[path = "spec/screens_pins.rs"]
mod screens_pins;
// Settings of the startup packet.
#[path = "spec/startup.rs"]
mod startup;
// Servers that their clients keep between transactions.
#[path = "spec/pins.rs"]
mod pins;
// What functions leave in a session, and which leave nothing.
#[path = "spec/functions.rs"]
mod functions;
#[path = "spec/sequences.rs"]
mod sequences;
// A goodbye, half a pipeline or a lost server between a question of ours and its answer.
#[path = "spec/interleaved.rs"]
mod interleaved;
// A process that waits for a server which only itself would give back.
#[path = "spec/nested.rs"]
mod nested;
// Odoo's way of using PostgreSQL: psycopg2, several processes, invariants.
#[path = "spec/odoo.rs"]
mod odoo;
// Settings a client made follow it from server to server.
#[path = "spec/parameters.rs"]
mod parameters;
// What is read in statements that change a session, beside what a server makes of them.
#[path = "spec/effects.rs"]
mod effects;
// Named prepared statements in transaction mode.
#[path = "spec/prepared.rs"]
mod prepared;
// Prepared statements behind a change of the schema.
#[path = "spec/prepared_heal.rs"]
mod prepared_heal;
// Columns that a client has been told, on a server that parses its statement later.
#[path = "spec/prepared_columns.rs"]
mod prepared_columns;
// PREPARE, EXECUTE and DEALLOCATE as SQL in transaction mode.
#[path = "spec/prepared_sql.rs"]
mod prepared_sql;
// The unnamed statement in transaction mode.
#[path = "spec/prepared_unnamed.rs"]
mod prepared_unnamed;
// Everything that ends by itself after a while.
#[path = "spec/timeouts.rs"]
mod timeouts;
// Session and statement mode, alone and beside transaction mode.
#[path = "spec/modes.rs"]
mod modes;
// The admin console: who may, which columns.
#[path = "spec/console.rs"]
mod console;
// What its commands do.
#[path = "spec/console_verbs.rs"]
mod console_verbs;
// Its sessions: waiting commands, cancels, hang-ups, broken frames, averages.
#[path = "spec/console_sessions.rs"]
mod console_sessions;
// The console's own screens and verbs: activity, locks, alerts, cancel and kill.
#[path = "spec/screens.rs"]
mod screens;
// What they say of statements and transactions.
#[path = "spec/screens_figures.rs"]
mod screens_figures;
// What they say of a pile-up of locks, and how it is ended.
#[path = "spec/screens_locks.rs"]
mod screens_locks;
// The process from outside: signals, command line, pidfile, log lines.
#[path = "spec/signals.rs"]
mod signals;
// Configuration: what is accepted, what is refused and how, reload.
#[path = "spec/config.rs"]
mod config;
// What goes wrong with PostgreSQL or a client, and what the others notice of it.
#[path = "spec/faults.rs"]
mod faults;
// Bytes from strangers.
#[path = "spec/malformed.rs"]
mod malformed;
// Never mixed up: crowds on few servers.
#[path = "spec/isolation.rs"]
mod isolation;
// LISTEN and NOTIFY in transaction mode: what is delivered, when, and to whom.
#[path = "spec/listen.rs"]
mod listen;
// LISTEN under load and under attack: each notification once, in order, in bounded memory.
#[path = "spec/listen_storm.rs"]
mod listen_storm;
// psql, pgbench, pg_dump, pg_restore, tokio-postgres.
#[path = "spec/tools.rs"]
mod tools;
// /metrics, /healthz, /readyz.
#[path = "spec/metrics.rs"]
mod metrics;
// Whose statement an answer is: each is counted once, where it belongs.
#[path = "spec/attribution.rs"]
mod attribution;
// Calls and rows are those of pg_stat_statements.
#[path = "spec/exactness.rs"]
mod exactness;
// Statements in /metrics: sums, targets, flags, bounds.
#[path = "spec/metrics_insight.rs"]
mod metrics_insight;
// The slow log, and what pgbadger reads in it.
#[path = "spec/slow_log.rs"]
mod slow_log;
// The alert rules that ship, held by promtool.
#[path = "spec/alerts.rs"]
mod alerts;
// The Grafana dashboard that ships.
#[path = "spec/dashboard.rs"]
mod dashboard;
// The query pack that ships, on real PostgreSQL.
#[path = "spec/queries.rs"]
mod queries;
// Running out of file descriptors.
#[path = "spec/descriptors.rs"]
mod descriptors;
// Long pipelines: nothing is lost, and memory stays bounded.
#[path = "spec/pipelines.rs"]
mod pipelines;
// Host names whose addresses change.
#[path = "spec/dns.rs"]
mod dns;
// Settings with one visible effect each.
#[path = "spec/settings.rs"]
mod settings;
// The connection that asks PostgreSQL: what it needs, survives, and never disturbs.
#[path = "spec/sidecar.rs"]
mod sidecar;
// Who waits for whose lock, and whose client that is.
#[path = "spec/blocking.rs"]
mod blocking;
// Nothing spins: whoever waits costs no CPU.
#[path = "spec/quiet.rs"]
mod quiet;
// Corners of the protocol: half frames, goodbyes in the middle, statements undone by errors.
#[path = "spec/edges.rs"]
mod edges;
// Corners of what is counted: floods, silence, skipped requests, names.
#[path = "spec/observation.rs"]
mod observation;
// Corners of the pool: counts, queues, removal.
#[path = "spec/pool_edges.rs"]
mod pool_edges;

// Fingerprints beside PostgreSQL's query_id; `pgweir --fingerprint`.
#[path = "spec/fingerprint.rs"]
mod fingerprint;

// Random traffic whose every reply carries its own marker; PGWEIR_STRESS=seconds for a longer run.
#[path = "spec/stress.rs"]
mod stress;

// Random sessions, step by step the same as on a direct connection; PGWEIR_TWIN=scripts for a longer run.
#[path = "spec/twin.rs"]
mod twin;

// What a client leaves behind when it goes, in every way of going: nothing.
#[path = "spec/leaks.rs"]
mod leaks;

// Clients that ask for too much of a session harm nobody else.
#[path = "spec/abuse.rs"]
mod abuse;
// pg_dump, pg_restore, psql and migrations in transaction mode, with neighbours who must not notice.
#[path = "spec/migrations.rs"]
mod migrations;
