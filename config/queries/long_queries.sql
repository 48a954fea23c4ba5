-- Queries that run for more than five minutes. Limit: dairy more than 5 of them.
-- Dairy document, line 673: the number only; and now() is the time at which the asking transaction
--   began. Line 743, the daily check, is this with one hour.
-- Beside it: SHOW ACTIVITY, which knows the client behind the pooler.
SELECT
    pid,
    datname,
    usename,
    application_name,
    client_addr,
    wait_event_type,
    wait_event,
    clock_timestamp() - query_start AS duration,
    left(regexp_replace(query, '\s+', ' ', 'g'), 100) AS query_preview
FROM pg_stat_activity
WHERE state = 'active'
  AND backend_type = 'client backend'
  AND pid <> pg_backend_pid()
  AND query_start < clock_timestamp() - interval '5 minutes'
ORDER BY query_start;
