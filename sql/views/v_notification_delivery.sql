-- Deliveries per channel and day (UTC): how many, how many got through, how long they took, what failed and why.
-- A delivery is a notification that ended, sent or given up; attempts that were tried again are the retries. Latency is
-- the receiver's part, dwell the time from the notification's enqueueing to the start of its delivery.

CREATE OR REPLACE VIEW pggit.v_notification_delivery AS
WITH failure AS (
    SELECT
        counted.day,
        counted.channel,
        jsonb_object_agg(counted.reason, counted.failures) FILTER (WHERE counted.failures > 0) AS reasons,
        jsonb_object_agg(counted.reason, counted.retries) FILTER (WHERE counted.retries > 0) AS retry_reasons
    FROM (
        SELECT
            (l.sent_at AT TIME ZONE 'UTC')::date AS day,
            l.channel,
            coalesce(l.reason, 'unknown') AS reason,
            count(*) FILTER (WHERE l.status = 'failed') AS failures,
            count(*) FILTER (WHERE l.status = 'retry') AS retries
        FROM pggit.alert_notification_log AS l
        WHERE l.status IN ('failed', 'retry')
        GROUP BY (l.sent_at AT TIME ZONE 'UTC')::date, l.channel, coalesce(l.reason, 'unknown')
    ) AS counted
    GROUP BY counted.day, counted.channel
),

attempt AS (
    SELECT
        (l.sent_at AT TIME ZONE 'UTC')::date AS day,
        l.channel,
        count(*) FILTER (WHERE l.status IN ('sent', 'failed')) AS deliveries,
        count(*) FILTER (WHERE l.status = 'sent') AS sent,
        count(*) FILTER (WHERE l.status = 'failed') AS failed,
        count(*) FILTER (WHERE l.status = 'retry') AS retries,
        percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY l.delivery_time_ms)
            FILTER (WHERE l.status = 'sent') AS latency,
        percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY l.dwell_time_ms)
            FILTER (WHERE l.status = 'sent') AS dwell
    FROM pggit.alert_notification_log AS l
    WHERE l.status IN ('sent', 'failed', 'retry')
    GROUP BY (l.sent_at AT TIME ZONE 'UTC')::date, l.channel
)

SELECT
    attempt.day,
    attempt.channel,
    attempt.deliveries,
    attempt.sent,
    attempt.failed,
    round(100.0 * attempt.sent / nullif(attempt.deliveries, 0), 2) AS success_percent,
    attempt.retries,
    attempt.latency[1] AS latency_p50_ms,
    attempt.latency[2] AS latency_p95_ms,
    attempt.dwell[1] AS dwell_p50_ms,
    attempt.dwell[2] AS dwell_p95_ms,
    coalesce(failure.reasons, '{}') AS failures_by_reason,
    coalesce(failure.retry_reasons, '{}') AS retries_by_reason
FROM attempt
LEFT JOIN failure ON attempt.day = failure.day AND attempt.channel = failure.channel;

COMMENT ON VIEW pggit.v_notification_delivery IS
'Deliveries per channel and day (UTC) with success rate, latency, dwell, and failures and retries by reason.';
