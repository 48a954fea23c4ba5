//! What each rule is held to: series, and which severities fire for which values.
//!
//! `$0`, `$1` in a form are the values of an outcome. Forms are promtool's: `0+5x70` counts up by 5 a
//! minute, `7x70` stays, `_x62 1x7` appears after an hour. Job and instance are added to each series.

/// One alert's series and outcomes.
pub struct Case {
    pub alert: &'static str,
    /// The set-up it is for; empty = both.
    pub setup: &'static str,
    pub series: &'static [(&'static str, &'static str)],
    /// Values, and the severities that fire then.
    pub outcomes: &'static [(&'static [&'static str], &'static str)],
}

impl Case {
    /// Every severity that some outcome has.
    pub fn severities(&self) -> Vec<&'static &'static str> {
        const BOTH: [&str; 2] = ["warning", "critical"];
        let fires = |word: &&&str| self.outcomes.iter().any(|(_, all)| all.contains(**word));
        BOTH.iter().filter(fires).collect()
    }
}

const fn both(
    alert: &'static str,
    series: &'static [(&'static str, &'static str)],
    outcomes: &'static [(&'static [&'static str], &'static str)],
) -> Case {
    only("", alert, series, outcomes)
}

const fn only(
    setup: &'static str,
    alert: &'static str,
    series: &'static [(&'static str, &'static str)],
    outcomes: &'static [(&'static [&'static str], &'static str)],
) -> Case {
    Case {
        alert,
        setup,
        series,
        outcomes,
    }
}

/// A counter of rare events: still, one more, the very first one, and one that was counted before
/// Prometheus first came by.
const EVENTS: &[(&[&str], &str)] = &[
    (&["3x70", "1x70"], ""),
    (&["3x62 4x7", "1x70"], "critical"),
    (&["_x62 1x7", "1x70"], "critical"),
    (&["_x62 9x7", "_x62 1x7"], ""),
];
const MILD_EVENTS: &[(&[&str], &str)] = &[
    (&["3x70", "1x70"], ""),
    (&["3x62 4x7", "1x70"], "warning"),
    (&["_x62 1x7", "1x70"], "warning"),
    (&["_x62 9x7", "_x62 1x7"], ""),
];
/// Rows of blocks from the cache: of 10,000 a minute, and of 900, which are too few to judge.
const BLOCKS: &[(&str, &str)] = &[
    (
        "pgweir_pg_blocks_hit_total{server=\"s\",database=\"d\"}",
        "0+$0x70",
    ),
    (
        "pgweir_pg_blocks_read_total{server=\"s\",database=\"d\"}",
        "0+$1x70",
    ),
];
const CONNECTIONS: &[(&str, &str)] = &[
    (
        "pgweir_pg_connections{server=\"s\",state=\"active\"}",
        "$0x70",
    ),
    (
        "pgweir_pg_connections{server=\"s\",state=\"idle\"}",
        "10x70",
    ),
    ("pgweir_pg_connections_limit{server=\"s\"}", "100x70"),
];
const DEAD_ROWS: &[(&str, &str)] = &[(
    "pgweir_pg_table_dead_rows_ratio{server=\"s\",database=\"d\",schema=\"farm\",table=\"cow\"}",
    "$0x70",
)];

