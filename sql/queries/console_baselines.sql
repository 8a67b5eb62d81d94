-- What: the baselines in use, by operation.
-- Parameters: none.
-- Index: idx_performance_baselines_active.
SELECT
    b.baseline_id,
    b.operation_type,
    r.branch_name AS branch,
    b.sample_count,
    b.p50_microseconds AS p50_us,
    b.p95_microseconds AS p95_us,
    b.p99_microseconds AS p99_us,
    b.alert_threshold_multiplier::double precision AS multiplier,
    b.calculated_from_days AS days,
    b.calculation_timestamp::timestamptz AS calculated_at
FROM pggit.performance_baselines AS b
LEFT JOIN pggit.branch_ref AS r ON b.branch_id = r.branch_id
WHERE b.is_active = TRUE
ORDER BY b.operation_type ASC, r.branch_name ASC NULLS FIRST, b.baseline_id ASC
LIMIT 201;
