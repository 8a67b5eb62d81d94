-- What routing would have made of these alerts: escalation within the hour, the settings that match, the windows that
-- mute. One row per alert and matching setting; an alert that nothing matches has one without a setting.
-- Parameters: times timestamp[], operations text[], types text[], severities text[]: alerts in order of time
-- Index: none; alert_snooze_occurrence and the settings are small. Settings are matched once per kind of alert.
WITH given AS MATERIALIZED (
    SELECT a.place::integer AS place, a.moment, a.operation_type, a.alert_type, a.severity
    FROM unnest(:'times'::timestamp [], :'operations'::text [], :'types'::text [], :'severities'::text [])
        WITH ORDINALITY AS a (moment, operation_type, alert_type, severity, place)
),

-- Three earlier ones of the hour make an alert CRITICAL; of those in the same instant, the ones before it are earlier.
alert AS MATERIALIZED (
    SELECT
        g.place,
        g.moment,
        g.operation_type,
        g.alert_type,
        CASE
            WHEN count(*) OVER (
                PARTITION BY g.operation_type, g.alert_type ORDER BY g.moment
                RANGE BETWEEN INTERVAL '1 hour' PRECEDING AND CURRENT ROW
            ) - count(*) OVER (
                PARTITION BY g.operation_type, g.alert_type, g.moment ORDER BY g.place
                ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
            ) >= 3 THEN 'CRITICAL'
            ELSE g.severity
        END AS severity
    FROM given AS g
),

matched AS MATERIALIZED (
    SELECT kind.operation_type, kind.alert_type, kind.severity, s.setting_id, s.group_by, s.notification_channel
    FROM (SELECT DISTINCT a.operation_type, a.alert_type, a.severity FROM alert AS a) AS kind
    INNER JOIN pggit.alert_notification_settings AS s
        ON upper(btrim(s.alert_type)) IN ('*', kind.alert_type)
        AND upper(btrim(s.severity)) IN ('*', kind.severity)
        AND pggit.glob_matches(kind.operation_type, s.operation_pattern)
    WHERE s.enabled
)

SELECT
    alert.place,
    alert.severity,
    matched.setting_id,
    pggit.notification_group_key(
        matched.group_by, alert.place, alert.operation_type, alert.alert_type, alert.severity, NULL, NULL
    ) AS group_key,
    matched.setting_id IS NOT NULL AND EXISTS (
        SELECT FROM pggit.alert_snooze_occurrence AS o
        INNER JOIN pggit.alert_snooze AS s ON o.snooze_id = s.snooze_id
        WHERE o.starts_at <= alert.moment::timestamptz AND o.ends_at > alert.moment::timestamptz
            AND (s.cancelled_at IS NULL OR s.cancelled_at > alert.moment::timestamptz)
            AND s.alert_type IN ('*', alert.alert_type)
            AND s.severity IN ('*', alert.severity)
            AND (s.setting_id IS NULL OR s.setting_id = matched.setting_id)
            AND (s.channel IS NULL OR s.channel = lower(btrim(matched.notification_channel)))
            AND (s.mutes_critical OR alert.severity <> 'CRITICAL')
            AND pggit.glob_matches(alert.operation_type, s.operation_pattern)
    ) AS muted
FROM alert
LEFT JOIN matched
    ON alert.operation_type = matched.operation_type
    AND alert.alert_type = matched.alert_type
    AND alert.severity = matched.severity
ORDER BY alert.place, matched.setting_id;
