-- What: the newest 101 notifications that were given up, with the reason of their last attempt.
-- Parameters: before timestamptz (NULL: from the newest).
-- Index: alert_notification_queue_finished, read backwards.
SELECT
    q.queue_id,
    q.alert_id,
    q.event,
    q.channel,
    q.recipient,
    q.attempt,
    q.created_at,
    q.processed_at,
    q.error_message,
    q.alert ->> 'operation_type' AS operation_type,
    q.alert ->> 'severity' AS severity
FROM pggit.alert_notification_queue AS q
WHERE q.status = 'failed'
    AND (:'before'::timestamptz IS NULL OR q.processed_at < :'before'::timestamptz)
ORDER BY q.processed_at DESC
LIMIT 101;
