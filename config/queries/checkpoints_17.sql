-- Checkpoints, and who writes blocks. Limits: hotel 1 and 2 a minute.
-- Hotel document, line 828: since PostgreSQL 17 the columns about checkpoints are in
--   pg_stat_checkpointer under other names, and those about backends in pg_stat_io.
-- Servers: 17 and later; before that checkpoints.sql.
SELECT
    c.num_timed AS checkpoints_timed,
    c.num_requested AS checkpoints_req,
    round(((c.num_timed + c.num_requested)
        / nullif(extract(epoch FROM clock_timestamp() - c.stats_reset) / 60, 0))::numeric, 3) AS per_minute,
    c.write_time AS checkpoint_write_time,
    c.sync_time AS checkpoint_sync_time,
    c.buffers_written AS buffers_checkpoint,
    b.buffers_clean,
    b.maxwritten_clean,
    (SELECT sum(writes) FROM pg_stat_io WHERE backend_type = 'client backend' AND object = 'relation')
        AS buffers_backend,
    (SELECT sum(fsyncs) FROM pg_stat_io WHERE backend_type = 'client backend' AND object = 'relation')
        AS buffers_backend_fsync,
    b.buffers_alloc,
    c.stats_reset
FROM pg_stat_checkpointer c
CROSS JOIN pg_stat_bgwriter b;
