-- How many rows each worker holds under a lease that runs, for people to see who works on what.
-- Parameters: none
-- Index: alert_notification_queue_due, two descents per destination and at most 2,000 entries of each: a lease is a due
-- time, so leased rows are among the first that come due, beside what waits for a retry.
WITH RECURSIVE endpoint (channel, urgency, destination_key) AS (
    (
        SELECT q.channel, q.urgency, q.destination_key
        FROM pggit.alert_notification_queue AS q
        WHERE q.status = 'pending'
        ORDER BY q.channel, q.urgency, q.destination_key
        LIMIT 1
    )
    UNION ALL
    SELECT n.channel, n.urgency, n.destination_key
    FROM endpoint AS e
    CROSS JOIN LATERAL (
        SELECT q.channel, q.urgency, q.destination_key
        FROM pggit.alert_notification_queue AS q
        WHERE q.status = 'pending'
            AND (q.channel, q.urgency, q.destination_key) > (e.channel, e.urgency, e.destination_key)
        ORDER BY q.channel, q.urgency, q.destination_key
        LIMIT 1
    ) AS n
)

SELECT soon.claimed_by AS worker, count(*) AS leased
FROM endpoint AS e
CROSS JOIN LATERAL (
    SELECT q.claimed_by
    FROM pggit.alert_notification_queue AS q
    WHERE q.status = 'pending'
        AND q.channel = e.channel AND q.urgency = e.urgency AND q.destination_key = e.destination_key
        AND q.next_attempt_at > now() AND q.next_attempt_at < 'infinity'
    ORDER BY q.next_attempt_at
    LIMIT 2000
) AS soon
WHERE soon.claimed_by IS NOT NULL
GROUP BY soon.claimed_by
ORDER BY soon.claimed_by;
