-- What: one alert, with the name of its operation and branch.
-- Parameters: alert_id bigint.
-- Index: performance_alerts_pkey, performance_metrics_pkey, branches_pkey.
SELECT
    a.alert_id,
    a.operation_type,
    a.alert_type,
    coalesce(a.severity, 'WARNING') AS severity,
    a.actual_duration_microseconds AS duration_us,
    a.baseline_p99_microseconds AS baseline_us,
    a.violation_multiplier::double precision AS factor,
    a.created_at::timestamptz AS created_at,
    a.user_name,
    a.is_acknowledged IS TRUE AS acknowledged,
    a.acknowledged_by,
    a.acknowledged_at::timestamptz AS acknowledged_at,
    a.resolution_notes,
    a.metric_id,
    m.operation_name,
    b.branch_name AS branch
FROM pggit.performance_alerts AS a
LEFT JOIN pggit.performance_metrics AS m ON a.metric_id = m.metric_id
LEFT JOIN pggit.branch_ref AS b ON a.branch_id = b.branch_id
WHERE a.alert_id = :'alert_id'::bigint;
