-- Section 2.3, correlation of hourly means over all pairs of operations. It runs as written; nothing is corrected.
-- Addition: p_as_of, so that a past moment can be asked for.
CREATE OR REPLACE FUNCTION document.detect_correlated_degradation(
    p_lookback_hours INTEGER DEFAULT 24,
    p_correlation_threshold NUMERIC DEFAULT 0.7,
    p_as_of TIMESTAMP DEFAULT LOCALTIMESTAMP
)
RETURNS TABLE (
    op_a TEXT,
    op_b TEXT,
    correlation NUMERIC,
    both_degrading BOOLEAN
) AS $$
BEGIN
    -- Calculate correlation between operation pairs
    -- If two operations degrade together with >0.7 correlation,
    -- they likely share a common bottleneck (e.g., same table/index)
    RETURN QUERY
    WITH op_stats AS (
        SELECT
            operation_type,
            DATE_TRUNC('hour', recorded_at) as hour,
            AVG(duration_microseconds)::NUMERIC as avg_duration
        FROM pggit.performance_metrics
        WHERE recorded_at >= p_as_of - (p_lookback_hours || ' hours')::INTERVAL
          AND recorded_at <= p_as_of
        GROUP BY operation_type, DATE_TRUNC('hour', recorded_at)
    )
    SELECT
        o1.operation_type,
        o2.operation_type,
        CORR(o1.avg_duration, o2.avg_duration)::NUMERIC(4,2),
        (AVG(o1.avg_duration) > (SELECT AVG(avg_duration) FROM op_stats WHERE operation_type = o1.operation_type)
         AND AVG(o2.avg_duration) > (SELECT AVG(avg_duration) FROM op_stats WHERE operation_type = o2.operation_type))
    FROM op_stats o1
    JOIN op_stats o2 ON o1.hour = o2.hour AND o1.operation_type < o2.operation_type
    GROUP BY o1.operation_type, o2.operation_type
    HAVING ABS(CORR(o1.avg_duration, o2.avg_duration)) > p_correlation_threshold;
END;
$$ LANGUAGE plpgsql;
