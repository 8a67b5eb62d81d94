-- How many notifications have ended of late, and how many of them reached somebody. What was given up and is being sent
-- again has not ended, and once sent it counts as that: one look-up for each that failed.
-- Runs as its caller and is inlined, so it reads the log's newest partition by sent_at.
CREATE OR REPLACE FUNCTION pggit.ended_deliveries(p_window interval DEFAULT '1 hour')
RETURNS TABLE (deliveries bigint, sent bigint)
LANGUAGE sql STABLE
AS $$
SELECT count(*), count(*) FILTER (WHERE ended.status = 'sent')
FROM (
    SELECT
        l.status,
        CASE WHEN l.status = 'failed' THEN (
            SELECT q.status FROM pggit.alert_notification_queue AS q WHERE q.queue_id = l.queue_id
        ) END AS now_status
    FROM pggit.alert_notification_log AS l
    WHERE l.sent_at > now() - p_window AND l.status IN ('sent', 'failed')
) AS ended
WHERE coalesce(ended.now_status, 'failed') = 'failed'
$$;

COMMENT ON FUNCTION pggit.ended_deliveries(interval) IS
'How many notifications were delivered or given up within the window, and how many were delivered; what is sent again counts by its new end.';

REVOKE EXECUTE ON FUNCTION pggit.ended_deliveries(interval) FROM PUBLIC;
