-- The unusual metrics of a span of time by the settings of each operation, or by other thresholds for all of them.
-- What the whitelist expects, as it stands now, is left out; operations that scans don't look at are not watched.
-- Parameters: from timestamp, to timestamp (before which), sigma numeric, budget numeric, min_ratio numeric: NULL for
-- what is set
-- Index: idx_performance_metrics_composite, one probe for each operation and day; see find_anomalies.
SELECT
    found.recorded_at,
    found.operation_type,
    CASE WHEN found.is_critical THEN 'CRITICAL' ELSE 'WARNING' END AS severity,
    extract(EPOCH FROM setting.episode_gap)::double precision AS episode_gap,
    setting.alerts_per_hour
FROM pggit.find_anomalies(
    pggit.watched_operations(), :'from'::timestamp, :'to'::timestamp - interval '1 microsecond', TRUE, 'slow', 7,
    :'sigma'::numeric, :'budget'::numeric, :'min_ratio'::numeric
) AS found
INNER JOIN pggit.anomaly_settings(pggit.watched_operations()) AS setting
    ON found.operation_type = setting.operation_type
WHERE NOT pggit.whitelisted(found.operation_type, found.recorded_at, found.duration_microseconds)
ORDER BY found.recorded_at, found.metric_id;
