-- Section 2.3, mean of the second half of a window against the first. Corrections: %s, because format() knows no %d and
-- every call fails; NULLIF, because an average of 0 ends the call. Addition: p_as_of, so that a past moment can be asked for.
CREATE OR REPLACE FUNCTION document.detect_performance_degradation(
    p_operation_type TEXT,
    p_window_hours INTEGER DEFAULT 24,
    p_degradation_percent NUMERIC DEFAULT 20.0,
    p_as_of TIMESTAMP DEFAULT LOCALTIMESTAMP
)
RETURNS TABLE (
    time_period TEXT,
    avg_ms_first_half NUMERIC,
    avg_ms_second_half NUMERIC,
    degradation_percent NUMERIC,
    severity TEXT
) AS $$
BEGIN
    RETURN QUERY
    WITH split_time AS (
        SELECT
            (p_as_of - (p_window_hours || ' hours')::INTERVAL) +
            ((p_window_hours / 2) || ' hours')::INTERVAL as split_point
    ),
    first_half AS (
        SELECT AVG(duration_microseconds)::NUMERIC / 1000 as avg_ms
        FROM pggit.performance_metrics pm, split_time st
        WHERE pm.operation_type = p_operation_type
          AND pm.recorded_at >= st.split_point - (p_window_hours / 2 || ' hours')::INTERVAL
          AND pm.recorded_at < st.split_point
    ),
    second_half AS (
        SELECT AVG(duration_microseconds)::NUMERIC / 1000 as avg_ms
        FROM pggit.performance_metrics pm, split_time st
        WHERE pm.operation_type = p_operation_type
          AND pm.recorded_at >= st.split_point
          AND pm.recorded_at <= st.split_point + (p_window_hours / 2 || ' hours')::INTERVAL
    )
    SELECT
        format('%s-hour window degradation analysis', p_window_hours),
        fh.avg_ms,
        sh.avg_ms,
        ROUND(((sh.avg_ms - fh.avg_ms) / NULLIF(fh.avg_ms, 0) * 100), 2),
        CASE
            WHEN ((sh.avg_ms - fh.avg_ms) / NULLIF(fh.avg_ms, 0) * 100) > p_degradation_percent
            THEN 'DEGRADATION_DETECTED'
            ELSE 'STABLE'
        END
    FROM first_half fh, second_half sh;
END;
$$ LANGUAGE plpgsql;
