-- Seconds until the next pending row of these lanes is due; no row if nothing waits.
-- Parameters: channels text[], urgencies smallint[]
-- Index: alert_notification_queue_due, the first entry of each lane.
SELECT extract(EPOCH FROM min(d.next_attempt_at) - now())::double precision AS seconds
FROM unnest(:'channels'::text [], :'urgencies'::smallint []) AS lane (channel, urgency)
CROSS JOIN LATERAL (
    SELECT n.next_attempt_at
    FROM pggit.alert_notification_queue AS n
    WHERE n.status = 'pending'
        AND n.channel = lane.channel
        AND n.urgency = lane.urgency
        AND n.next_attempt_at < 'infinity'
    ORDER BY n.next_attempt_at
    LIMIT 1
) AS d
HAVING min(d.next_attempt_at) IS NOT NULL;
