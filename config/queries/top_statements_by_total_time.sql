-- The 20 statements that cost most in all.
-- Dairy document, line 206: right; takes the exporter's own statements out by the text "pg_stat",
--   which also hides an application's; here by the role that asks.
-- Hotel document, line 658: total_time and mean_time do not exist since PostgreSQL 13:
--   total_exec_time, mean_exec_time.
-- Needs: pg_stat_statements. Servers: 13 and later. Beside it: SHOW STATEMENTS, which also has
-- percentiles, the client's side and no extension.
SELECT
    s.queryid,
    left(regexp_replace(s.query, '\s+', ' ', 'g'), 100) AS query_preview,
    r.rolname AS "user",
    s.calls,
    round(s.total_exec_time::numeric, 2) AS total_time_ms,
    round(s.mean_exec_time::numeric, 2) AS avg_time_ms,
    round(s.max_exec_time::numeric, 2) AS max_time_ms,
    s.rows,
    round((100 * s.total_exec_time / nullif(sum(s.total_exec_time) OVER (), 0))::numeric, 2) AS pct_time
FROM pg_stat_statements s
LEFT JOIN pg_roles r ON r.oid = s.userid
WHERE r.rolname IS DISTINCT FROM current_user
ORDER BY s.total_exec_time DESC
LIMIT 20;
