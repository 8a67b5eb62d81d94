-- What: p50, p99 and the slowest of one operation in each of `buckets` equal parts of the last `seconds`; out of the
-- newest 100,000 measurements of that time, so that the cost has a bound.
-- Parameters: operation text, seconds double precision, buckets integer.
-- Index: idx_performance_metrics_recorded_at, or idx_performance_metrics_operation_type where that reads less.
WITH part AS MATERIALIZED (
    SELECT
        array_agg(
            localtimestamp - make_interval(
                secs => :'seconds'::double precision * (:'buckets'::integer - p.number) / :'buckets'::integer
            )
            ORDER BY p.number
        ) AS begins
    FROM generate_series(0, :'buckets'::integer - 1) AS p (number)
)

SELECT
    bucketed.bucket,
    count(*) AS samples,
    (percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY bucketed.us))[1] AS p50_us,
    (percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY bucketed.us))[2] AS p99_us,
    max(bucketed.us) AS slowest_us
FROM (
    SELECT
        greatest(width_bucket(newest.recorded_at, (SELECT part.begins FROM part)) - 1, 0) AS bucket,
        newest.duration_microseconds::double precision AS us
    FROM (
        SELECT m.recorded_at, m.duration_microseconds
        FROM pggit.performance_metrics AS m
        WHERE m.operation_type = :'operation'::text
            AND m.recorded_at >= localtimestamp - make_interval(secs => :'seconds'::double precision)
            AND m.recorded_at <= localtimestamp
        ORDER BY m.recorded_at DESC
        LIMIT 100000
    ) AS newest
) AS bucketed
GROUP BY bucketed.bucket
ORDER BY bucketed.bucket;
