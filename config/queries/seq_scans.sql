-- Tables that are read from end to end: indexes may be missing.
-- Hotel document, line 715: compares with idx_scan, which is NULL for a table without any index, so
--   that just those are called OK; and lists tables of a few rows, which are read that way rightly.
SELECT
    schemaname,
    relname,
    n_live_tup,
    seq_scan,
    seq_tup_read,
    idx_scan,
    seq_tup_read / nullif(seq_scan, 0) AS rows_per_seq_scan,
    CASE
        WHEN seq_scan > coalesce(idx_scan, 0) AND seq_scan > 100 AND n_live_tup > 1000
        THEN 'HIGH SEQ SCAN - CONSIDER INDEX'
        ELSE 'OK'
    END AS recommendation
FROM pg_stat_user_tables
WHERE seq_scan > 0
ORDER BY seq_tup_read DESC;
