-- What: the baseline in use for one operation, and above which duration an alert is raised.
-- Parameters: operation text.
-- Index: idx_performance_baselines_active.
SELECT
    b.p50_microseconds AS p50_us,
    b.p99_microseconds AS p99_us,
    (b.p99_microseconds * coalesce(b.alert_threshold_multiplier, 2.0))::double precision AS threshold_us,
    b.calculation_timestamp::timestamptz AS calculated_at
FROM pggit.performance_baselines AS b
WHERE b.operation_type = :'operation'::text AND b.is_active = TRUE
ORDER BY b.branch_id ASC NULLS FIRST, b.calculation_timestamp DESC
LIMIT 1;
