-- What the log has on one notification, in order.
-- Parameters: queue_id bigint
-- Index: alert_notification_log_attempt_once, one range in each partition.
SELECT
    l.sent_at,
    l.status,
    l.reason,
    l.attempt,
    l.response_code,
    l.delivery_time_ms,
    l.worker,
    l.error_message,
    pggit.log_sentence(l) AS sentence,
    pggit.duration_text(now() - l.sent_at) AS age
FROM pggit.alert_notification_log AS l
WHERE l.queue_id = :'queue_id'::bigint
ORDER BY l.sent_at, l.log_id;
