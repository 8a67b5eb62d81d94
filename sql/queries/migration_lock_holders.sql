-- Who holds locks on tables of schema pggit, oldest transaction first: named when a migration could not get its own.
-- Parameters: none.
-- Index: none; lock table and activity are views of shared memory.
SELECT
    s.pid,
    coalesce(nullif(s.application_name, ''), 'unnamed') AS application,
    coalesce(extract(EPOCH FROM clock_timestamp() - s.xact_start), 0)::bigint AS seconds
FROM pg_catalog.pg_stat_activity AS s
WHERE s.pid <> pg_backend_pid()
    AND EXISTS (
        SELECT
        FROM pg_catalog.pg_locks AS l
        INNER JOIN pg_catalog.pg_class AS c ON l.relation = c.oid
        WHERE l.pid = s.pid
            AND l.granted
            AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database())
            AND c.relnamespace = to_regnamespace('pggit')
    )
ORDER BY s.xact_start
LIMIT 3;
