-- Tables over their own autovacuum threshold: what vacuum lag means. Limits: dairy 1 h and 4 h.
-- Dairy document, line 50: a limit without a query. PostgreSQL does not keep since when a table is
--   due; the sidecar does, as pgweir_pg_table_vacuum_overdue_seconds.
SELECT
    t.schemaname,
    t.relname,
    t.n_dead_tup,
    round(s.threshold + s.scale_factor * greatest(c.reltuples, 0)::numeric) AS due_at,
    t.last_autovacuum,
    s.is_enabled AS autovacuum_enabled
FROM pg_stat_user_tables t
JOIN pg_class c ON c.oid = t.relid
CROSS JOIN LATERAL (
    SELECT
        coalesce((SELECT option_value FROM pg_options_to_table(c.reloptions)
                  WHERE option_name = 'autovacuum_vacuum_threshold'),
                 current_setting('autovacuum_vacuum_threshold'))::numeric AS threshold,
        coalesce((SELECT option_value FROM pg_options_to_table(c.reloptions)
                  WHERE option_name = 'autovacuum_vacuum_scale_factor'),
                 current_setting('autovacuum_vacuum_scale_factor'))::numeric AS scale_factor,
        coalesce((SELECT option_value FROM pg_options_to_table(c.reloptions)
                  WHERE option_name = 'autovacuum_enabled'), 'true')::boolean AS is_enabled
) s
WHERE t.n_dead_tup > s.threshold + s.scale_factor * greatest(c.reltuples, 0)::numeric
ORDER BY t.n_dead_tup DESC;
