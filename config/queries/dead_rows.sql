-- Tables with many dead rows, most first. Limits: dairy 10 %, hotel (bloat) 20 % and 40 %.
-- Dairy document, line 672: a list of numbers without the tables they belong to, small tables
--   included, where a few dead rows are a large share. Line 768, the weekly bloat check:
--   pg_stat_user_tables has no tablename, it is relname; and schema.table put together from names
--   fails for names that need quotes: relid does not.
-- Hotel document, line 683: right, but without a limit to size, and 0 for a table of dead rows only.
-- Statistics are estimates; pgstattuple measures.
SELECT
    schemaname,
    relname,
    pg_size_pretty(pg_total_relation_size(relid)) AS size,
    n_live_tup,
    n_dead_tup,
    round(100.0 * n_dead_tup / nullif(n_live_tup + n_dead_tup, 0), 2) AS dead_pct,
    last_vacuum,
    last_autovacuum
FROM pg_stat_user_tables
WHERE n_dead_tup > 1000
  AND n_dead_tup > 0.10 * (n_live_tup + n_dead_tup)
ORDER BY n_dead_tup DESC
LIMIT 20;
