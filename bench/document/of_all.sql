-- The document's detectors take one operation; this asks them for all that are tracked, as a scheduled job would.
CREATE OR REPLACE FUNCTION document.detect_all_anomalies(
    p_lookback_hours INTEGER DEFAULT 24,
    p_sigma_threshold NUMERIC DEFAULT 3.0,
    p_as_of TIMESTAMP DEFAULT LOCALTIMESTAMP
)
RETURNS TABLE (metric_id BIGINT, operation_type TEXT, duration_ms NUMERIC, zscore NUMERIC, severity TEXT) AS $$
    SELECT found.*
    FROM pggit.performance_operation_types AS kind
    CROSS JOIN LATERAL document.detect_anomalies_statistical(
        kind.operation_type, p_lookback_hours, p_sigma_threshold, p_as_of
    ) AS found
    WHERE kind.is_tracked
$$ LANGUAGE sql;

CREATE OR REPLACE FUNCTION document.degradation_scan(
    p_window_hours INTEGER DEFAULT 24,
    p_degradation_percent NUMERIC DEFAULT 20.0,
    p_as_of TIMESTAMP DEFAULT LOCALTIMESTAMP
)
RETURNS TABLE (
    operation_type TEXT,
    time_period TEXT,
    avg_ms_first_half NUMERIC,
    avg_ms_second_half NUMERIC,
    degradation_percent NUMERIC,
    severity TEXT
) AS $$
    SELECT kind.operation_type, found.*
    FROM pggit.performance_operation_types AS kind
    CROSS JOIN LATERAL document.detect_performance_degradation(
        kind.operation_type, p_window_hours, p_degradation_percent, p_as_of
    ) AS found
    WHERE kind.is_tracked
$$ LANGUAGE sql;
