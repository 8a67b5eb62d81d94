-- A metric that stands for what calls of a span were like: one of median duration. The slowest would tell of the worst
-- call, which a degradation is not about. The median is known from histograms to 1 %, and the metric that is next below
-- is a probe of idx_performance_metrics_composite for each day, however many metrics there are. Where period_start is
-- not the day of recorded_at, no probe finds any; then any metric of the span serves.
CREATE OR REPLACE FUNCTION pggit.typical_metric(p_operation_type text, p_from timestamp, p_to timestamp)
RETURNS SETOF pggit.performance_metrics
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pggit, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    v_median bigint;
BEGIN
    SELECT exp(running.bucket * pggit.latency_bucket_width())::bigint INTO v_median
    FROM (
        SELECT
            b.bucket,
            sum(b.calls) OVER (ORDER BY b.bucket) AS so_far,
            sum(b.calls) OVER () AS total
        FROM (
            SELECT u.bucket, sum(u.calls) AS calls
            FROM pggit.latency_hours(p_operation_type, p_from, p_to) AS h
            CROSS JOIN LATERAL unnest(h.buckets, h.counts) AS u (bucket, calls)
            WHERE p_operation_type IS NOT NULL
            GROUP BY u.bucket
        ) AS b
    ) AS running
    WHERE running.so_far >= 0.5 * running.total
    ORDER BY running.bucket
    LIMIT 1;

    RETURN QUERY
    SELECT near.*
    FROM generate_series(date_trunc('day', p_from), p_to, interval '1 day') AS day (starts)
    CROSS JOIN LATERAL (
        SELECT m.*
        FROM pggit.performance_metrics AS m
        WHERE m.operation_type = p_operation_type
            AND m.period_start = day.starts
            AND m.duration_microseconds <= v_median
            AND m.recorded_at >= p_from AND m.recorded_at < p_to
        ORDER BY m.duration_microseconds DESC
        LIMIT 1
    ) AS near
    ORDER BY near.duration_microseconds DESC, near.recorded_at DESC
    LIMIT 1;
    IF NOT FOUND THEN
        RETURN QUERY
        SELECT m.*
        FROM pggit.performance_metrics AS m
        WHERE m.operation_type = p_operation_type AND m.recorded_at >= p_from AND m.recorded_at < p_to
        ORDER BY m.recorded_at DESC
        LIMIT 1;
    END IF;
END
$$;

COMMENT ON FUNCTION pggit.typical_metric(text, timestamp, timestamp) IS
'A metric of median duration among those recorded in [p_from, p_to); no row if there are none.';

REVOKE EXECUTE ON FUNCTION pggit.typical_metric(text, timestamp, timestamp) FROM PUBLIC;
