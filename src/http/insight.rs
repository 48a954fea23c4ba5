//! `pgweir_*` of statements and transactions (operator.md 3.1).
//!
//! No text of a statement is a label, nor anything a statement's constants could be in.

use super::text::{Kind, Text, seconds};
use crate::insight::export::{Export, FlagExport, PoolExport};
use crate::insight::figures::{BOUNDS_US, Bounded};
use crate::insight::names::PoolName;

/// Writes all families; those that matter most first, in case the limit of series is reached.
pub fn write(text: &mut Text, export: &Export) {
    write_table(text, export);
    write_flags(text, export);
    write_histogram(
        text,
        "pgweir_statement_seconds",
        "Server time of statements, transaction control left out.",
        export,
        |pool| &pool.statements,
    );
    write_errors(text, export);
    write_targets(text, export);
    write_parts(text, export);
    write_classes(text, export);
    write_histogram(
        text,
        "pgweir_transaction_seconds",
        "How long transactions held their server.",
        export,
        |pool| &pool.transactions,
    );
    write_apps(text, export);
    write_top(text, export);
}

fn write_table(text: &mut Text, export: &Export) {
    let totals = &export.totals;
    for (name, kind, help, value) in [
        (
            "pgweir_statement_groups",
            Kind::Gauge,
            "Groups of statements kept apart.",
            totals.groups,
        ),
        (
            "pgweir_statement_groups_limit",
            Kind::Gauge,
            "Setting statement_table_size.",
            totals.groups_limit,
        ),
        (
            "pgweir_statement_evictions_total",
            Kind::Counter,
            "Groups that went to (evicted), and statements that got none.",
            totals.evictions + totals.overflowed,
        ),
        (
            "pgweir_texts_dropped_total",
            Kind::Counter,
            "Texts of new statements for which there was no room.",
            totals.texts_dropped,
        ),
        (
            "pgweir_slow_log_lines_total",
            Kind::Counter,
            "Statements written to the slow log.",
            totals.slow_log_lines,
        ),
        (
            "pgweir_slow_log_suppressed_total",
            Kind::Counter,
            "Statements left out of the slow log, by its rate or for want of room.",
            totals.slow_log_suppressed,
        ),
    ] {
        text.single(name, kind, help, value);
    }
}

fn write_flags(text: &mut Text, export: &Export) {
    let mut write = |name: &str, kind, help: &str, of: fn(&FlagExport) -> u64| {
        let mut family = text.family(name, kind, help);
        for flag in &export.flags {
            let labels = [
                ("database", &*flag.database),
                ("flag", flag.flag),
                ("severity", flag.severity),
            ];
            family.sample(&labels, of(flag));
        }
    };
    let help = "Sessions that are slow, queued, blocked, blocking or idle in a transaction.";
    write("pgweir_sessions_flagged", Kind::Gauge, help, |f| f.flagged);
    let help = "Flags that have begun, so that short ones between two scrapes are seen.";
    write("pgweir_flags_total", Kind::Counter, help, |f| f.begun);
    let name = "pgweir_oldest_lock_wait_seconds";
    let mut family = text.family(name, Kind::Gauge, "The longest wait for a lock now.");
    for (database, wait) in &export.lock_waits {
        family.sample(&[("database", database)], seconds(*wait));
    }
}

