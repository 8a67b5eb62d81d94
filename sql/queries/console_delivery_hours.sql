-- What: attempts of the last 24 hours by hour and outcome, out of the newest 50,000, so that the cost has a bound.
-- Parameters: none.
-- Index: alert_notification_log_pkey of each partition, read backwards and merged: about 50 ms for 50,000.
WITH hour AS MATERIALIZED (
    SELECT array_agg(now() - make_interval(hours => 24 - h.number) ORDER BY h.number) AS begins
    FROM generate_series(0, 23) AS h (number)
),

counted AS (
    SELECT
        width_bucket(newest.sent_at, (SELECT hour.begins FROM hour)) - 1 AS bucket,
        newest.status,
        count(*) AS attempts
    FROM (
        SELECT l.status, l.sent_at
        FROM pggit.alert_notification_log AS l
        ORDER BY l.log_id DESC
        LIMIT 50000
    ) AS newest
    WHERE newest.sent_at >= now() - interval '24 hours' AND newest.sent_at <= now()
    GROUP BY bucket, newest.status
)

SELECT
    counted.bucket,
    CASE
        WHEN counted.status IN ('sent', 'retry', 'failed', 'suppressed') THEN counted.status
        WHEN counted.status = 'lost' THEN 'failed'
        WHEN counted.status = 'held' THEN 'suppressed'
        ELSE 'other'
    END AS outcome,
    sum(counted.attempts)::bigint AS attempts,
    sum(sum(counted.attempts)) OVER () >= 50000 AS is_cut
FROM counted
GROUP BY counted.bucket, outcome
ORDER BY counted.bucket, outcome;
