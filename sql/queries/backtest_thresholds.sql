-- The metrics of an operation and day that were slower than a cut, for many of these at once.
-- Parameters: operations text[], days timestamp[], p99s bigint[], cuts bigint[], from timestamp, to timestamp
-- Index: idx_performance_metrics_composite, one range that ends at the cut per operation and day. OFFSET 0 keeps the
-- planner from a join by hash, and from the index on recorded_at, which would read the whole day for each operation.
SELECT
    cut.place::integer AS place,
    metric.recorded_at,
    CASE
        WHEN pggit.threshold_is_critical(
            cut.operation_type, 'THRESHOLD_EXCEEDED', metric.duration_microseconds, cut.p99
        ) THEN 'CRITICAL'
        ELSE 'WARNING'
    END AS severity
FROM unnest(:'operations'::text [], :'days'::timestamp [], :'p99s'::bigint [], :'cuts'::bigint [])
    WITH ORDINALITY AS cut (operation_type, day, p99, microseconds, place)
CROSS JOIN LATERAL (
    SELECT
        greatest(cut.day, :'from'::timestamp) AS begins,
        least(cut.day + interval '1 day', :'to'::timestamp) AS ends
) AS span
CROSS JOIN LATERAL pggit.metric_days(cut.operation_type, span.begins, span.ends) AS day (period_start)
CROSS JOIN LATERAL (
    SELECT m.recorded_at, m.duration_microseconds
    FROM pggit.performance_metrics AS m
    WHERE m.operation_type = cut.operation_type
        AND m.period_start = day.period_start
        AND m.duration_microseconds > cut.microseconds
    ORDER BY m.duration_microseconds DESC
    OFFSET 0
) AS metric
WHERE metric.recorded_at >= span.begins AND metric.recorded_at < span.ends;
