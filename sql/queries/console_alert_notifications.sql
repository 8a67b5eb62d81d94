-- What: the notifications of one alert as they stand in the queue.
-- Parameters: alert_id bigint.
-- Index: alert_notification_queue_once.
SELECT
    q.queue_id,
    q.event,
    q.channel,
    q.recipient,
    q.status,
    q.attempt,
    q.created_at,
    q.processed_at,
    CASE WHEN q.status = 'pending' AND isfinite(q.next_attempt_at) THEN q.next_attempt_at END AS next_attempt_at,
    q.status = 'pending' AND q.next_attempt_at = 'infinity' AS held,
    q.status = 'pending' AND q.claimed_by IS NOT NULL AS in_flight,
    q.error_message,
    q.message
FROM pggit.alert_notification_queue AS q
WHERE q.alert_id = :'alert_id'::bigint
ORDER BY q.queue_id
LIMIT 200;
