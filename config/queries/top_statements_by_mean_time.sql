-- The 10 statements that are slowest on average, of those called more than 10 times.
-- Hotel document, line 669: total_time and mean_time do not exist since PostgreSQL 13:
--   total_exec_time, mean_exec_time.
-- Needs: pg_stat_statements. Servers: 13 and later. Beside it: SHOW STATEMENTS MIN CALLS 11
-- ORDER BY mean_ms DESC LIMIT 10.
SELECT
    left(regexp_replace(query, '\s+', ' ', 'g'), 100) AS query_preview,
    calls,
    round(mean_exec_time::numeric, 2) AS avg_time_ms,
    round(total_exec_time::numeric, 2) AS total_time_ms
FROM pg_stat_statements
WHERE calls > 10
ORDER BY mean_exec_time DESC
LIMIT 10;
