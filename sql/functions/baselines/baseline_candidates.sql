-- Exact figures where an operation's window is small enough for them, else histograms; exact_operations has the rule.
-- Measured: 100,000 metrics of 33 operations take 42 ms of CPU exactly, and time grows with them; histograms take 20 to
-- 40 ms however many there are.
-- recorded_at has no time zone and holds the writer's session zone, which is the database's zone unless somebody
-- changed it; LOCALTIMESTAMP of a session that leaves the zone alone compares like with like.
CREATE OR REPLACE FUNCTION pggit.baseline_candidates(
    p_lookback_days integer,
    p_min_samples integer,
    p_operation_type text DEFAULT NULL,
    p_branch_id integer DEFAULT NULL,
    p_exact_samples bigint DEFAULT 50000,
    p_as_of timestamp DEFAULT NULL
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
    v_since timestamp := coalesce(p_as_of, LOCALTIMESTAMP) - make_interval(days => p_lookback_days);
    v_average numeric := pggit.largest_baseline_average();
    v_exact text[];
BEGIN
    -- A branch has no histograms of its own.
    IF p_branch_id IS NULL THEN
        v_exact := pggit.exact_operations(v_since, p_operation_type, p_exact_samples, p_as_of);
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
        -- What pgGit's columns can't hold is told as the most they do; a recalculation warns of it.
        least(round(figures.mean::numeric, 2), v_average),
        -- LEAST ignores NULL, the stddev of one sample.
        CASE WHEN figures.spread IS NOT NULL THEN least(round(figures.spread::numeric, 2), v_average) END,
        least(floor(figures.p99_bounds[1]), c_most)::bigint,
        least(ceil(figures.p99_bounds[2]), c_most)::bigint,
        figures.method
    FROM (
        SELECT exact.*, 'exact' AS method
        FROM pggit.exact_latency_figures(v_since, p_operation_type, p_branch_id, v_exact, p_as_of) AS exact
        WHERE v_exact IS DISTINCT FROM '{}'
        UNION ALL
        SELECT merged.*, 'histogram'
        FROM pggit.histogram_latency_figures(v_since, p_operation_type, p_as_of) AS merged
        WHERE v_exact IS NOT NULL AND merged.operation_type <> ALL (v_exact)
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

COMMENT ON FUNCTION pggit.baseline_candidates(integer, integer, text, integer, bigint, timestamp) IS
'The figures a baseline would have now, in whole microseconds, for every tracked operation or the named one, of the metrics recorded in the last p_lookback_days, or in those before p_as_of; of a branch if one is named. method says of each whether they are exact or from histograms (within 1 %), exact where all windows together have p_exact_samples metrics at most, or its own a 50th of that. Operations with fewer than p_min_samples are left out. Changes nothing.';

REVOKE EXECUTE ON FUNCTION pggit.baseline_candidates(integer, integer, text, integer, bigint, timestamp) FROM PUBLIC;
