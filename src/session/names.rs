//! The settings that PostgreSQL knows and a session may set, by name.
//!
//! Owns: one list, made from pg_settings of PostgreSQL 15, 16 and 18 (context user and superuser)
//! and the hidden role and ssl_renegotiation_limit; without those that end with a transaction. Names with a dot belong to extensions and applications: any is possible that is made of simple identifiers.

/// Whether a session of some version of PostgreSQL can set it. Settings that only count when a
/// connection begins (ignore_system_indexes and the like) cannot be: a server is begun once.
pub fn may_set(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    if !name.contains('.') {
        return is_known(&name);
    }
    name.split('.').all(|part| {
        let is_inside = |c: char| c == '_' || c == '$' || c.is_alphanumeric();
        !part.starts_with(|c: char| c == '$' || c.is_ascii_digit())
            && !part.is_empty()
            && part.chars().all(is_inside)
    })
}

/// Whether a (lower-case) name is one of PostgreSQL's own.
pub fn is_known(name: &str) -> bool {
    NAMES.binary_search(&name).is_ok()
}

/// Whether only a superuser may set a (lower-case) name, or may by GRANT SET; of the extensions
/// those that come with PostgreSQL.
pub fn needs_superuser(name: &str) -> bool {
    let extension = name.split_once('.').map(|(extension, _)| extension);
    match extension {
        Some(extension) => EXTENSIONS.contains(&extension),
        None => SUPERUSERS.binary_search(&name).is_ok(),
    }
}

const EXTENSIONS: [&str; 3] = ["auto_explain", "pg_stat_statements", "plpgsql"];

/// Sorted; context superuser.
#[rustfmt::skip]
const SUPERUSERS: [&str; 49] = [
    "allow_in_place_tablespaces", "allow_system_table_mods", "backtrace_functions", "commit_delay",
    "composite_type_mismatch", "compute_query_id", "deadlock_timeout", "debug_discard_caches",
    "dynamic_library_path", "event_triggers", "extension_control_path", "ignore_checksum_failure",
    "jit_dump_bitcode", "lc_messages", "lo_compat_privileges", "log_duration",
    "log_error_verbosity", "log_executor_stats", "log_lock_failures", "log_lock_waits",
    "log_min_duration_sample", "log_min_duration_statement", "log_min_error_statement",
    "log_min_messages", "log_parameter_max_length", "log_parser_stats", "log_planner_stats",
    "log_replication_commands", "log_statement", "log_statement_sample_rate", "log_statement_stats",
    "log_temp_files", "log_transaction_sample_rate", "max_stack_depth", "session_preload_libraries",
    "session_replication_role", "temp_file_limit", "track_activities", "track_cost_delay_timing",
    "track_counts", "track_functions", "track_io_timing", "track_wal_io_timing",
    "update_process_title", "wal_compression", "wal_consistency_checking", "wal_init_zero",
    "wal_recycle", "zero_damaged_pages",
];

