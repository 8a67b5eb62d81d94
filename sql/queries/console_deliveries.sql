-- What: the newest 101 rows of the log that fit the filters, out of the newest 50,000, so that the cost has a bound.
-- Parameters: channel, status text (NULL: any), before bigint (NULL: from the newest).
-- Index: alert_notification_log_pkey of each partition, read backwards and merged.
SELECT
    l.log_id,
    l.sent_at,
    l.alert_id,
    l.queue_id,
    l.event,
    l.channel,
    l.recipient,
    l.status,
    l.attempt,
    l.reason,
    l.response_code,
    l.delivery_time_ms,
    l.maybe_duplicate,
    l.error_message
FROM (
    SELECT newest.*
    FROM pggit.alert_notification_log AS newest
    WHERE :'before'::bigint IS NULL OR newest.log_id < :'before'::bigint
    ORDER BY newest.log_id DESC
    LIMIT 50000
) AS l
WHERE (:'channel'::text IS NULL OR l.channel = :'channel'::text)
    AND (:'status'::text IS NULL OR l.status = :'status'::text)
ORDER BY l.log_id DESC
LIMIT 101;
