-- What: the newest 101 alerts that fit the filters, each with what became of its notifications.
-- Parameters: operation, type, severity text (NULL: any), unacknowledged boolean, before bigint (NULL: newest).
-- Index: performance_alerts_pkey, read backwards; alert_notification_queue_once for each alert shown.
SELECT
    a.alert_id,
    a.operation_type,
    a.alert_type,
    coalesce(a.severity, 'WARNING') AS severity,
    a.actual_duration_microseconds AS duration_us,
    a.baseline_p99_microseconds AS baseline_us,
    a.violation_multiplier::double precision AS factor,
    a.created_at::timestamptz AS created_at,
    a.is_acknowledged IS TRUE AS acknowledged,
    a.acknowledged_by,
    delivery.states
FROM (
    SELECT newest.*
    FROM pggit.performance_alerts AS newest
    WHERE (:'before'::bigint IS NULL OR newest.alert_id < :'before'::bigint)
        AND (:'operation'::text IS NULL OR newest.operation_type = :'operation'::text)
        AND (:'type'::text IS NULL OR newest.alert_type = :'type'::text)
        AND (:'severity'::text IS NULL OR coalesce(newest.severity, 'WARNING') = :'severity'::text)
        AND (NOT :'unacknowledged'::boolean OR newest.is_acknowledged IS NOT TRUE)
    ORDER BY newest.alert_id DESC
    LIMIT 101
) AS a
LEFT JOIN LATERAL (
    SELECT array_agg(DISTINCT q.channel || ' ' || q.status ORDER BY q.channel || ' ' || q.status) AS states
    FROM pggit.alert_notification_queue AS q
    WHERE q.alert_id = a.alert_id
) AS delivery ON TRUE
ORDER BY a.alert_id DESC;
