-- Exact figures where the window is small enough for them, else histograms. What is stored is counted as it stands, the
-- rest one by one but no further than the limit; the first day is counted whole, which errs towards histograms.
-- Measured: 100,000 metrics of 33 operations take 42 ms of CPU exactly, and time grows with them; histograms take 20 to
-- 40 ms however many there are.
-- recorded_at has no time zone and holds the writer's session zone, which is the database's zone unless somebody
-- changed it; LOCALTIMESTAMP of a session that leaves the zone alone compares like with like.
CREATE OR REPLACE FUNCTION pggit.baseline_candidates(
    p_lookback_days integer,
    p_min_samples integer,
    p_operation_type text DEFAULT NULL,
    p_branch_id integer DEFAULT NULL,
    p_exact_samples bigint DEFAULT 50000
)
RETURNS TABLE (
    operation_type text,
    branch_id integer,
    sample_count integer,
    min_microseconds bigint,
    max_microseconds bigint,
    p50_microseconds bigint,
    p75_microseconds bigint,
    p90_microseconds bigint,
    p95_microseconds bigint,
    p99_microseconds bigint,
    mean_microseconds numeric,
    stddev_microseconds numeric,
    p99_low bigint,
    p99_high bigint,
    method text
)
LANGUAGE plpgsql
STABLE
AS $$
#variable_conflict use_column
DECLARE
    -- The largest double below 2^63: one absurd duration must not make the cast, and so the whole run, fail.
    c_most CONSTANT double precision := 9223372036854774784;
    v_since timestamp := LOCALTIMESTAMP - make_interval(days => p_lookback_days);
    v_stored bigint;
    v_samples bigint;
    v_method text := 'exact';
BEGIN
    -- A branch has no histograms of its own.
    IF p_branch_id IS NULL THEN
        SELECT coalesce(sum(day.sample_count), 0) INTO v_stored
        FROM pggit.performance_metric_histogram_day AS day
        WHERE day.day >= v_since::date AND (p_operation_type IS NULL OR day.operation_type = p_operation_type);
        IF v_stored <= p_exact_samples THEN
            SELECT v_stored + count(*) INTO v_samples
            FROM (
                SELECT FROM pggit.performance_metrics AS metric
                WHERE metric.recorded_at >= greatest(pggit.histograms_stored_to(), v_since)
                    AND (p_operation_type IS NULL OR metric.operation_type = p_operation_type)
                LIMIT p_exact_samples + 1
            ) AS fresh;
        END IF;
        IF v_samples IS NULL OR v_samples > p_exact_samples THEN
            v_method := 'histogram';
        END IF;
    END IF;

    RETURN QUERY
    SELECT
        figures.operation_type,
        p_branch_id,
        figures.sample_count::integer,
        least(figures.shortest, c_most)::bigint,
        least(figures.longest, c_most)::bigint,
        least(figures.percentiles[1], c_most)::bigint,
        least(figures.percentiles[2], c_most)::bigint,
        least(figures.percentiles[3], c_most)::bigint,
        least(figures.percentiles[4], c_most)::bigint,
        least(figures.percentiles[5], c_most)::bigint,
        -- pgGit's columns are numeric(12,2); more than 2.7 h on average is told as the most they hold.
        least(round(figures.mean::numeric, 2), 9999999999.99),
        -- LEAST ignores NULL, the stddev of one sample.
        CASE WHEN figures.spread IS NOT NULL THEN least(round(figures.spread::numeric, 2), 9999999999.99) END,
        least(floor(figures.p99_bounds[1]), c_most)::bigint,
        least(ceil(figures.p99_bounds[2]), c_most)::bigint,
        v_method
    FROM (
        SELECT exact.* FROM pggit.exact_latency_figures(v_since, p_operation_type, p_branch_id) AS exact
        WHERE v_method = 'exact'
        UNION ALL
        SELECT merged.* FROM pggit.histogram_latency_figures(v_since, p_operation_type) AS merged
        WHERE v_method = 'histogram'
    ) AS figures
    WHERE figures.sample_count >= p_min_samples
        AND (
            p_operation_type IS NOT NULL
            OR EXISTS (
                SELECT FROM pggit.performance_operation_types AS kind
                WHERE kind.operation_type = figures.operation_type AND kind.is_tracked
            )
        )
    ORDER BY figures.operation_type;
END;
$$;

COMMENT ON FUNCTION pggit.baseline_candidates(integer, integer, text, integer, bigint) IS
'The figures a baseline would have now, in whole microseconds, for every tracked operation or the named one, of the metrics recorded in the last p_lookback_days; of a branch if one is named. method says whether they are exact or from histograms (within 1 %), which more than p_exact_samples metrics in the window make it. Operations with fewer than p_min_samples are left out. Changes nothing.';
