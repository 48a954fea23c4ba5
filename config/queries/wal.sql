-- How much WAL was written, and how fast.
-- Hotel document, line 844: pg_current_wal_lsn() fails on a replica; and the difference to 0/0 is a
--   position, not what was generated since any known time.
-- Servers: 14 and later (pg_stat_wal).
SELECT
    CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS lsn,
    pg_size_pretty(wal_bytes) AS written,
    pg_size_pretty(round(wal_bytes
        / nullif(extract(epoch FROM clock_timestamp() - stats_reset) / 3600, 0)::numeric)) AS per_hour,
    wal_fpi AS full_page_images,
    wal_buffers_full,
    stats_reset
FROM pg_stat_wal;
