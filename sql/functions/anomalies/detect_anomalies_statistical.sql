-- The unusual metrics of one operation in the last hours. A metric is held against the days before the window, on the
-- scale ln(duration), with its hour of the day taken into account (docs/design/statistics.md).
-- z is that of a normal distribution of the same tail probability, so 3.0 means 0.00135 whatever the shape.
-- No row means nothing unusual, or too little known: a NOTICE says the latter, and anomaly_detection_status which.
-- Fast metrics are ignored unless p_direction is 'fast' or 'both'; their z is negative, and against the spread only.
CREATE OR REPLACE FUNCTION pggit.detect_anomalies_statistical(
    p_operation_type text,
    p_lookback_hours integer DEFAULT 24,
    p_sigma_threshold numeric DEFAULT 3.0,
    p_baseline_days integer DEFAULT 7,
    p_direction text DEFAULT 'slow',
    p_false_alarm_budget numeric DEFAULT 0.3,
    p_min_ratio numeric DEFAULT 1.2,
    p_min_samples integer DEFAULT 10,
    p_as_of timestamp DEFAULT NULL
)
RETURNS TABLE (metric_id bigint, operation_type text, duration_ms numeric, zscore numeric, severity text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    v_to timestamp := coalesce(p_as_of, localtimestamp);
BEGIN
    PERFORM pggit.require_detection_arguments(
        p_lookback_hours, p_sigma_threshold, p_baseline_days, p_direction, p_false_alarm_budget, p_min_ratio,
        p_min_samples
    );
    IF p_operation_type IS NULL OR NOT isfinite(v_to) THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT
        found.metric_id,
        found.operation_type,
        round(found.duration_microseconds / 1000.0, 3),
        found.zscore,
        'ANOMALY'
    FROM pggit.find_anomalies(
        ARRAY[p_operation_type], v_to - make_interval(hours => p_lookback_hours), v_to, TRUE, p_direction,
        p_baseline_days, p_sigma_threshold, p_false_alarm_budget, p_min_ratio, p_min_samples,
        p_false_alarm_budget IS NOT NULL
    ) AS found
    ORDER BY found.recorded_at, found.metric_id;
    IF NOT FOUND AND NOT EXISTS (
        SELECT FROM pggit.anomaly_limits(
            ARRAY[p_operation_type], v_to - make_interval(hours => p_lookback_hours), v_to, p_baseline_days,
            p_sigma_threshold, p_false_alarm_budget, p_min_ratio, p_min_samples, p_false_alarm_budget IS NOT NULL
        )
    ) THEN
        RAISE NOTICE 'insufficient: fewer than % metrics of % are known, so none can be called unusual, nor normal',
            p_min_samples, quote_literal(left(p_operation_type, 60))
            USING HINT = 'SELECT * FROM pggit.anomaly_detection_status() says it of every operation.';
    END IF;
END
$$;

COMMENT ON FUNCTION pggit.detect_anomalies_statistical(
    text, integer, numeric, integer, text, numeric, numeric, integer, timestamp
) IS 'The unusual metrics of one operation in the hours before p_as_of (now), judged by the days before them; writes nothing.';

REVOKE EXECUTE ON FUNCTION pggit.detect_anomalies_statistical(
    text, integer, numeric, integer, text, numeric, numeric, integer, timestamp
) FROM PUBLIC;
