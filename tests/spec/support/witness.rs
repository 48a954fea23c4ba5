//! What a client that set nothing must see on every server, whoever had it before.

/// Every kind of session state in one row.
pub const WITNESS: &str = "select current_setting('lock_timeout'), current_setting('statement_timeout'), \
    current_setting('search_path'), current_setting('work_mem'), current_setting('IntervalStyle'), \
    current_setting('default_transaction_isolation'), current_setting('default_transaction_read_only'), \
    current_setting('extra_float_digits'), current_setting('bytea_output'), \
    current_setting('client_min_messages'), current_setting('role'), current_user, session_user, \
    coalesce(current_setting('my.var', true), ''), \
    (select count(*) from pg_depend where refclassid = 'pg_namespace'::regclass \
        and refobjid = pg_my_temp_schema()), \
    (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()), \
    (select count(*) from pg_listening_channels()), \
    (select count(*) from pg_prepared_statements where name ~ '^[pq]'), \
    (select count(*) from pg_cursors where name ~ '^k')";

/// Its row, cells joined by `|`, for user `app`.
pub const UNTOUCHED: &str =
    "0|0|\"$user\", public|4MB|postgres|read committed|off|1|hex|notice|none|app|app||0|0|0|0|0";

/// The part that holds where only reported settings are followed.
pub const TRACKED: &str = "select current_setting('TimeZone'), current_setting('DateStyle'), \
    current_setting('application_name'), current_setting('client_encoding'), \
    current_setting('standard_conforming_strings')";

/// Its row.
pub const TRACKED_UNTOUCHED: &str = "UTC|ISO, MDY||UTF8|on";
