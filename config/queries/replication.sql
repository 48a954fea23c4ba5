-- How far each replica is behind, asked on the primary. Limits: dairy 1 s and 5 s.
-- Dairy document, line 671: asks pg_stat_wal_receiver, which is empty on a primary, so the answer is
--   no row; and on a replica its time grows while the primary has nothing to send
--   (replication_lag_standby.sql). Line 724, the alert: divides bytes by a million and calls it
--   seconds: it fires at 6 MB of backlog.
-- Without replicas there are no rows. Works on a replica with replicas of its own, too.
SELECT
    application_name,
    client_addr,
    state,
    sync_state,
    extract(epoch FROM write_lag) AS write_lag_s,
    extract(epoch FROM flush_lag) AS flush_lag_s,
    extract(epoch FROM replay_lag) AS replay_lag_s,
    pg_wal_lsn_diff(
        CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
        replay_lsn) AS replay_lag_bytes
FROM pg_stat_replication
ORDER BY replay_lag_bytes DESC NULLS LAST;
