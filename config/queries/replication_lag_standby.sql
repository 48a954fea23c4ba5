-- How far this server is behind, asked on the replica; 0 on a primary.
-- Dairy document, line 671: now() - pg_last_xact_replay_timestamp() grows on an idle primary although
--   nothing is missing: when everything received is replayed, the lag is 0.
SELECT
    pg_is_in_recovery() AS is_standby,
    CASE
        WHEN NOT pg_is_in_recovery() THEN 0
        WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
        ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())
    END AS lag_s;
