-- The p99 that threshold alerts went by on each day, had the nightly recalculation kept the baselines all the time:
-- each day's candidate is of the days before it, and takes the place of the one in force by the rule of recalculation.
-- A candidate that would be held for approval changes nothing here, as if nobody had decided.
-- Parameters: from timestamp, to timestamp, lookback_days integer, min_samples integer
-- Index: performance_metric_histogram_day_day
WITH RECURSIVE day AS (
    SELECT d.at::date AS day, row_number() OVER (ORDER BY d.at) AS number
    FROM generate_series(date_trunc('day', :'from'::timestamp), :'to'::timestamp, interval '1 day') AS d (at)
    WHERE d.at < :'to'::timestamp
),

bucket AS (
    SELECT day.number, h.operation_type, u.bucket, sum(u.metrics) AS metrics
    FROM day
    INNER JOIN pggit.performance_metric_histogram_day AS h
        ON day.day - :'lookback_days'::integer <= h.day AND day.day > h.day
    INNER JOIN pggit.performance_operation_types AS t ON h.operation_type = t.operation_type AND t.is_tracked
    CROSS JOIN LATERAL unnest(h.buckets, h.counts) AS u (bucket, metrics)
    GROUP BY day.number, h.operation_type, u.bucket
),

candidate AS MATERIALIZED (
    SELECT
        running.number,
        running.operation_type,
        max(running.total)::integer AS metrics,
        pggit.latency_of_bucket(min(running.bucket) FILTER (WHERE running.so_far >= 0.99 * running.total)) AS p99,
        pggit.latency_of_bucket(
            min(running.bucket) FILTER (
                WHERE running.so_far >= 0.99 * running.total - 1.96 * sqrt(0.0099 * running.total)
            )
        ) AS p99_low,
        pggit.latency_of_bucket(
            min(running.bucket) FILTER (
                WHERE running.so_far >= least(running.total, 0.99 * running.total + 1.96 * sqrt(0.0099 * running.total))
            )
        ) AS p99_high
    FROM (
        SELECT
            b.number,
            b.operation_type,
            b.bucket,
            sum(b.metrics) OVER (
                PARTITION BY b.number, b.operation_type ORDER BY b.bucket ROWS UNBOUNDED PRECEDING
            ) AS so_far,
            sum(b.metrics) OVER (PARTITION BY b.number, b.operation_type) AS total
        FROM bucket AS b
    ) AS running
    WHERE running.total >= :'min_samples'::integer
    GROUP BY running.number, running.operation_type
),

course AS (
    SELECT day.number, t.operation_type, c.p99::bigint AS p99
    FROM day
    CROSS JOIN pggit.performance_operation_types AS t
    LEFT JOIN candidate AS c ON day.number = c.number AND t.operation_type = c.operation_type
    WHERE day.number = 1 AND t.is_tracked
    UNION ALL
    SELECT
        course.number + 1,
        course.operation_type,
        CASE
            WHEN pggit.baseline_verdict(
                course.p99, c.p99::bigint, FALSE,
                pggit.baseline_is_noise(course.p99, c.p99_low::bigint, c.p99_high::bigint, c.metrics)
            ) IN ('create', 'replace') THEN c.p99::bigint
            ELSE course.p99
        END
    FROM course
    INNER JOIN day ON course.number + 1 = day.number
    LEFT JOIN candidate AS c ON day.number = c.number AND course.operation_type = c.operation_type
)

SELECT
    course.operation_type,
    day.day::timestamp AS day,
    course.p99,
    coalesce(baseline.alert_threshold_multiplier, 2.0)::double precision AS multiplier
FROM course
INNER JOIN day ON course.number = day.number
LEFT JOIN LATERAL pggit.active_baseline(course.operation_type, NULL) AS baseline ON TRUE
WHERE course.p99 IS NOT NULL
ORDER BY course.operation_type, day.day;
