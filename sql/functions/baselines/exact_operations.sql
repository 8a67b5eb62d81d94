-- Which operations a recalculation reads metric by metric: all of them where all together have few, and otherwise each
-- one whose own window is small, however large the others are. Small is a 50th of the limit, 1,000 metrics: hundreds of
-- operations at that size cost what histograms do, and below 10,000 it is chance that moves a p99, not the 1 %.
-- What is stored is counted as it stands, the rest one by one; the first and the last day are counted whole, which errs
-- towards histograms.
CREATE OR REPLACE FUNCTION pggit.exact_operations(
    p_since timestamp,
    p_operation_type text,
    p_exact_samples bigint,
    p_until timestamp
)
RETURNS text []
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pggit, pg_temp
SET plan_cache_mode = force_custom_plan
SET jit = off
AS $$
DECLARE
    v_fresh_from timestamp := greatest(least(pggit.histograms_stored_to(), date_trunc('hour', p_until)), p_since);
    v_total bigint;
    v_candidates text[];
BEGIN
    SELECT coalesce(sum(day.sample_count), 0) INTO v_total
    FROM pggit.performance_metric_histogram_day AS day
    WHERE day.day >= p_since::date
        AND (p_until IS NULL OR day.day <= p_until::date)
        AND (p_operation_type IS NULL OR day.operation_type = p_operation_type);
    IF v_total <= p_exact_samples THEN
        SELECT v_total + count(*) INTO v_total
        FROM (
            SELECT FROM pggit.performance_metrics AS metric
            WHERE metric.recorded_at >= v_fresh_from
                AND (p_until IS NULL OR metric.recorded_at <= p_until)
                AND (p_operation_type IS NULL OR metric.operation_type = p_operation_type)
            LIMIT p_exact_samples + 1
        ) AS fresh;
    END IF;
    IF v_total <= p_exact_samples THEN
        RETURN NULL;
    ELSIF p_operation_type IS NOT NULL THEN
        RETURN ARRAY[]::text [];
    END IF;

    -- Those that the stored days don't show to be larger already.
    v_candidates := ARRAY(
        SELECT kind.operation_type
        FROM pggit.performance_operation_types AS kind
        WHERE kind.is_tracked
            AND 50 * (
                SELECT coalesce(sum(day.sample_count), 0)
                FROM pggit.performance_metric_histogram_day AS day
                WHERE day.operation_type = kind.operation_type
                    AND day.day >= p_since::date
                    AND (p_until IS NULL OR day.day <= p_until::date)
            ) <= p_exact_samples
    );
    IF v_candidates = '{}' THEN
        RETURN v_candidates;
    END IF;

    RETURN ARRAY(
        SELECT part.operation_type
        FROM (
            SELECT day.operation_type, day.sample_count AS metrics
            FROM pggit.performance_metric_histogram_day AS day
            WHERE day.operation_type = ANY (v_candidates)
                AND day.day >= p_since::date
                AND (p_until IS NULL OR day.day <= p_until::date)
            UNION ALL
            SELECT metric.operation_type, count(*)
            FROM pggit.performance_metrics AS metric
            WHERE metric.operation_type = ANY (v_candidates)
                AND metric.period_start >= date_trunc('day', v_fresh_from) - interval '1 day'
                AND metric.recorded_at >= v_fresh_from
                AND (p_until IS NULL OR metric.recorded_at <= p_until)
            GROUP BY metric.operation_type
        ) AS part
        GROUP BY part.operation_type
        HAVING 50 * sum(part.metrics) <= p_exact_samples
    );
END;
$$;

COMMENT ON FUNCTION pggit.exact_operations(timestamp, text, bigint, timestamp) IS
'The operations with a window from p_since to p_until (no end) that is small enough to be read exactly; NULL if all of them together are. For baseline_candidates.';

REVOKE EXECUTE ON FUNCTION pggit.exact_operations(timestamp, text, bigint, timestamp) FROM PUBLIC;
