-- Share of blocks found in PostgreSQL's cache, per database. Limits: dairy 99 % and 95 %, hotel 95 %
-- and 90 %.
-- Dairy document, line 669: right for tables since the last reset, but fails with a division by zero
--   where nothing was read yet, and leaves indexes out.
-- Hotel document, line 798: round(double precision, integer) does not exist: the number must be
--   numeric. It also gives 0, the worst value, where nothing was read.
-- This is the average since the last reset. The alert PostgreSQLCacheHit takes the last ten minutes.
SELECT
    datname,
    blks_read,
    blks_hit,
    round(100.0 * blks_hit / nullif(blks_hit + blks_read, 0), 2) AS cache_hit_pct,
    stats_reset
FROM pg_stat_database
WHERE datname NOT IN ('template0', 'template1')
ORDER BY cache_hit_pct NULLS LAST;
