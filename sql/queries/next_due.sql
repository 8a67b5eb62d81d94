-- Seconds until the next pending row that these lanes have room for is due; no row if nothing waits.
-- Parameters: channels text[], urgencies smallint[]; full_channels text[], full_urgencies smallint[], full_keys text[]:
-- destinations that have no room
-- Index: alert_notification_queue_due, two descents per lane and destination.
WITH RECURSIVE endpoint (channel, urgency, destination_key) AS (
    SELECT lane.channel, lane.urgency, (
        SELECT n.destination_key FROM pggit.alert_notification_queue AS n
        WHERE n.status = 'pending' AND n.channel = lane.channel AND n.urgency = lane.urgency
        ORDER BY n.destination_key LIMIT 1
    )
    FROM unnest(:'channels'::text [], :'urgencies'::smallint []) AS lane (channel, urgency)
    UNION ALL
    SELECT e.channel, e.urgency, (
        SELECT n.destination_key FROM pggit.alert_notification_queue AS n
        WHERE n.status = 'pending' AND n.channel = e.channel AND n.urgency = e.urgency
            AND n.destination_key > e.destination_key
        ORDER BY n.destination_key LIMIT 1
    )
    FROM endpoint AS e
    WHERE e.destination_key IS NOT NULL
)

SELECT
    extract(EPOCH FROM min(greatest(first.next_attempt_at, d.paused_until, d.open_until)) - now())::double precision
        AS seconds
FROM endpoint AS e
CROSS JOIN LATERAL (
    SELECT n.next_attempt_at
    FROM pggit.alert_notification_queue AS n
    WHERE n.status = 'pending'
        AND n.channel = e.channel
        AND n.urgency = e.urgency
        AND n.destination_key = e.destination_key
        AND n.next_attempt_at < 'infinity'
    ORDER BY n.next_attempt_at
    LIMIT 1
) AS first
LEFT JOIN pggit.alert_destination AS d ON e.destination_key = d.destination_key
WHERE NOT EXISTS (
    SELECT FROM unnest(:'full_channels'::text [], :'full_urgencies'::smallint [], :'full_keys'::text [])
        AS f (channel, urgency, destination_key)
    WHERE f.channel = e.channel AND f.urgency = e.urgency AND f.destination_key = e.destination_key
)
HAVING min(first.next_attempt_at) IS NOT NULL;
