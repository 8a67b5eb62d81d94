-- Pairs of operations that became slower together, as from a bottleneck they share. Correlated are the scores of the
-- hours, which are residuals from what is usual at that hour of the day: a daily course in common makes no pair. Each
-- hour is taken together with its two neighbors, by calls, or the noise of few calls would hide what they share.
-- Asked is:
--   * both became slower, by degradation_scan;
--   * more likely than not they did so at most p_max_lag_hours apart. Two rising lines always correlate, so when they
--     began to rise is what tells; degradation_change_times knows it to the quarter of an hour, with its doubts;
--   * r above p_correlation_threshold over p_min_buckets common hours or more;
--   * the changes from hour to hour are not opposed (p_min_diff_correlation). Negative r is never a pair.
-- Operations without a history are compared by the plain mean of ln(microseconds) in each hour.
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
    -- Changes within half an hour of one another can't be told apart.
    v_max_lag interval := greatest(make_interval(hours => p_max_lag_hours), interval '30 minutes');
BEGIN
    PERFORM pggit.require_correlation_arguments(
        p_lookback_hours, p_correlation_threshold, p_min_buckets, p_min_diff_correlation, p_max_lag_hours, p_as_of
    );
    v_to := date_trunc('hour', coalesce(p_as_of, localtimestamp) + interval '1 second');
    v_from := v_to - make_interval(hours => p_lookback_hours);

    RETURN QUERY
    WITH degraded AS MATERIALIZED (
        SELECT s.operation_type, s.kind
        FROM pggit.degradation_scan(NULL, p_lookback_hours, p_as_of => p_as_of) AS s
        WHERE s.severity = 'DEGRADATION_DETECTED'
    ),

    score AS MATERIALIZED (
        SELECT s.operation_type, s.hour_start, s.call_count::double precision AS calls, s.score_sum AS total
        FROM pggit.hour_scores(NULL, v_from, v_to, 7) AS s
        INNER JOIN degraded AS d ON s.operation_type = d.operation_type
        WHERE s.hour_start >= v_from AND d.kind <> 'halves'
        UNION ALL
        SELECT h.operation_type, h.hour_start, of_hour.calls, of_hour.total
        FROM degraded AS d
        CROSS JOIN LATERAL pggit.latency_hours(d.operation_type, v_from, v_to) AS h
        CROSS JOIN LATERAL (
            SELECT
                sum(u.calls)::double precision AS calls,
                sum(u.calls * u.bucket) * pggit.latency_bucket_width() AS total
            FROM unnest(h.buckets, h.counts) AS u (bucket, calls)
        ) AS of_hour
        WHERE d.kind = 'halves'
    ),

    smooth AS (
        SELECT
            s.operation_type,
            s.hour_start,
            sum(s.total) OVER around / sum(s.calls) OVER around AS level
        FROM score AS s
        WINDOW around AS (
            PARTITION BY s.operation_type
            ORDER BY s.hour_start
            RANGE BETWEEN interval '1 hour' PRECEDING AND interval '1 hour' FOLLOWING
        )
    ),

    hour AS MATERIALIZED (
        SELECT
            smooth.*,
            smooth.level - lag(smooth.level) OVER (PARTITION BY smooth.operation_type ORDER BY smooth.hour_start) AS rise
        FROM smooth
    ),

    correlated AS MATERIALIZED (
        SELECT
            a.operation_type AS op_a,
            b.operation_type AS op_b,
            corr(a.level, b.level) AS r
        FROM hour AS a
        INNER JOIN hour AS b ON a.hour_start = b.hour_start AND a.operation_type < b.operation_type
        GROUP BY a.operation_type, b.operation_type
        HAVING count(*) >= p_min_buckets
            AND corr(a.level, b.level) > p_correlation_threshold
            AND corr(a.rise, b.rise) > p_min_diff_correlation
    ),

    change AS MATERIALIZED (
        SELECT t.*
        FROM pggit.degradation_change_times(
            (SELECT array_agg(s.operation_type) FROM score AS s),
            (SELECT array_agg(s.hour_start) FROM score AS s),
            (SELECT array_agg(s.calls) FROM score AS s),
            (SELECT array_agg(s.total / s.calls) FROM score AS s)
        ) AS t
        WHERE t.likelihood >= 0.001
    )

    SELECT c.op_a, c.op_b, round(c.r::numeric, 2), TRUE
    FROM correlated AS c
    CROSS JOIN LATERAL (
        SELECT sum(a.likelihood * b.likelihood) AS likelihood
        FROM change AS a
        INNER JOIN change AS b ON b.change_at >= a.change_at - v_max_lag AND b.change_at <= a.change_at + v_max_lag
        WHERE a.operation_type = c.op_a AND b.operation_type = c.op_b
    ) AS at_once
    WHERE at_once.likelihood > 0.5
    ORDER BY c.r DESC, c.op_a, c.op_b;
END
$$;

COMMENT ON FUNCTION pggit.detect_correlated_degradation(integer, numeric, integer, numeric, integer, timestamp) IS
'Pairs of operations that became slower at the same time and whose hours move together; both_degrading is always true, others are no pair.';

REVOKE EXECUTE ON FUNCTION pggit.detect_correlated_degradation(
    integer, numeric, integer, numeric, integer, timestamp
) FROM PUBLIC;
