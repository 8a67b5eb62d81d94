-- What: p50 and p99 of the newest 200 baselines of one operation, oldest first, for a chart.
-- Parameters: operation text.
-- Index: idx_performance_baselines_operation_type; an operation gets one baseline a night at most.
SELECT
    course.calculated_at,
    course.p50_us,
    course.p99_us,
    course.sample_count
FROM (
    SELECT
        b.baseline_id,
        b.calculation_timestamp::timestamptz AS calculated_at,
        b.p50_microseconds AS p50_us,
        b.p99_microseconds AS p99_us,
        b.sample_count
    FROM pggit.performance_baselines AS b
    WHERE b.operation_type = :'operation'::text AND b.branch_id IS NULL
    ORDER BY b.calculation_timestamp DESC, b.baseline_id DESC
    LIMIT 200
) AS course
ORDER BY course.calculated_at, course.baseline_id;
