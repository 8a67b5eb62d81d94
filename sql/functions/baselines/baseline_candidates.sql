-- One pass over the window collects each operation's durations into an array, which is then summed up. Grouping by
-- hash saves the sort by operation, doubles share one transition between mean and stddev, and the 0th and 100th
-- percentile are min and max: a third less CPU than one GROUP BY with percentile_cont (docs/design/baselines.md).
-- It costs 16 bytes of memory per metric in the window. Doubles are exact up to 2^53 microseconds, 285 years.
-- recorded_at has no time zone and holds the writer's session zone, which is the database's zone unless somebody
-- changed it; LOCALTIMESTAMP of a session that leaves the zone alone compares like with like. There is no upper bound:
-- a writer ahead of us still wrote just now.
CREATE OR REPLACE FUNCTION pggit.baseline_candidates(
    p_lookback_days integer,
    p_min_samples integer,
    p_operation_type text DEFAULT NULL
)
RETURNS TABLE (
    operation_type text,
    sample_count integer,
    min_microseconds bigint,
    max_microseconds bigint,
    p50_microseconds bigint,
    p75_microseconds bigint,
    p90_microseconds bigint,
    p95_microseconds bigint,
    p99_microseconds bigint,
    mean_microseconds numeric,
    stddev_microseconds numeric
)
LANGUAGE plpgsql
STABLE
SET plan_cache_mode = force_custom_plan
SET jit = off
AS $$
DECLARE
    -- The largest double below 2^63: one absurd duration must not make the cast, and so the whole run, fail.
    c_most CONSTANT double precision := 9223372036854774784;
BEGIN
    RETURN QUERY
    WITH collected AS MATERIALIZED (
        SELECT metric.operation_type AS collected_type, array_agg(metric.duration_microseconds::double precision) AS durations
        FROM pggit.performance_metrics AS metric
        WHERE metric.recorded_at >= LOCALTIMESTAMP - make_interval(days => p_lookback_days)
            AND (p_operation_type IS NULL OR metric.operation_type = p_operation_type)
        GROUP BY metric.operation_type
    )
    SELECT
        collected.collected_type,
        summary.samples::integer,
        least(summary.percentiles[1], c_most)::bigint,
        least(summary.percentiles[7], c_most)::bigint,
        least(summary.percentiles[2], c_most)::bigint,
        least(summary.percentiles[3], c_most)::bigint,
        least(summary.percentiles[4], c_most)::bigint,
        least(summary.percentiles[5], c_most)::bigint,
        least(summary.percentiles[6], c_most)::bigint,
        -- pgGit's columns are numeric(12,2); more than 2.7 h on average is told as the most they hold.
        least(round(summary.mean::numeric, 2), 9999999999.99),
        -- LEAST ignores NULL, the stddev of one sample.
        CASE WHEN summary.spread IS NOT NULL THEN least(round(summary.spread::numeric, 2), 9999999999.99) END
    FROM collected
    CROSS JOIN LATERAL (
        SELECT
            count(*) AS samples,
            avg(duration) AS mean,
            stddev_samp(duration) AS spread,
            percentile_cont(ARRAY[0, 0.5, 0.75, 0.9, 0.95, 0.99, 1]) WITHIN GROUP (ORDER BY duration) AS percentiles
        FROM unnest(collected.durations) AS duration
    ) AS summary
    WHERE cardinality(collected.durations) >= p_min_samples
        AND (
            p_operation_type IS NOT NULL
            OR EXISTS (
                SELECT FROM pggit.performance_operation_types AS kind
                WHERE kind.operation_type = collected.collected_type AND kind.is_tracked
            )
        )
    ORDER BY collected.collected_type;
END;
$$;

COMMENT ON FUNCTION pggit.baseline_candidates(integer, integer, text) IS
'The figures a baseline would have now: percentile_cont in whole microseconds, for every tracked operation or the named one, of the metrics recorded in the last p_lookback_days. Operations with fewer than p_min_samples are left out. Changes nothing.';
