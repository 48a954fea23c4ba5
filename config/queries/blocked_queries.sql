-- How many sessions wait for a lock, and for how long. Limit: dairy more than 0.
-- Dairy document, line 674: counts locks that are not granted, also those of this very moment.
-- Servers: 14 and later (waitstart). Beside it: lock_tree.sql; SHOW BLOCKED.
SELECT
    count(DISTINCT pid) AS blocked,
    coalesce(extract(epoch FROM clock_timestamp() - min(waitstart)), 0) AS longest_wait_s
FROM pg_locks
WHERE NOT granted;
