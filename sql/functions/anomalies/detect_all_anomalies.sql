-- The unusual metrics of all tracked operations in the last hours, with the thresholds that anomaly_detection_settings
-- has for each. Index probes only: 24 hours of a million metrics take tens of milliseconds.
CREATE OR REPLACE FUNCTION pggit.detect_all_anomalies(
    p_lookback_hours integer DEFAULT 24,
    p_as_of timestamp DEFAULT NULL
)
RETURNS TABLE (
    metric_id bigint, operation_type text, duration_ms numeric, zscore numeric, severity text, recorded_at timestamp,
    expected_low_ms numeric, expected_high_ms numeric
)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    v_to timestamp := coalesce(p_as_of, localtimestamp);
BEGIN
    PERFORM pggit.require_detection_arguments(p_lookback_hours, 3.0, 7, 'slow', NULL, 1.2, 10);
    IF NOT isfinite(v_to) THEN
        RETURN;
    END IF;
    IF p_as_of IS NULL
        AND NOT EXISTS (
            SELECT FROM pggit.anomaly_scan_state AS s
            WHERE s.profiled_days = 7 AND s.profiled_to BETWEEN v_to - interval '26 hours' AND v_to
                AND s.profiled_to - interval '1 day' <= v_to - make_interval(hours => p_lookback_hours)
        )
        AND EXISTS (SELECT FROM pggit.performance_metrics)
    THEN
        RAISE NOTICE 'no profiles are stored for the last % hours, so they are made on the spot', p_lookback_hours
            USING HINT = 'SELECT pggit.refresh_performance_histograms(), pggit.refresh_latency_profiles() stores those for 24 hours and less, as the daemon does every hour.';
    END IF;
    RETURN QUERY
    SELECT
        found.metric_id,
        found.operation_type,
        round(found.duration_microseconds / 1000.0, 3),
        found.zscore,
        'ANOMALY',
        found.recorded_at,
        round(found.low_microseconds / 1000.0, 3),
        round(found.high_microseconds / 1000.0, 3)
    FROM pggit.find_anomalies(
        pggit.watched_operations(), v_to - make_interval(hours => p_lookback_hours), v_to, TRUE
    ) AS found
    ORDER BY found.recorded_at, found.metric_id;
END
$$;

COMMENT ON FUNCTION pggit.detect_all_anomalies(integer, timestamp) IS
'The unusual metrics of all tracked operations in the hours before p_as_of (now), by the settings of each; writes nothing.';

REVOKE EXECUTE ON FUNCTION pggit.detect_all_anomalies(integer, timestamp) FROM PUBLIC;
