-- Size of each database, largest first.
-- Hotel document, line 777: fails for a role without CONNECT on one of them (pg_monitor is enough),
--   and hides postgres, which fills a disk as well.
SELECT
    datname,
    CASE WHEN has_database_privilege(datname, 'CONNECT')
              OR pg_has_role('pg_read_all_stats', 'USAGE')
         THEN pg_size_pretty(pg_database_size(oid)) END AS size,
    CASE WHEN has_database_privilege(datname, 'CONNECT')
              OR pg_has_role('pg_read_all_stats', 'USAGE')
         THEN pg_database_size(oid) END AS bytes,
    age(datfrozenxid) AS xid_age
FROM pg_database
WHERE NOT datistemplate
ORDER BY bytes DESC NULLS LAST;
