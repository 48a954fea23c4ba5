-- When each table was vacuumed and analyzed, longest ago first, and what is being vacuumed now.
-- Hotel document, line 957: right, but names without schema, and not what runs at the moment.
SELECT
    t.schemaname,
    t.relname,
    t.last_vacuum,
    t.last_autovacuum,
    t.last_analyze,
    t.last_autoanalyze,
    p.phase AS running,
    round(100.0 * p.heap_blks_scanned / nullif(p.heap_blks_total, 0), 1) AS scanned_pct
FROM pg_stat_user_tables t
LEFT JOIN pg_stat_progress_vacuum p ON p.relid = t.relid AND p.datname = current_database()
ORDER BY p.phase IS NULL, greatest(t.last_vacuum, t.last_autovacuum) NULLS FIRST;
