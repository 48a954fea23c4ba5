-- How much each index is used, with its size.
-- Dairy document, line 446: pg_stat_user_indexes has no tablename and indexname: relname,
--   indexrelname.
-- Hotel document, line 700: calls a unique index or a primary key UNUSED, which enforces its
--   constraint without being scanned.
-- Counts since the last reset of statistics, shown in the last column, and on this server only: an
-- index that is idle here may serve a replica.
SELECT
    s.schemaname,
    s.relname,
    s.indexrelname,
    s.idx_scan,
    s.idx_tup_read,
    s.idx_tup_fetch,
    pg_size_pretty(pg_relation_size(s.indexrelid)) AS index_size,
    CASE
        WHEN i.indisunique OR c.oid IS NOT NULL THEN 'ENFORCES A CONSTRAINT'
        WHEN s.idx_scan = 0 THEN 'UNUSED INDEX'
        WHEN s.idx_scan < 10 THEN 'LOW USAGE'
        ELSE 'ACTIVE'
    END AS usage_status,
    (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()) AS counted_since
FROM pg_stat_user_indexes s
JOIN pg_index i ON i.indexrelid = s.indexrelid
LEFT JOIN pg_constraint c ON c.conindid = s.indexrelid AND c.conrelid = s.relid
ORDER BY s.idx_scan DESC, s.schemaname, s.indexrelname;
