-- Who waits for a lock, and who must move first.
-- Dairy document, line 822: compares relations only, so that a wait for a row (a transaction id, no
--   relation) is never found, and any other holder of any lock on the table is called a blocker.
-- Hotel document, line 750: finds row locks; still knows no lock modes and no queue, so that readers
--   are named who block nobody.
-- pg_blocking_pids knows both. root_pid blocks and waits for nobody: end that one.
-- Servers: 14 and later (waitstart). Beside it: SHOW BLOCKED, which names the client behind the
-- pooler and its last writing statement.
WITH RECURSIVE waits AS (
    SELECT a.pid AS blocked_pid, b.pid AS blocking_pid
    FROM pg_stat_activity a
    CROSS JOIN LATERAL unnest(pg_blocking_pids(a.pid)) AS b (pid)
    WHERE a.wait_event_type = 'Lock'
), chain AS (
    SELECT blocked_pid, blocking_pid, blocking_pid AS root_pid, ARRAY[blocked_pid, blocking_pid] AS path
    FROM waits
    UNION ALL
    SELECT c.blocked_pid, c.blocking_pid, w.blocking_pid, c.path || w.blocking_pid
    FROM chain c
    JOIN waits w ON w.blocked_pid = c.root_pid AND w.blocking_pid <> ALL (c.path)
)
SELECT DISTINCT
    c.blocked_pid,
    blocked.usename AS blocked_user,
    l.mode AS wanted_mode,
    l.locktype,
    l.relation::regclass AS relation,
    clock_timestamp() - l.waitstart AS waiting,
    c.blocking_pid,
    c.root_pid,
    root.usename AS root_user,
    root.application_name AS root_application,
    root.state AS root_state,
    clock_timestamp() - root.state_change AS root_state_age,
    left(regexp_replace(blocked.query, '\s+', ' ', 'g'), 100) AS blocked_statement,
    left(regexp_replace(root.query, '\s+', ' ', 'g'), 100) AS root_last_statement
FROM chain c
JOIN pg_stat_activity blocked ON blocked.pid = c.blocked_pid
LEFT JOIN pg_locks l ON l.pid = c.blocked_pid AND NOT l.granted
LEFT JOIN pg_stat_activity root ON root.pid = c.root_pid
WHERE NOT EXISTS (SELECT FROM waits w WHERE w.blocked_pid = c.root_pid)
ORDER BY waiting DESC NULLS LAST, c.blocked_pid;
