-- Recurring windows whose occurrences are not known far enough ahead, and database time.
-- Parameters: snooze_id bigint (NULL: all of them), ahead double precision (seconds)
-- Index: none, windows are few
SELECT
    s.snooze_id,
    s.schedule,
    s.time_zone,
    extract(EPOCH FROM s.duration)::double precision AS duration_seconds,
    s.expanded_until,
    now() AS at
FROM pggit.alert_snooze AS s
WHERE s.schedule IS NOT NULL
    AND s.cancelled_at IS NULL
    AND (
        s.expanded_until IS NULL
        OR s.expanded_until < now() + make_interval(secs => :'ahead'::double precision)
    )
    AND (:'snooze_id'::bigint IS NULL OR s.snooze_id = :'snooze_id'::bigint)
ORDER BY s.snooze_id;