fn labels((database, user): &PoolName) -> [(&'static str, &str); 2] {
    [("database", database), ("user", user)]
}

fn write_histogram(
    text: &mut Text,
    name: &str,
    help: &str,
    export: &Export,
    of: fn(&PoolExport) -> &Bounded,
) {
    let mut family = text.family(name, Kind::Histogram, help);
    for (pool, figures) in &export.pools {
        let bounded = of(figures);
        family.histogram(labels(pool), &BOUNDS_US, &bounded.counts, bounded.sum_us);
    }
}

fn write_parts(text: &mut Text, export: &Export) {
    let mut family = text.family(
        "pgweir_statement_part_seconds_total",
        Kind::Counter,
        "Time of statements by part; blocked lies inside server, think comes after the statement.",
    );
    for (pool, figures) in &export.pools {
        let parts = &figures.parts;
        for (part, us) in [
            ("wait", parts.wait),
            ("server", parts.server),
            ("blocked", parts.blocked),
            ("transfer", parts.transfer),
            ("think", parts.think),
        ] {
            let [database, user] = labels(pool);
            family.sample(&[database, user, ("part", part)], seconds(us));
        }
    }
}

fn write_classes(text: &mut Text, export: &Export) {
    let help = "Statements that ended, well or not.";
    let mut family = text.family("pgweir_statements_total", Kind::Counter, help);
    for (pool, figures) in &export.pools {
        let [database, user] = labels(pool);
        for (class, statements, _) in figures.by_class() {
            family.sample(&[database, user, ("class", class)], statements);
        }
    }
    let help = "Rows returned or changed.";
    let mut family = text.family("pgweir_statement_rows_total", Kind::Counter, help);
    for (pool, figures) in &export.pools {
        let [database, user] = labels(pool);
        for (class, _, rows) in figures.by_class() {
            family.sample(&[database, user, ("class", class)], rows);
        }
    }
}

fn write_errors(text: &mut Text, export: &Export) {
    let mut family = text.family(
        "pgweir_statement_errors_total",
        Kind::Counter,
        "Errors PostgreSQL sent, by class of SQLSTATE, or by the codes that matter alone.",
    );
    for (database, sqlstate, count) in &export.errors {
        family.sample(&[("database", database), ("sqlstate", sqlstate)], count);
    }
}

fn write_apps(text: &mut Text, export: &Export) {
    let mut family = text.family(
        "pgweir_application_statement_seconds_total",
        Kind::Counter,
        "Server time of statements by application, process ids masked.",
    );
    for (application, us) in &export.apps {
        family.sample(&[("application", application)], seconds(*us));
    }
}

fn write_targets(text: &mut Text, export: &Export) {
    let help = "Statements that have a target in targets_file.";
    let mut family = text.family("pgweir_target_calls_total", Kind::Counter, help);
    for (target, calls, _) in &export.targets {
        family.sample(&[("target", target)], calls);
    }
    let help = "Of these, the ones whose server time was over it.";
    let mut family = text.family("pgweir_target_missed_total", Kind::Counter, help);
    for (target, _, missed) in &export.targets {
        family.sample(&[("target", target)], missed);
    }
}

fn write_top(text: &mut Text, export: &Export) {
    let help = "What a fingerprint with counters of its own is about.";
    let mut family = text.family("pgweir_top_statement_info", Kind::Gauge, help);
    for info in &export.infos {
        let fingerprint = format!("{:016x}", info.fingerprint);
        let labels = [
            ("fingerprint", fingerprint.as_str()),
            ("verb", &info.verb),
            ("table", &info.table),
        ];
        family.sample(&labels, 1);
    }
    const FAMILIES: [(&str, &str); 4] = [
        (
            "pgweir_top_statement_calls_total",
            "Calls of the heaviest statements; (other) is the rest.",
        ),
        (
            "pgweir_top_statement_seconds_total",
            "Server time of the heaviest statements; (other) is the rest.",
        ),
        (
            "pgweir_top_statement_rows_total",
            "Rows of the heaviest statements; (other) is the rest.",
        ),
        (
            "pgweir_top_statement_errors_total",
            "Errors of the heaviest statements; (other) is the rest.",
        ),
    ];
    for (at, (name, help)) in FAMILIES.into_iter().enumerate() {
        let mut family = text.family(name, Kind::Counter, help);
        for top in &export.top {
            let fingerprint = match top.fingerprint {
                Some(fingerprint) => format!("{fingerprint:016x}"),
                None => "(other)".to_owned(),
            };
            let [database, user] = labels(&top.pool);
            let labels = [("fingerprint", fingerprint.as_str()), database, user];
            match at {
                1 => family.sample(&labels, seconds(top.amounts[at])),
                _ => family.sample(&labels, top.amounts[at]),
            }
        }
    }
}
