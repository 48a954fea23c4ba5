-- The daily check: queries that run for more than an hour.
-- Dairy document, line 743: right; also lists walsenders, and the asking session where it is slow.
SELECT
    pid,
    datname,
    usename,
    clock_timestamp() - query_start AS duration,
    query
FROM pg_stat_activity
WHERE state = 'active'
  AND backend_type = 'client backend'
  AND pid <> pg_backend_pid()
  AND query_start < clock_timestamp() - interval '1 hour'
ORDER BY query_start;
