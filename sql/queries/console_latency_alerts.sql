-- What: the newest 200 alerts of one operation in the last `seconds`, as marks for the latency chart.
-- Parameters: operation text, seconds double precision.
-- Index: idx_performance_alerts_created_at, the range of that time read backwards.
SELECT
    a.alert_id,
    a.alert_type,
    coalesce(a.severity, 'WARNING') AS severity,
    a.actual_duration_microseconds AS duration_us,
    a.violation_multiplier::double precision AS factor,
    a.is_acknowledged IS TRUE AS acknowledged,
    a.created_at::timestamptz AS created_at,
    extract(
        EPOCH FROM localtimestamp - a.created_at
    )::double precision AS age
FROM pggit.performance_alerts AS a
WHERE a.operation_type = :'operation'::text
    AND a.created_at >= localtimestamp - make_interval(secs => :'seconds'::double precision)
    AND a.created_at <= localtimestamp
ORDER BY a.created_at DESC
LIMIT 200;
