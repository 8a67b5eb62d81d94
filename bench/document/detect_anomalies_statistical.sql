-- Section 2.3, z-score over the window that is scored. Corrections: #variable_conflict, without which every call fails;
-- division by 1000.0, because whole milliseconds flag every row of a fast operation; NULLIF, because a standard deviation of
-- 0 ends the call. Addition: p_as_of, so that a past moment can be asked for.
CREATE OR REPLACE FUNCTION document.detect_anomalies_statistical(
    p_operation_type TEXT,
    p_lookback_hours INTEGER DEFAULT 24,
    p_sigma_threshold NUMERIC DEFAULT 3.0,
    p_as_of TIMESTAMP DEFAULT LOCALTIMESTAMP
)
RETURNS TABLE (
    metric_id BIGINT,
    operation_type TEXT,
    duration_ms NUMERIC,
    zscore NUMERIC,
    severity TEXT
) AS $$
#variable_conflict use_column
DECLARE
    v_mean NUMERIC;
    v_stddev NUMERIC;
BEGIN
    -- Calculate mean and stddev from last p_lookback_hours
    SELECT
        AVG(duration_microseconds)::NUMERIC / 1000,
        STDDEV(duration_microseconds)::NUMERIC / 1000
    INTO v_mean, v_stddev
    FROM pggit.performance_metrics
    WHERE operation_type = p_operation_type
      AND recorded_at >= p_as_of - (p_lookback_hours || ' hours')::INTERVAL
      AND recorded_at <= p_as_of;

    -- Find outliers using z-score
    RETURN QUERY
    SELECT
        pm.metric_id,
        pm.operation_type,
        (pm.duration_microseconds / 1000.0)::NUMERIC,
        ((pm.duration_microseconds / 1000.0 - v_mean) / NULLIF(v_stddev, 0))::NUMERIC as zscore,
        CASE
            WHEN ABS((pm.duration_microseconds / 1000.0 - v_mean) / NULLIF(v_stddev, 0)) > p_sigma_threshold
            THEN 'ANOMALY'
            ELSE 'NORMAL'
        END as severity
    FROM pggit.performance_metrics pm
    WHERE pm.operation_type = p_operation_type
      AND pm.recorded_at >= p_as_of - (p_lookback_hours || ' hours')::INTERVAL
      AND pm.recorded_at <= p_as_of
      AND ABS((pm.duration_microseconds / 1000.0 - v_mean) / NULLIF(v_stddev, 0)) > p_sigma_threshold;
END;
$$ LANGUAGE plpgsql;
