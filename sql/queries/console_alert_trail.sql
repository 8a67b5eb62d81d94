-- What: what the log holds about one alert, in the order it happened.
-- Parameters: alert_id bigint.
-- Index: alert_notification_log_alert of each partition.
SELECT
    l.log_id,
    l.sent_at,
    l.event,
    l.channel,
    l.recipient,
    l.status,
    l.attempt,
    l.reason,
    l.response_code,
    l.delivery_time_ms,
    l.dwell_time_ms,
    l.maybe_duplicate,
    l.worker,
    l.queue_id,
    l.error_message
FROM pggit.alert_notification_log AS l
WHERE l.alert_id = :'alert_id'::bigint
ORDER BY l.sent_at, l.log_id
LIMIT 200;
