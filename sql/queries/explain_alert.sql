-- Everything known about one alert, in order; see the function.
-- Parameters: alert_id bigint
-- Index: alert_notification_log_alert and alert_notification_queue_once
SELECT
    e.at,
    e.kind,
    e.queue_id,
    e.setting_id,
    e.subject,
    e.sentence,
    pggit.duration_text(now() - e.at) AS age
FROM pggit.explain_alert(:'alert_id'::bigint) AS e
ORDER BY e.step;
