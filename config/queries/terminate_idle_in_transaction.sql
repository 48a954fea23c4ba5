-- Emergency: ends every session that has been idle in a transaction for more than an hour.
-- Dairy document, line 811: takes the age from query_start, so that a session whose last query ran
--   for an hour is ended the moment it is done; and leaves out failed transactions.
-- Beside it: KILL IDLE IN TRANSACTION OVER 3600, which ends the client behind the pooler too and has
-- a dry run. Look with idle_in_transaction.sql first.
SELECT
    pid,
    usename,
    application_name,
    clock_timestamp() - state_change AS idle,
    pg_terminate_backend(pid) AS terminated
FROM pg_stat_activity
WHERE state IN ('idle in transaction', 'idle in transaction (aborted)')
  AND state_change < clock_timestamp() - interval '1 hour';
