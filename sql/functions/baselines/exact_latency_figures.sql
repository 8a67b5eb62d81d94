-- One pass over the window collects each operation's durations into an array, which is then summed up. Grouping by
-- hash saves the sort by operation, doubles share one transition between mean and stddev, and the 0th and 100th
-- percentile are min and max: a third less CPU than one GROUP BY with percentile_cont (docs/design/baselines.md).
-- It costs 16 bytes of memory per metric in the window. Doubles are exact up to 2^53 microseconds, 285 years.
-- The bounds of p99 are the metrics at the ranks 0.99 n -+ 1.96 sqrt(0.0099 n): a 95 % interval whatever the shape.
-- Without p_until there is no upper bound of time: a writer whose clock is ahead of ours still wrote just now.
-- The few operations of a list are read through the composite index; period_start is the midnight before a metric, or,
-- of one that was under way at midnight, the one before that.
CREATE OR REPLACE FUNCTION pggit.exact_latency_figures(
    p_since timestamp,
    p_operation_type text DEFAULT NULL,
    p_branch_id integer DEFAULT NULL,
    p_operation_types text [] DEFAULT NULL,
    p_until timestamp DEFAULT NULL
)
RETURNS TABLE (
    operation_type text,
    sample_count bigint,
    shortest double precision,
    longest double precision,
    percentiles double precision [],
    p99_bounds double precision [],
    mean double precision,
    spread double precision
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pggit, pg_temp
SET plan_cache_mode = force_custom_plan
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH collected AS MATERIALIZED (
        SELECT metric.operation_type, array_agg(metric.duration_microseconds::double precision) AS durations
        FROM pggit.performance_metrics AS metric
        WHERE metric.recorded_at >= p_since
            AND (p_operation_type IS NULL OR metric.operation_type = p_operation_type)
            AND (p_branch_id IS NULL OR metric.branch_id = p_branch_id)
            AND (
                p_operation_types IS NULL
                OR (
                    metric.operation_type = ANY (p_operation_types)
                    AND metric.period_start >= date_trunc('day', p_since) - interval '1 day'
                )
            )
            AND (p_until IS NULL OR metric.recorded_at <= p_until)
        GROUP BY metric.operation_type
    )

    SELECT
        collected.operation_type,
        summary.samples,
        summary.percentiles[1],
        summary.percentiles[7],
        summary.percentiles[2:6],
        summary.bounds,
        summary.mean,
        summary.spread
    FROM collected
    CROSS JOIN LATERAL (SELECT cardinality(collected.durations)::double precision) AS size (n)
    CROSS JOIN LATERAL (
        SELECT
            count(*) AS samples,
            avg(duration) AS mean,
            stddev_samp(duration) AS spread,
            percentile_cont(ARRAY[0, 0.5, 0.75, 0.9, 0.95, 0.99, 1]) WITHIN GROUP (ORDER BY duration) AS percentiles,
            percentile_disc(ARRAY[
                (greatest(floor(0.99 * size.n - 1.96 * sqrt(0.0099 * size.n)), 1) - 0.5) / size.n,
                (least(ceil(0.99 * size.n + 1.96 * sqrt(0.0099 * size.n)), size.n) - 0.5) / size.n
            ]) WITHIN GROUP (ORDER BY duration) AS bounds
        FROM unnest(collected.durations) AS duration
    ) AS summary;
END
$$;

COMMENT ON FUNCTION pggit.exact_latency_figures(timestamp, text, integer, text [], timestamp) IS
'Figures of the metrics recorded since p_since and up to p_until (no end), of one operation, some or all, of one branch or all: p50, p75, p90, p95, p99 as percentile_cont has them, and the 95 % interval of p99.';

REVOKE EXECUTE ON FUNCTION pggit.exact_latency_figures(timestamp, text, integer, text [], timestamp) FROM PUBLIC;
