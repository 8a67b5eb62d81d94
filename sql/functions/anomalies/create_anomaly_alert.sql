-- Raise an anomaly alert about one metric by hand. CRITICAL from z > 4; a metric that was not slow raises none.
-- Without p_z_score it is the detector's own z for the metric; none, and so WARNING, where too little is known.
-- Called again for the same metric it returns the alert that is there, whoever raised it.
CREATE OR REPLACE FUNCTION pggit.create_anomaly_alert(
    p_metric_id bigint,
    p_anomaly_type text,
    p_z_score numeric DEFAULT NULL
)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_metric record;
    v_limit record;
    v_zscore numeric := p_z_score;
    v_alert_id bigint;
BEGIN
    IF p_metric_id IS NULL THEN
        RAISE EXCEPTION 'p_metric_id is NULL, it must name a metric' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF p_anomaly_type IS NULL OR upper(p_anomaly_type) NOT IN ('ANOMALY', 'STATISTICAL', 'STATISTICAL_ANOMALY') THEN
        RAISE EXCEPTION 'p_anomaly_type is %, it must be ANOMALY or STATISTICAL', coalesce(left(p_anomaly_type, 60), 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
                HINT = 'DEGRADATION alerts are raised by the degradation scan.';
    END IF;
    IF p_z_score <= 0 OR p_z_score >= 1000000 THEN
        RAISE EXCEPTION 'p_z_score is %, it must be above 0 and below 1000000', p_z_score
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Metrics that were faster than usual raise no alert.';
    END IF;

    SELECT m.* INTO v_metric FROM pggit.performance_metrics AS m WHERE m.metric_id = p_metric_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'metric % does not exist', p_metric_id USING ERRCODE = 'no_data_found';
    END IF;
    PERFORM pggit.lock_anomaly_alerts();
    SELECT a.alert_id INTO v_alert_id
    FROM pggit.performance_alerts AS a
    WHERE a.operation_type = v_metric.operation_type AND a.alert_type = 'ANOMALY' AND a.metric_id = p_metric_id
    ORDER BY a.alert_id
    LIMIT 1;
    IF FOUND THEN
        RETURN v_alert_id;
    END IF;

    SELECT
        center.value + (l.profile).q50 AS typical, center.value + l.low_cut AS low, center.value + l.cut AS high,
        pggit.anomaly_zscore(l.profile, ln(v_metric.duration_microseconds::double precision) - center.value) AS zscore
    INTO v_limit
    FROM pggit.anomaly_limits(ARRAY[v_metric.operation_type], v_metric.recorded_at, v_metric.recorded_at) AS l
    CROSS JOIN LATERAL (
        SELECT (l.profile).hour_centers[1 + extract(HOUR FROM v_metric.recorded_at)::integer] AS value
    ) AS center;
    IF p_z_score IS NULL THEN
        v_zscore := v_limit.zscore;
        IF v_zscore <= 0 THEN
            RAISE EXCEPTION 'metric % took no longer than usual, its z is %', p_metric_id, round(v_zscore, 2)
                USING ERRCODE = 'invalid_parameter_value', HINT = 'Metrics that were not slow raise no alert.';
        END IF;
    END IF;

    WITH alert AS (
        INSERT INTO pggit.performance_alerts (
            metric_id, baseline_id, operation_type, alert_type, severity, baseline_p99_microseconds,
            actual_duration_microseconds, violation_multiplier, branch_id, user_name
        )
        SELECT
            p_metric_id, baseline.baseline_id, v_metric.operation_type, 'ANOMALY',
            CASE WHEN v_zscore > 4 THEN 'CRITICAL' ELSE 'WARNING' END, baseline.p99_microseconds,
            v_metric.duration_microseconds,
            pggit.violation_multiplier(v_metric.duration_microseconds, pggit.latency_of_log(v_limit.typical)),
            v_metric.branch_id, v_metric.user_name
        FROM (SELECT 1) AS once
        LEFT JOIN LATERAL pggit.baseline_of_metric(v_metric.operation_type, v_metric.branch_id) AS baseline ON TRUE
        RETURNING performance_alerts.alert_id
    )

    INSERT INTO pggit.alert_finding (
        alert_id, operation_type, alert_type, zscore, expected_low_microseconds, expected_high_microseconds,
        percent_change, began_at
    )
    SELECT
        alert.alert_id, v_metric.operation_type, 'ANOMALY', round(v_zscore, 2),
        pggit.latency_of_log(v_limit.low), pggit.latency_of_log(v_limit.high),
        round((100 * (v_metric.duration_microseconds / exp(v_limit.typical) - 1))::numeric, 1), v_metric.recorded_at
    FROM alert
    RETURNING alert_finding.alert_id INTO v_alert_id;
    RETURN v_alert_id;
END
$$;

COMMENT ON FUNCTION pggit.create_anomaly_alert(bigint, text, numeric) IS
'Raises an ANOMALY alert about a metric, CRITICAL from z > 4 (the detector''s own where p_z_score is left out), and returns its id; the alert that is there if there is one.';

REVOKE EXECUTE ON FUNCTION pggit.create_anomaly_alert(bigint, text, numeric) FROM PUBLIC;
