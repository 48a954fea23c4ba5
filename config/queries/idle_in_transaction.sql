-- Sessions that do nothing inside a transaction, longest first: look before terminating.
-- Dairy document, line 811: takes the age from query_start, the beginning of the last query; what
--   counts is how long it has been idle, state_change. It also leaves out failed transactions, which
--   hold their locks as well.
SELECT
    pid,
    datname,
    usename,
    application_name,
    client_addr,
    state,
    clock_timestamp() - state_change AS idle,
    clock_timestamp() - xact_start AS in_transaction,
    backend_xid IS NOT NULL AS has_written,
    left(regexp_replace(query, '\s+', ' ', 'g'), 100) AS last_statement
FROM pg_stat_activity
WHERE state IN ('idle in transaction', 'idle in transaction (aborted)')
ORDER BY state_change;
