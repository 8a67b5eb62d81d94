-- What: every notification setting with its config, for those who check or test it; the config holds secrets.
-- Parameters: none.
-- Index: alert_notification_settings_pkey, all of it: there are as many rows as people have written.
SELECT
    s.setting_id,
    s.name,
    upper(btrim(s.alert_type)) AS alert_type,
    upper(btrim(s.severity)) AS severity,
    lower(btrim(s.notification_channel)) AS channel,
    s.enabled,
    s.config::text AS config,
    s.destination_key,
    coalesce(s.recipient, '(none)') AS recipient
FROM pggit.alert_notification_settings AS s
ORDER BY s.setting_id;
