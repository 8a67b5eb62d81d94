-- What: on-call shifts that are not over and that no setting reaches at this moment, for those who check them before
-- somebody relies on them; configs hold secrets.
-- Parameters: none.
-- Index: none; there are as many rows as people have written and retention has left.
SELECT
    o.shift_id,
    s.setting_id,
    s.name,
    lower(btrim(s.notification_channel)) AS channel,
    o.config::text AS config,
    o.destination_key,
    coalesce(o.recipient, '(none)') AS recipient,
    o.starts_at <= now() AS is_on,
    to_char(o.starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') AS starts
FROM pggit.oncall_shift AS o
INNER JOIN pggit.alert_notification_settings AS s ON o.setting_id = s.setting_id
INNER JOIN pggit.effective_notification_config AS e ON s.setting_id = e.setting_id
WHERE s.enabled AND o.ends_at > now() AND o.shift_id IS DISTINCT FROM e.shift_id
ORDER BY o.starts_at, o.shift_id;
