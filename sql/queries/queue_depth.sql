-- How much waits and how long the oldest due row has waited, per channel; and dead letters.
-- Parameters: none
-- Index: alert_notification_queue_due for pending rows, alert_notification_queue_dead for dead letters; in two parts,
-- since no partial index serves both and most of the table is sent already.
SELECT
    q.channel,
    CASE WHEN q.next_attempt_at = 'infinity' THEN 'held' ELSE 'pending' END AS status,
    count(*) AS depth,
    coalesce(
        extract(
            EPOCH FROM now()
            - min(q.next_attempt_at) FILTER (WHERE q.next_attempt_at <= now() AND q.claimed_by IS NULL)
        ),
        0
    )::double precision AS oldest_due_seconds
FROM pggit.alert_notification_queue AS q
WHERE q.status = 'pending'
GROUP BY 1, 2
UNION ALL
SELECT
    q.channel,
    'failed' AS status,
    count(*) AS depth,
    0 AS oldest_due_seconds
FROM pggit.alert_notification_queue AS q
WHERE q.status = 'failed' AND q.discarded_at IS NULL
GROUP BY 1;
