-- Connections in use, of those that an ordinary role can get. Limits: dairy 80 % and 90 %, hotel 80
-- and 95 of 100.
-- Dairy document, line 670: divides whole numbers and so gives 0 until it gives 100; counts
--   background processes; forgets the slots kept for superusers.
-- Hotel document, line 913, gives the limits only.
-- Beside it: the alert PostgreSQLConnections; SHOW POOLS for pgweir's own limits, which fill first.
SELECT
    count(*) FILTER (WHERE backend_type = 'client backend') AS client_backends,
    count(*) FILTER (WHERE backend_type = 'client backend' AND state = 'active') AS active,
    count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS idle_in_transaction,
    current_setting('max_connections')::int AS max_connections,
    round(100.0 * count(*) FILTER (WHERE backend_type = 'client backend')
        / (current_setting('max_connections')::int
           - current_setting('superuser_reserved_connections')::int
           - coalesce(current_setting('reserved_connections', true)::int, 0)), 1) AS used_pct
FROM pg_stat_activity;
