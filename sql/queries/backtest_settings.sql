-- The notification settings that are enabled now, with what decides how often they speak. No address is in it.
-- Parameters: none
-- Index: none; there are few
SELECT
    s.setting_id,
    s.name,
    lower(btrim(s.notification_channel)) AS channel,
    s.recipient,
    coalesce(extract(EPOCH FROM s.min_interval), 0)::double precision AS min_interval
FROM pggit.alert_notification_settings AS s
WHERE s.enabled
ORDER BY s.setting_id;
