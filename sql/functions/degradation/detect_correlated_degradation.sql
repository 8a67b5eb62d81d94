-- Pairs of operations that became slower together, as from a bottleneck they share. Hours are correlated as residuals
-- from what is usual at that hour of the day, so a daily course in common makes no pair. Of a pair is asked:
--   * both became slower, by degradation_scan, at most p_max_lag_hours apart: two rising lines always correlate;
--   * r above p_correlation_threshold over p_min_buckets common hours or more, and significant (t > 3.5);
--   * the changes from hour to hour are not opposed (p_min_diff_correlation). Negative r is never a pair.
CREATE OR REPLACE FUNCTION pggit.detect_correlated_degradation(
    p_lookback_hours integer DEFAULT 24,
    p_correlation_threshold numeric DEFAULT 0.7,
    p_min_buckets integer DEFAULT 12,
    p_min_diff_correlation numeric DEFAULT 0,
    p_max_lag_hours integer DEFAULT 1,
    p_as_of timestamp DEFAULT NULL
)
RETURNS TABLE (op_a text, op_b text, correlation numeric, both_degrading boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
SET plan_cache_mode = force_custom_plan
SET jit = off
AS $$
DECLARE
    v_to timestamp;
    v_from timestamp;
BEGIN
    PERFORM pggit.require_correlation_arguments(
        p_lookback_hours, p_correlation_threshold, p_min_buckets, p_min_diff_correlation, p_max_lag_hours, p_as_of
    );
    v_to := date_trunc('hour', coalesce(p_as_of, localtimestamp) + interval '1 second');
    v_from := v_to - make_interval(hours => p_lookback_hours);

    RETURN QUERY
    WITH degraded AS MATERIALIZED (
        SELECT s.operation_type, s.began_at
        FROM pggit.degradation_scan(NULL, p_lookback_hours, p_as_of => p_as_of) AS s
        WHERE s.severity = 'DEGRADATION_DETECTED'
    ),

    hour AS MATERIALIZED (
        SELECT
            s.operation_type,
            d.began_at,
            s.hour_start,
            s.level_sum / s.call_count AS level,
            s.level_sum / s.call_count
            - lag(s.level_sum / s.call_count) OVER (PARTITION BY s.operation_type ORDER BY s.hour_start) AS rise
        FROM degraded AS d
        INNER JOIN pggit.hour_scores(NULL, v_from, v_to, 7) AS s ON d.operation_type = s.operation_type
        WHERE s.hour_start >= v_from
    ),

    pair AS (
        SELECT
            a.operation_type AS op_a,
            b.operation_type AS op_b,
            count(*) AS buckets,
            corr(a.level, b.level) AS r,
            corr(a.rise, b.rise) AS rise_r
        FROM hour AS a
        INNER JOIN hour AS b ON a.hour_start = b.hour_start AND a.operation_type < b.operation_type
        WHERE abs(extract(EPOCH FROM a.began_at - b.began_at)) <= 3600 * p_max_lag_hours
        GROUP BY a.operation_type, b.operation_type
    )

    SELECT pair.op_a, pair.op_b, round(pair.r::numeric, 2), TRUE
    FROM pair
    WHERE pair.buckets >= p_min_buckets
        AND pair.r > p_correlation_threshold
        AND pair.r * sqrt((pair.buckets - 2) / greatest(1 - pair.r * pair.r, 1e-9)) > 3.5
        AND pair.rise_r > p_min_diff_correlation
    ORDER BY pair.r DESC, pair.op_a, pair.op_b;
END
$$;

COMMENT ON FUNCTION pggit.detect_correlated_degradation(integer, numeric, integer, numeric, integer, timestamp) IS
'Pairs of operations that became slower at the same time and whose hours move together; both_degrading is always true, others are no pair.';

REVOKE EXECUTE ON FUNCTION pggit.detect_correlated_degradation(
    integer, numeric, integer, numeric, integer, timestamp
) FROM PUBLIC;
