-- What: every notification setting with the config by which it reaches somebody now, that of the on-call shift that is
-- on or its own, for those who check or test it; configs hold secrets.
-- Parameters: none.
-- Index: alert_notification_settings_pkey, all of it: there are as many rows as people have written; oncall_shift_now.
SELECT
    s.setting_id,
    s.name,
    upper(btrim(s.alert_type)) AS alert_type,
    upper(btrim(s.severity)) AS severity,
    lower(btrim(s.notification_channel)) AS channel,
    s.enabled,
    e.config::text AS config,
    e.destination_key,
    coalesce(e.recipient, '(none)') AS recipient,
    e.shift_id,
    s.config::text AS own_config
FROM pggit.alert_notification_settings AS s
INNER JOIN pggit.effective_notification_config AS e ON s.setting_id = e.setting_id
ORDER BY s.setting_id;
