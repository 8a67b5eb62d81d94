-- What: attempts of the last 24 hours by hour and outcome, out of the newest 50,000, so that the cost has a bound.
-- Parameters: none.
-- Index: alert_notification_log_pkey of each partition, read backwards and merged.
WITH newest AS (
    SELECT l.status, l.sent_at
    FROM pggit.alert_notification_log AS l
    ORDER BY l.log_id DESC
    LIMIT 50000
)

SELECT
    24 - ceil(extract(EPOCH FROM now() - newest.sent_at) / 3600)::integer AS bucket,
    CASE
        WHEN newest.status = 'sent' THEN 'sent'
        WHEN newest.status = 'retry' THEN 'retry'
        WHEN newest.status IN ('failed', 'lost') THEN 'failed'
        WHEN newest.status IN ('suppressed', 'held') THEN 'suppressed'
        ELSE 'other'
    END AS outcome,
    count(*) AS attempts,
    (SELECT count(whole.sent_at) FROM newest AS whole) >= 50000 AS is_cut
FROM newest
WHERE newest.sent_at > now() - interval '24 hours' AND newest.sent_at <= now()
GROUP BY bucket, outcome
ORDER BY bucket, outcome;
