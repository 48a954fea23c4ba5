-- The daily check: tables with more than 10,000 dead rows, and when they were vacuumed.
-- Dairy document, line 749: pg_stat_user_tables has no tablename: relname.
SELECT schemaname, relname, last_vacuum, last_autovacuum, n_dead_tup, n_live_tup
FROM pg_stat_user_tables
WHERE n_dead_tup > 10000
ORDER BY n_dead_tup DESC;
