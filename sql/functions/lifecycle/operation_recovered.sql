-- Has this operation been measured as normal since the metric that raised its last alert?
-- What counts as normal depends on the type of alert:
--   THRESHOLD_EXCEEDED  one metric at most baseline p99 times its multiplier, which is what would raise no new alert
--   ANOMALY             one metric at most baseline p99, because anomalies are told below the threshold too
--   DEGRADATION         ten metrics or more whose median is at most a fifth above the baseline's p50: a trend is not
--                       over because of one quick run
-- A metric is held against the baseline that check_performance_baseline would take, and without one against the p99
-- that the alert was raised with. "Since" goes by metric_id, because recorded_at depends on the writer's time zone.
-- Two probes of at most 2,000 rows, whatever the size of the table: the newest metrics of all, which find an operation
-- that is measured often, and the operation's own by idx_performance_metrics_composite, which find one that is not.
CREATE OR REPLACE FUNCTION pggit.operation_recovered(
    p_operation_type text,
    p_alert_type text,
    p_since_metric_id bigint,
    p_alert_p99_microseconds bigint DEFAULT NULL
)
RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
WITH probed AS MATERIALIZED (
    SELECT newest.metric_id, newest.duration_microseconds, newest.branch_id
    FROM (
        SELECT n.metric_id, n.operation_type, n.duration_microseconds, n.branch_id
        FROM pggit.performance_metrics AS n
        WHERE n.metric_id > p_since_metric_id
        ORDER BY n.metric_id DESC
        LIMIT 2000
    ) AS newest
    WHERE newest.operation_type = p_operation_type
    UNION
    SELECT own.metric_id, own.duration_microseconds, own.branch_id
    FROM (
        SELECT o.metric_id, o.duration_microseconds, o.branch_id
        FROM pggit.performance_metrics AS o
        WHERE o.operation_type = p_operation_type
        ORDER BY o.period_start DESC, o.duration_microseconds DESC
        LIMIT 2000
    ) AS own
    WHERE own.metric_id > p_since_metric_id
),

-- One look for each branch: an operation may have a year of old baselines.
baseline AS MATERIALIZED (
    SELECT branch.branch_id, b.p99_microseconds, b.p50_microseconds, b.alert_threshold_multiplier
    FROM (SELECT DISTINCT probed.branch_id FROM probed) AS branch
    LEFT JOIN LATERAL (
        SELECT pb.p99_microseconds, pb.p50_microseconds, pb.alert_threshold_multiplier
        FROM pggit.performance_baselines AS pb
        WHERE pb.operation_type = p_operation_type
            AND pb.is_active
            AND (pb.branch_id IS NULL OR pb.branch_id = branch.branch_id)
        ORDER BY pb.calculation_timestamp DESC, pb.baseline_id DESC
        LIMIT 1
    ) AS b ON TRUE
),

judged AS (
    SELECT
        probed.duration_microseconds,
        coalesce(baseline.p99_microseconds, p_alert_p99_microseconds) AS p99,
        coalesce(baseline.alert_threshold_multiplier, 2.0) AS multiplier,
        baseline.p50_microseconds AS p50
    FROM probed
    INNER JOIN baseline ON probed.branch_id IS NOT DISTINCT FROM baseline.branch_id
)

SELECT coalesce(CASE p_alert_type
    WHEN 'DEGRADATION' THEN
        count(judged.p50) >= 10
        AND percentile_cont(0.5) WITHIN GROUP (ORDER BY judged.duration_microseconds / nullif(judged.p50, 0)::float8) <= 1.2
    WHEN 'ANOMALY' THEN bool_or(judged.duration_microseconds <= judged.p99)
    ELSE bool_or(judged.duration_microseconds <= judged.p99 * judged.multiplier)
END, FALSE)
FROM judged
$$;

COMMENT ON FUNCTION pggit.operation_recovered(text, text, bigint, bigint) IS
'True if the operation was measured as normal after the given metric; never true on silence.';

REVOKE EXECUTE ON FUNCTION pggit.operation_recovered(text, text, bigint, bigint) FROM PUBLIC;