pub const CASES: &[Case] = &[
    both(
        "PgweirStatementMean",
        &[
            (
                "pgweir_statement_seconds_sum{database=\"d\",user=\"u\"}",
                "0+$0x70",
            ),
            (
                "pgweir_statement_seconds_count{database=\"d\",user=\"u\"}",
                "0+$1x70",
            ),
        ],
        &[
            (&["8", "80"], ""),
            (&["8.1", "80"], "warning"),
            (&["40", "80"], "warning"),
            (&["40.1", "80"], "warning critical"),
            // A hundred calls in five minutes are too few to judge.
            (&["200", "20"], ""),
        ],
    ),
    both(
        "PgweirStatementP95",
        &[
            (
                "pgweir_statement_seconds_bucket{database=\"d\",user=\"u\",le=\"0.5\"}",
                "0+$0x70",
            ),
            (
                "pgweir_statement_seconds_bucket{database=\"d\",user=\"u\",le=\"1\"}",
                "0+$1x70",
            ),
            (
                "pgweir_statement_seconds_bucket{database=\"d\",user=\"u\",le=\"2\"}",
                "0+$2x70",
            ),
            (
                "pgweir_statement_seconds_bucket{database=\"d\",user=\"u\",le=\"3\"}",
                "0+100x70",
            ),
            (
                "pgweir_statement_seconds_bucket{database=\"d\",user=\"u\",le=\"+Inf\"}",
                "0+100x70",
            ),
        ],
        &[
            (&["95", "100", "100"], ""),
            (&["94", "100", "100"], "warning"),
            (&["0", "0", "95"], "warning"),
            (&["0", "0", "94"], "warning critical"),
        ],
    ),
    both(
        "PgweirTargetMissed",
        &[
            ("pgweir_target_missed_total{target=\"pk\"}", "0+$0x70"),
            ("pgweir_target_calls_total{target=\"pk\"}", "0+100x70"),
        ],
        &[(&["5"], ""), (&["6"], "warning")],
    ),
    both(
        "PgweirLockWait",
        &[
            (
                "pgweir_flags_total{database=\"d\",flag=\"blocked\",severity=\"warning\"}",
                "$0",
            ),
            ("up{}", "$1"),
            (
                "pgweir_flags_total{database=\"d\",flag=\"idle_in_transaction\",severity=\"warning\"}",
                "0+1x70",
            ),
        ],
        MILD_EVENTS,
    ),
    both(
        "PgweirLockWait",
        &[
            (
                "pgweir_flags_total{database=\"d\",flag=\"blocked\",severity=\"critical\"}",
                "$0",
            ),
            ("up{}", "$1"),
        ],
        EVENTS,
    ),
    both(
        "PgweirBlocked",
        &[
            (
                "pgweir_sessions_flagged{database=\"d\",flag=\"blocked\",severity=\"warning\"}",
                "$0x70",
            ),
            (
                "pgweir_sessions_flagged{database=\"d\",flag=\"slow\",severity=\"warning\"}",
                "9x70",
            ),
        ],
        &[(&["0"], ""), (&["1"], "warning")],
    ),
    both(
        "PgweirLongQueries",
        &[
            (
                "pgweir_pg_long_queries{server=\"s\",database=\"d\"}",
                "$0x70",
            ),
            (
                "pgweir_pg_long_queries{server=\"s\",database=\"e\"}",
                "3x70",
            ),
        ],
        &[(&["2"], ""), (&["3"], "warning")],
    ),
    both(
        "PgweirQueryOverAnHour",
        &[("pgweir_oldest_statement_seconds{database=\"d\"}", "$0x70")],
        &[(&["3600"], ""), (&["3601"], "warning")],
    ),
    both(
        "PgweirIdleInTransaction",
        &[(
            "pgweir_oldest_idle_in_transaction_seconds{database=\"d\"}",
            "$0x70",
        )],
        &[
            (&["300"], ""),
            (&["301"], "warning"),
            (&["3600"], "warning"),
            (&["3601"], "warning critical"),
        ],
    ),
    only(
        "dairy",
        "PostgreSQLConnections",
        CONNECTIONS,
        &[
            (&["70"], ""),
            (&["71"], "warning"),
            (&["80"], "warning"),
            (&["81"], "warning critical"),
        ],
    ),
    only(
        "hotel",
        "PostgreSQLConnections",
        CONNECTIONS,
        &[
            (&["70"], ""),
            (&["71"], "warning"),
            (&["85"], "warning"),
            (&["86"], "warning critical"),
        ],
    ),
    both(
        "PgweirServersNearLimit",
        &[
            (
                "pgbouncer_databases_current_connections{name=\"d\",host=\"h\"}",
                "$0x70",
            ),
            (
                "pgbouncer_databases_max_connections{name=\"d\",host=\"h\"}",
                "$1x70",
            ),
        ],
        &[
            (&["80", "100"], ""),
            (&["81", "100"], "warning"),
            (&["95", "100"], "warning"),
            (&["96", "100"], "warning critical"),
            // No limit.
            (&["96", "0"], ""),
        ],
    ),
    both(
        "PgweirClientsNearLimit",
        &[
            ("pgbouncer_used_clients{}", "$0x70"),
            ("pgbouncer_login_clients{}", "5x70"),
            ("pgbouncer_config_max_client_connections{}", "100x70"),
        ],
        &[
            (&["75"], ""),
            (&["76"], "warning"),
            (&["90"], "warning"),
            (&["91"], "warning critical"),
        ],
    ),
    both(
        "PgweirPoolWait",
        &[
            (
                "pgweir_pool_wait_seconds_bucket{database=\"d\",user=\"u\",le=\"0.1\"}",
                "0+$0x70",
            ),
            (
                "pgweir_pool_wait_seconds_bucket{database=\"d\",user=\"u\",le=\"1\"}",
                "0+$1x70",
            ),
            (
                "pgweir_pool_wait_seconds_bucket{database=\"d\",user=\"u\",le=\"5\"}",
                "0+100x70",
            ),
            (
                "pgweir_pool_wait_seconds_bucket{database=\"d\",user=\"u\",le=\"+Inf\"}",
                "0+100x70",
            ),
        ],
        &[
            (&["95", "100"], ""),
            (&["94", "100"], "warning"),
            (&["0", "95"], "warning"),
            (&["0", "94"], "warning critical"),
        ],
    ),
    both(
        "PgweirClientsRefused",
        &[
            (
                "pgweir_client_errors_total{database=\"d\",reason=\"query_wait_timeout\"}",
                "$0",
            ),
            ("up{}", "$1"),
            (
                "pgweir_client_errors_total{database=\"d\",reason=\"auth_failed\"}",
                "0+1x70",
            ),
        ],
        EVENTS,
    ),
    both(
        "PgweirLaneBusy",
        &[
            ("pgweir_lane_cpu_seconds_total{lane=\"0\"}", "0+$0x70"),
            ("pgweir_lane_cpu_seconds_total{lane=\"1\"}", "0+1x70"),
        ],
        &[(&["50.9"], ""), (&["51.1"], "warning")],
    ),
    both(
        "PgweirDescriptorsNearLimit",
        &[
            ("process_open_fds{}", "$0x70"),
            ("process_max_fds{}", "1000x70"),
            ("process_open_fds{job=\"other\",instance=\"w\"}", "999x70"),
            ("process_max_fds{job=\"other\",instance=\"w\"}", "1000x70"),
        ],
        &[(&["800"], ""), (&["801"], "warning")],
    ),
    only(
        "dairy",
        "PostgreSQLCacheHit",
        BLOCKS,
        &[
            (&["9900", "100"], ""),
            (&["9899", "101"], "warning"),
            (&["9500", "500"], "warning"),
            (&["9499", "501"], "warning critical"),
            (&["100", "900"], ""),
        ],
    ),
    only(
        "hotel",
        "PostgreSQLCacheHit",
        BLOCKS,
        &[
            (&["9500", "500"], ""),
            (&["9499", "501"], "warning"),
            (&["9000", "1000"], "warning"),
            (&["8999", "1001"], "warning critical"),
            (&["100", "900"], ""),
        ],
    ),
    both(
        "PostgreSQLReplicationLag",
        &[(
            "pgweir_pg_replication_lag_seconds{server=\"s\",replica=\"r\"}",
            "$0x70",
        )],
        &[
            (&["1"], ""),
            (&["1.1"], "warning"),
            (&["5"], "warning"),
            (&["5.1"], "warning critical"),
        ],
    ),
    only(
        "dairy",
        "PostgreSQLDeadRows",
        DEAD_ROWS,
        &[(&["0.10"], ""), (&["0.11"], "warning")],
    ),
    only(
        "hotel",
        "PostgreSQLDeadRows",
        DEAD_ROWS,
        &[
            (&["0.20"], ""),
            (&["0.21"], "warning"),
            (&["0.40"], "warning"),
            (&["0.41"], "warning critical"),
        ],
    ),
    both(
        "PostgreSQLVacuumOverdue",
        &[(
            "pgweir_pg_table_vacuum_overdue_seconds{server=\"s\",database=\"d\",schema=\"farm\",table=\"cow\"}",
            "$0x70",
        )],
        &[
            (&["3600"], ""),
            (&["3601"], "warning"),
            (&["14400"], "warning"),
            (&["14401"], "warning critical"),
        ],
    ),
    both(
        "PostgreSQLCheckpoints",
        &[
            (
                "pgweir_pg_checkpoints_total{server=\"s\",kind=\"timed\"}",
                "0+$0x70",
            ),
            (
                "pgweir_pg_checkpoints_total{server=\"s\",kind=\"requested\"}",
                "0+$1x70",
            ),
        ],
        &[
            (&["0.5", "0.5"], ""),
            (&["0.5", "0.75"], "warning"),
            (&["0", "2"], "warning"),
            (&["0", "2.25"], "warning critical"),
        ],
    ),
    both(
        "PostgreSQLDeadlocks",
        &[
            (
                "pgweir_statement_errors_total{database=\"d\",sqlstate=\"40P01\"}",
                "$0",
            ),
            ("up{}", "$1"),
            (
                "pgweir_statement_errors_total{database=\"d\",sqlstate=\"40001\"}",
                "0+1x70",
            ),
        ],
        MILD_EVENTS,
    ),
    both(
        "ServerLoginFailing",
        &[
            (
                "pgweir_server_login_failures_total{database=\"d\",sqlstate=\"53300\"}",
                "$0",
            ),
            ("up{}", "$1"),
        ],
        EVENTS,
    ),
    both(
        "HostCpu",
        &[
            (
                "node_cpu_seconds_total{job=\"node\",instance=\"h\",mode=\"idle\",cpu=\"0\"}",
                "0+$0x70",
            ),
            (
                "node_cpu_seconds_total{job=\"node\",instance=\"h\",mode=\"user\",cpu=\"0\"}",
                "0+$1x70",
            ),
        ],
        &[
            (&["18.1", "41.9"], ""),
            (&["17", "43"], "warning"),
            (&["9.1", "50.9"], "warning"),
            (&["8", "52"], "warning critical"),
        ],
    ),
    both(
        "PgweirDown",
        &[("up{}", "$0")],
        &[(&["1x70"], ""), (&["1x60 0x9"], "critical")],
    ),
    // Nobody scrapes it any more: then there is no series to be 0.
    both(
        "PgweirDown",
        &[("up{job=\"$0\",instance=\"w\"}", "1x70")],
        &[(&[], "critical")],
    ),
    both(
        "PgweirSidecarBlind",
        &[("pgweir_sidecar_up{server=\"s\"}", "$0x70")],
        &[(&["1"], ""), (&["0"], "warning")],
    ),
    both(
        "PgweirReloadFailed",
        &[("pgweir_config_last_reload_successful{}", "$0x70")],
        &[(&["1"], ""), (&["0"], "warning")],
    ),
    both(
        "PgweirEvictions",
        &[
            ("pgweir_statement_evictions_total{}", "0+$0x70"),
            (
                "pgweir_statements_total{database=\"d\",user=\"u\",class=\"select\"}",
                "0+1000x70",
            ),
        ],
        &[(&["10"], ""), (&["11"], "warning")],
    ),
];
