-- How much waits and how long the oldest due row has waited, per channel; and dead letters. Counting ends at 100,000
-- of a channel and state, of all channels for dead letters: that figure means "at least", for what is asked every few
-- seconds must not take the longer the worse things are. The oldest due row is exact however many wait.
-- Parameters: none
-- Index: alert_notification_queue_due for pending rows: two descents per destination and at most 100,000 entries twice
-- per channel; alert_notification_queue_dead for dead letters.
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
),

due AS (
    SELECT e.channel, min(first.next_attempt_at) AS oldest_at
    FROM endpoint AS e
    CROSS JOIN LATERAL (
        SELECT q.next_attempt_at
        FROM pggit.alert_notification_queue AS q
        WHERE q.status = 'pending'
            AND q.channel = e.channel AND q.urgency = e.urgency AND q.destination_key = e.destination_key
            AND q.next_attempt_at <= now() AND q.claimed_by IS NULL
        ORDER BY q.next_attempt_at
        LIMIT 1
    ) AS first
    GROUP BY e.channel
),

counted AS (
    SELECT
        c.channel,
        (
            SELECT count(*)
            FROM (
                SELECT
                FROM endpoint AS e
                CROSS JOIN LATERAL (
                    SELECT
                    FROM pggit.alert_notification_queue AS q
                    WHERE q.status = 'pending'
                        AND q.channel = e.channel AND q.urgency = e.urgency AND q.destination_key = e.destination_key
                        AND q.next_attempt_at < 'infinity'
                    ORDER BY q.next_attempt_at
                    LIMIT 100000
                ) AS of_endpoint
                WHERE e.channel = c.channel
                LIMIT 100000 -- noqa: AM09, any of them count
            ) AS pending
        ) AS pending,
        (
            SELECT count(*)
            FROM (
                SELECT
                FROM endpoint AS e
                CROSS JOIN LATERAL (
                    SELECT
                    FROM pggit.alert_notification_queue AS q
                    WHERE q.status = 'pending'
                        AND q.channel = e.channel AND q.urgency = e.urgency AND q.destination_key = e.destination_key
                        AND q.next_attempt_at = 'infinity'
                    ORDER BY q.next_attempt_at
                    LIMIT 100000
                ) AS of_endpoint
                WHERE e.channel = c.channel
                LIMIT 100000 -- noqa: AM09, any of them count
            ) AS held
        ) AS held
    FROM (SELECT DISTINCT endpoint.channel FROM endpoint) AS c
)

SELECT
    counted.channel,
    waiting.status,
    waiting.depth,
    CASE
        WHEN waiting.status = 'pending' THEN coalesce(extract(EPOCH FROM now() - due.oldest_at), 0)
        ELSE 0
    END::double precision AS oldest_due_seconds
FROM counted
LEFT JOIN due ON counted.channel = due.channel
CROSS JOIN LATERAL (VALUES ('pending', counted.pending), ('held', counted.held)) AS waiting (status, depth)
WHERE waiting.depth > 0
UNION ALL
SELECT dead.channel, 'failed' AS status, count(*) AS depth, 0 AS oldest_due_seconds
FROM (
    SELECT q.channel
    FROM pggit.alert_notification_queue AS q
    WHERE q.status = 'failed' AND q.discarded_at IS NULL
    ORDER BY coalesce(q.processed_at, q.created_at), q.queue_id
    LIMIT 100000
) AS dead
GROUP BY dead.channel;
