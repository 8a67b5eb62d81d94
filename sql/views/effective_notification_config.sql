-- Whom each setting reaches at this moment: the config of the shift that is on, else its own. Holds secrets.
-- A shift whose config can't be used stands in for nothing: a page that reaches the wrong person can be passed on.
-- A view rather than a function, so that it becomes part of the statement that reads it: one probe of oncall_shift_now
-- for each setting that is claimed, and nothing where there are no shifts.

CREATE OR REPLACE VIEW pggit.effective_notification_config AS
SELECT
    s.setting_id,
    shift.shift_id,
    coalesce(shift.config, s.config) AS config,
    CASE WHEN shift.shift_id IS NULL THEN s.destination_key ELSE shift.destination_key END AS destination_key,
    CASE WHEN shift.shift_id IS NULL THEN s.recipient ELSE shift.recipient END AS recipient
FROM pggit.alert_notification_settings AS s
LEFT JOIN LATERAL (
    SELECT
        o.shift_id,
        o.config,
        o.destination_key,
        o.recipient
    FROM pggit.oncall_shift AS o
    WHERE o.setting_id = s.setting_id AND o.starts_at <= now() AND o.ends_at > now()
        AND pggit.notification_setting_problem(s.notification_channel, o.config) IS NULL
    ORDER BY o.starts_at DESC, o.shift_id DESC
    LIMIT 1
) AS shift ON TRUE;

COMMENT ON VIEW pggit.effective_notification_config IS
'Config, destination and masked recipient of each setting at this moment, on-call shifts that can be used considered.';
