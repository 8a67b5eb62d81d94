-- What: alerts of the last 24 hours that nobody has acknowledged, gathered by operation and type, worst first.
-- Parameters: none.
-- Index: idx_performance_alerts_created_at, the last day's range of it.
WITH recent AS (
    SELECT
        a.alert_id,
        a.operation_type,
        a.alert_type,
        a.violation_multiplier,
        a.created_at,
        CASE a.severity WHEN 'CRITICAL' THEN 2 WHEN 'INFO' THEN 0 ELSE 1 END AS rank
    FROM pggit.performance_alerts AS a
    WHERE a.created_at >= localtimestamp - interval '24 hours' AND a.is_acknowledged IS NOT TRUE
)

SELECT
    recent.operation_type,
    recent.alert_type,
    (ARRAY['INFO', 'WARNING', 'CRITICAL'])[max(recent.rank) + 1] AS severity,
    count(*) AS alerts,
    max(recent.violation_multiplier)::double precision AS worst_factor,
    max(recent.alert_id) AS newest_id,
    min(recent.created_at)::timestamptz AS first_at,
    max(recent.created_at)::timestamptz AS last_at,
    (count(*) OVER ())::bigint AS groups_in_all,
    (sum(count(*)) OVER ())::bigint AS alerts_in_all
FROM recent
GROUP BY recent.operation_type, recent.alert_type
ORDER BY max(recent.rank) DESC, max(recent.created_at) DESC, recent.operation_type ASC, recent.alert_type ASC
LIMIT 20;
