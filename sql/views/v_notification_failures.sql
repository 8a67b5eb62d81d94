-- Why a notification failed: one row for each that was given up and not sent again, with its last attempt.

CREATE OR REPLACE VIEW pggit.v_notification_failures AS
SELECT
    q.queue_id,
    q.alert_id,
    q.event,
    q.alert ->> 'alert_type' AS alert_type,
    q.alert ->> 'operation_type' AS operation_type,
    q.alert ->> 'severity' AS severity,
    q.channel,
    q.recipient,
    q.setting_id,
    q.created_at,
    q.processed_at AS failed_at,
    tried.attempts,
    final.response_code AS last_code,
    final.reason,
    coalesce(final.error_message, q.error_message) AS error_message,
    final.sent_at AS last_attempt_at,
    final.worker AS last_worker,
    q.message
FROM pggit.alert_notification_queue AS q
LEFT JOIN LATERAL (
    SELECT count(*) AS attempts
    FROM pggit.alert_notification_log AS l
    WHERE l.queue_id = q.queue_id
        AND l.claim_no IS NOT NULL
        AND l.status IN ('sent', 'retry', 'failed', 'lost')
) AS tried ON TRUE
LEFT JOIN LATERAL (
    SELECT l.response_code, l.reason, l.error_message, l.sent_at, l.worker
    FROM pggit.alert_notification_log AS l
    WHERE l.queue_id = q.queue_id AND l.status = 'failed'
    ORDER BY l.sent_at DESC, l.log_id DESC
    LIMIT 1
) AS final ON TRUE
WHERE q.status = 'failed' AND q.discarded_at IS NULL;

COMMENT ON VIEW pggit.v_notification_failures IS
'Why each failed notification failed: attempts, last code, reason and error. Gone when it is replayed or removed.';