/// Sorted.
#[rustfmt::skip]
const NAMES: [&str; 199] = [
    "allow_in_place_tablespaces", "allow_system_table_mods", "application_name", "array_nulls",
    "backend_flush_after", "backslash_quote", "backtrace_functions", "bytea_output",
    "check_function_bodies", "client_connection_check_interval", "client_encoding",
    "client_min_messages", "commit_delay", "commit_siblings", "composite_type_mismatch",
    "compute_query_id", "constraint_exclusion", "cpu_index_tuple_cost", "cpu_operator_cost",
    "cpu_tuple_cost", "createrole_self_grant", "cursor_tuple_fraction", "datestyle",
    "deadlock_timeout", "debug_discard_caches", "debug_logical_replication_streaming",
    "debug_parallel_query", "debug_pretty_print", "debug_print_parse", "debug_print_plan",
    "debug_print_rewritten", "default_statistics_target", "default_table_access_method",
    "default_tablespace", "default_text_search_config", "default_toast_compression",
    "default_transaction_deferrable", "default_transaction_isolation",
    "default_transaction_read_only", "dynamic_library_path", "effective_cache_size",
    "effective_io_concurrency", "enable_async_append", "enable_bitmapscan",
    "enable_distinct_reordering", "enable_gathermerge", "enable_group_by_reordering",
    "enable_hashagg", "enable_hashjoin", "enable_incremental_sort", "enable_indexonlyscan",
    "enable_indexscan", "enable_material", "enable_memoize", "enable_mergejoin", "enable_nestloop",
    "enable_parallel_append", "enable_parallel_hash", "enable_partition_pruning",
    "enable_partitionwise_aggregate", "enable_partitionwise_join", "enable_presorted_aggregate",
    "enable_self_join_elimination", "enable_seqscan", "enable_sort", "enable_tidscan",
    "escape_string_warning", "event_triggers", "extension_control_path", "extra_float_digits",
    "file_copy_method", "force_parallel_mode", "from_collapse_limit", "geqo", "geqo_effort",
    "geqo_generations", "geqo_pool_size", "geqo_seed", "geqo_selection_bias", "geqo_threshold",
    "gin_fuzzy_search_limit", "gin_pending_list_limit", "hash_mem_multiplier",
    "icu_validation_level", "idle_in_transaction_session_timeout", "idle_session_timeout",
    "ignore_checksum_failure", "intervalstyle", "io_combine_limit", "jit", "jit_above_cost",
    "jit_dump_bitcode", "jit_expressions", "jit_inline_above_cost", "jit_optimize_above_cost",
    "jit_tuple_deforming", "join_collapse_limit", "lc_messages", "lc_monetary", "lc_numeric",
    "lc_time", "lo_compat_privileges", "local_preload_libraries", "lock_timeout", "log_duration",
    "log_error_verbosity", "log_executor_stats", "log_lock_failures", "log_lock_waits",
    "log_min_duration_sample", "log_min_duration_statement", "log_min_error_statement",
    "log_min_messages", "log_parameter_max_length", "log_parameter_max_length_on_error",
    "log_parser_stats", "log_planner_stats", "log_replication_commands", "log_statement",
    "log_statement_sample_rate", "log_statement_stats", "log_temp_files",
    "log_transaction_sample_rate", "logical_decoding_work_mem", "maintenance_io_concurrency",
    "maintenance_work_mem", "max_parallel_maintenance_workers", "max_parallel_workers",
    "max_parallel_workers_per_gather", "max_stack_depth", "md5_password_warnings",
    "min_parallel_index_scan_size", "min_parallel_table_scan_size", "parallel_leader_participation",
    "parallel_setup_cost", "parallel_tuple_cost", "password_encryption", "plan_cache_mode",
    "quote_all_identifiers", "random_page_cost", "recursive_worktable_factor",
    "restrict_nonsystem_relation_kind", "role", "row_security", "scram_iterations", "search_path",
    "seq_page_cost", "session_preload_libraries",
    "session_replication_role", "ssl_renegotiation_limit", "standard_conforming_strings",
    "statement_timeout", "stats_fetch_consistency", "synchronize_seqscans", "synchronous_commit",
    "tcp_keepalives_count", "tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_user_timeout",
    "temp_buffers", "temp_file_limit", "temp_tablespaces", "timezone", "timezone_abbreviations",
    "trace_notify", "trace_sort", "track_activities", "track_cost_delay_timing", "track_counts",
    "track_functions", "track_io_timing", "track_wal_io_timing", "transaction_timeout",
    "transform_null_equals", "update_process_title", "vacuum_buffer_usage_limit",
    "vacuum_cost_delay", "vacuum_cost_limit", "vacuum_cost_page_dirty", "vacuum_cost_page_hit",
    "vacuum_cost_page_miss", "vacuum_failsafe_age", "vacuum_freeze_min_age",
    "vacuum_freeze_table_age", "vacuum_max_eager_freeze_failure_rate",
    "vacuum_multixact_failsafe_age", "vacuum_multixact_freeze_min_age",
    "vacuum_multixact_freeze_table_age", "vacuum_truncate", "wal_compression",
    "wal_consistency_checking", "wal_init_zero", "wal_recycle", "wal_sender_timeout",
    "wal_skip_threshold", "work_mem", "xmlbinary", "xmloption", "zero_damaged_pages",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_postgresql_can_know() {
        assert!(NAMES.is_sorted() && SUPERUSERS.is_sorted());
        assert!(SUPERUSERS.iter().all(|name| is_known(name)));
        assert!(needs_superuser("log_statement") && needs_superuser("auto_explain.log_analyze"));
        assert!(!needs_superuser("work_mem") && !needs_superuser("app.user"));
        for name in [
            "work_mem",
            "Geqo",
            "transaction_timeout",
            "role",
            "app.user",
            "a.b.c",
        ] {
            assert!(may_set(name), "{name}");
        }
        for name in [
            "foo",
            "",
            ".",
            "a.",
            ".b",
            "a..b",
            "1.a",
            "a.b c",
            "log_connections",
            "shared_buffers",
        ] {
            assert!(!may_set(name), "{name}");
        }
    }
}
