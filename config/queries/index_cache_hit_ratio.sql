-- Share of index blocks found in PostgreSQL's cache, worst first.
-- Hotel document, line 811: pg_stat_user_indexes has no idx_blks_read and idx_blks_hit, they are in
--   pg_statio_user_indexes; and round(double precision, integer) does not exist.
SELECT
    schemaname,
    relname,
    indexrelname,
    idx_blks_read,
    idx_blks_hit,
    round(100.0 * idx_blks_hit / nullif(idx_blks_hit + idx_blks_read, 0), 2) AS index_cache_hit_pct
FROM pg_statio_user_indexes
WHERE idx_blks_read > 0
ORDER BY index_cache_hit_pct, idx_blks_read DESC;
