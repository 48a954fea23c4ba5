-- Indexes that were never used: candidates for removal, largest first.
-- Dairy document, line 458: pg_stat_user_indexes has no tablename and indexname: relname,
--   indexrelname. It also judges by the words pkey and unique in the name; what matters is whether
--   the index is unique or holds a constraint.
-- Hotel document, line 708, lists these as UNUSED INDEX.
-- Look at counted_since and at the replicas before dropping anything.
SELECT
    s.schemaname,
    s.relname,
    s.indexrelname,
    pg_size_pretty(pg_relation_size(s.indexrelid)) AS index_size,
    (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()) AS counted_since
FROM pg_stat_user_indexes s
JOIN pg_index i ON i.indexrelid = s.indexrelid
WHERE s.idx_scan = 0
  AND NOT i.indisunique
  AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = s.indexrelid)
ORDER BY pg_relation_size(s.indexrelid) DESC;
