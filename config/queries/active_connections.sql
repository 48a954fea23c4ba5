-- Sessions that are not idle, by how long they have been at it.
-- Hotel document, line 735: right; query_start of a session that is idle in a transaction is that of
--   its last query, so the age of its state is shown beside it; the asking session is left out.
-- Beside it: SHOW ACTIVITY, which knows the client behind the pooler, and those who queue.
SELECT
    pid,
    datname,
    usename,
    application_name,
    client_addr,
    state,
    clock_timestamp() - query_start AS since_query_start,
    clock_timestamp() - state_change AS in_state,
    wait_event_type,
    wait_event,
    left(regexp_replace(query, '\s+', ' ', 'g'), 100) AS query_preview
FROM pg_stat_activity
WHERE state <> 'idle'
  AND backend_type = 'client backend'
  AND pid <> pg_backend_pid()
ORDER BY state_change;
