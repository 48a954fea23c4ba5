-- Checkpoints, and who writes blocks. Limits: hotel 1 and 2 a minute.
-- Hotel document, line 828: totals since the reset, from which no rate can be read; here also per
--   minute.
-- Servers: 16 and earlier; from 17 on checkpoints_17.sql.
SELECT
    checkpoints_timed,
    checkpoints_req,
    round(((checkpoints_timed + checkpoints_req)
        / nullif(extract(epoch FROM clock_timestamp() - stats_reset) / 60, 0))::numeric, 3) AS per_minute,
    checkpoint_write_time,
    checkpoint_sync_time,
    buffers_checkpoint,
    buffers_clean,
    maxwritten_clean,
    buffers_backend,
    buffers_backend_fsync,
    buffers_alloc,
    stats_reset
FROM pg_stat_bgwriter;
