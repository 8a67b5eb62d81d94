-- Windows with what is next of each: its occurrence now or to come, or the last one, and how many alerts wait for it.
-- Parameters: snooze_id bigint (NULL: all of them), everything boolean (also those that are over)
-- Index: alert_snooze_occurrence_pkey, alert_muted_snooze
SELECT
    s.snooze_id,
    CASE WHEN s.schedule IS NULL THEN 'snoozed' ELSE 'maintenance' END AS kind,
    CASE
        WHEN s.cancelled_at IS NOT NULL THEN 'cancelled'
        WHEN o.starts_at <= now() AND o.ends_at > now() THEN 'active'
        WHEN o.starts_at > now() THEN 'pending'
        WHEN s.schedule IS NOT NULL THEN 'unknown'
        ELSE 'over'
    END AS state,
    coalesce(o.starts_at, s.starts_at) AS starts_at,
    coalesce(o.ends_at, s.ends_at) AS ends_at,
    extract(EPOCH FROM o.ends_at - now())::double precision AS left_seconds,
    s.schedule,
    extract(EPOCH FROM s.duration)::double precision AS duration_seconds,
    s.time_zone,
    s.operation_pattern,
    s.alert_type,
    s.severity,
    s.setting_id,
    s.channel,
    s.mutes_critical,
    s.reason,
    s.created_by,
    s.created_at,
    s.cancelled_at,
    s.cancelled_by,
    s.cancel_reason,
    s.problem,
    (
        SELECT count(*) FROM pggit.alert_muted AS m
        WHERE m.snooze_id = s.snooze_id AND m.released_at IS NULL
    ) AS muted,
    (
        SELECT count(*) FROM pggit.alert_muted AS m
        WHERE m.snooze_id = s.snooze_id AND m.released_at IS NULL AND m.severity = 'CRITICAL'
    ) AS muted_critical
FROM pggit.alert_snooze AS s
LEFT JOIN LATERAL (
    SELECT n.starts_at, n.ends_at
    FROM pggit.alert_snooze_occurrence AS n
    WHERE n.snooze_id = s.snooze_id
    ORDER BY n.ends_at <= now(), n.starts_at > now(), abs(extract(EPOCH FROM n.starts_at - now()))
    LIMIT 1
) AS o ON TRUE
WHERE (:'snooze_id'::bigint IS NULL OR s.snooze_id = :'snooze_id'::bigint)
    AND (
        :'everything'::boolean
        OR (s.cancelled_at IS NULL AND (s.schedule IS NOT NULL OR s.ends_at > now()))
    )
ORDER BY s.cancelled_at IS NOT NULL, o.ends_at <= now(), o.starts_at, s.snooze_id;
