-- One notification, whatever its state, with what happens next.
-- Parameters: queue_id bigint
-- Index: alert_notification_queue_pkey
SELECT
    q.queue_id,
    q.alert_id,
    q.event,
    q.status,
    q.channel,
    q.recipient,
    q.setting_id,
    s.name AS setting_name,
    q.destination_key,
    q.alert ->> 'severity' AS severity,
    q.alert ->> 'operation_type' AS operation_type,
    q.alert ->> 'alert_type' AS alert_type,
    q.attempt AS attempts,
    q.created_at,
    q.processed_at,
    q.discarded_at,
    q.give_up_at,
    q.error_message,
    q.message,
    pggit.notification_outlook(q.queue_id) AS next
FROM pggit.alert_notification_queue AS q
LEFT JOIN pggit.alert_notification_settings AS s ON q.setting_id = s.setting_id
WHERE q.queue_id = :'queue_id'::bigint;
