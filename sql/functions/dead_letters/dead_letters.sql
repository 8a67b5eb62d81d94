-- The dead letters: notifications that were given up and that nobody has sent again or discarded, newest first.
-- The one place that knows what a dead letter is and how to look for some: list, replay and discard all ask here.
-- Runs as its caller and is inlined, so it reads the index alert_notification_queue_dead and stops at the limit. The
-- reason stands in the log, in the row that was written with the same time: one look-up in one partition.
CREATE OR REPLACE FUNCTION pggit.dead_letters(
    p_since timestamptz DEFAULT NULL,
    p_channel text DEFAULT NULL,
    p_setting text DEFAULT NULL,
    p_destination text DEFAULT NULL,
    p_reason text DEFAULT NULL,
    p_severity text DEFAULT NULL,
    p_operation text DEFAULT NULL,
    p_limit bigint DEFAULT NULL
)
RETURNS TABLE (
    queue_id bigint,
    died_at timestamptz,
    alert_id bigint,
    event text,
    severity text,
    operation_type text,
    alert_type text,
    channel text,
    recipient text,
    setting_id integer,
    setting_name text,
    destination_key text,
    reason text,
    attempts integer,
    error_message text,
    message text
)
LANGUAGE sql STABLE
AS $$
SELECT
    q.queue_id,
    coalesce(q.processed_at, q.created_at) AS died_at,
    q.alert_id,
    q.event,
    q.alert ->> 'severity' AS severity,
    q.alert ->> 'operation_type' AS operation_type,
    q.alert ->> 'alert_type' AS alert_type,
    q.channel,
    q.recipient,
    q.setting_id,
    s.name AS setting_name,
    q.destination_key,
    coalesce(l.reason, 'unknown') AS reason,
    q.attempt AS attempts,
    q.error_message,
    q.message
FROM pggit.alert_notification_queue AS q
LEFT JOIN pggit.alert_notification_settings AS s ON q.setting_id = s.setting_id
LEFT JOIN LATERAL (
    SELECT f.reason
    FROM pggit.alert_notification_log AS f
    WHERE f.queue_id = q.queue_id AND f.sent_at = q.processed_at AND f.status = 'failed'
    ORDER BY f.log_id DESC
    LIMIT 1
) AS l ON TRUE
WHERE q.status = 'failed'
    AND q.discarded_at IS NULL
    AND coalesce(q.processed_at, q.created_at) >= coalesce(p_since, '-infinity')
    AND (p_channel IS NULL OR q.channel = lower(btrim(p_channel)))
    AND (p_setting IS NULL OR q.setting_id::text = p_setting OR s.name = p_setting)
    AND (p_destination IS NULL OR q.destination_key = p_destination OR pggit.glob_matches(q.recipient, p_destination))
    AND (p_severity IS NULL OR q.alert ->> 'severity' = upper(btrim(p_severity)))
    AND (p_operation IS NULL OR pggit.glob_matches(q.alert ->> 'operation_type', p_operation))
    AND (p_reason IS NULL OR coalesce(l.reason, 'unknown') = lower(btrim(p_reason)))
ORDER BY coalesce(q.processed_at, q.created_at) DESC, q.queue_id DESC
LIMIT p_limit
$$;

COMMENT ON FUNCTION pggit.dead_letters(timestamptz, text, text, text, text, text, text, bigint) IS
'Dead letters that match every filter given, newest first; p_setting is a number or a name, p_operation and p_destination know * and ?.';

REVOKE EXECUTE ON FUNCTION pggit.dead_letters(timestamptz, text, text, text, text, text, text, bigint) FROM PUBLIC;
