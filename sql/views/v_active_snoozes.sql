-- The windows that mute now, with the time they have left. Routing reads it too; it asks for no counts, and what is not
-- asked for is not counted. OFFSET 0 keeps the planner from looking up the occurrences of each window instead: it can't
-- know that of those neither settled nor to come there are hardly any.
CREATE OR REPLACE VIEW pggit.v_active_snoozes AS
SELECT
    s.snooze_id,
    CASE WHEN s.schedule IS NULL THEN 'snoozed' ELSE 'maintenance' END AS kind,
    o.starts_at,
    o.ends_at,
    o.ends_at - now() AS time_left,
    s.operation_pattern,
    s.alert_type,
    s.severity,
    s.setting_id,
    s.channel,
    s.mutes_critical,
    s.reason,
    s.created_by,
    s.created_at,
    s.schedule,
    s.time_zone,
    format(
        '%s %s until %s UTC, set by %s: %s',
        CASE WHEN s.schedule IS NULL THEN 'snooze' ELSE 'maintenance window' END,
        s.snooze_id,
        to_char(o.ends_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
        left(s.created_by, 63),
        left(s.reason, 300)
    ) AS description,
    (
        SELECT count(*) FROM pggit.alert_muted AS m
        WHERE m.snooze_id = s.snooze_id AND m.released_at IS NULL
    ) AS muted,
    (
        SELECT count(*) FROM pggit.alert_muted AS m
        WHERE m.snooze_id = s.snooze_id AND m.released_at IS NULL AND m.severity = 'CRITICAL'
    ) AS muted_critical
FROM (
    SELECT r.snooze_id, r.starts_at, r.ends_at
    FROM pggit.alert_snooze_occurrence AS r
    WHERE r.settled_at IS NULL AND r.starts_at <= now() AND r.ends_at > now()
    ORDER BY r.starts_at
    OFFSET 0
) AS o
INNER JOIN pggit.alert_snooze AS s ON o.snooze_id = s.snooze_id
WHERE s.cancelled_at IS NULL;

COMMENT ON VIEW pggit.v_active_snoozes IS
'Windows that mute notifications now: until when, what, why, by whom, and how many are kept back (muted).';
