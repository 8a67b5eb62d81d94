-- Judges every tracked operation, or the named one, by the evidence for each possible change in the window. Kinds:
--   level  a typical call takes p_degradation_percent longer and the score's z is above p_z_threshold; 1.25 times as
--          much longer, at a z 1 less; or 2.5 times as much, at a z 1.25 less: the larger a change, the less often
--          chance makes one
--   tail   the share of slow calls (above 1.5 times the usual q95) is twice what it was, for 20 %, at a z 0.75 below
--          the threshold; the score must point the same way, because slow calls come in runs
--   halves an operation without twelve hours of history: its window's halves are compared, see compare_halves
-- Whole hours are judged: the window ends with the last full hour, and the running one counts once it is over (in its
-- last second, it is). What can't be judged is INSUFFICIENT_DATA, never STABLE; unknown operations are, too.
-- p_degradation_percent and p_z_threshold NULL: as degradation_setting has them for each operation.
CREATE OR REPLACE FUNCTION pggit.degradation_scan(
    p_operation_type text DEFAULT NULL,
    p_window_hours integer DEFAULT 24,
    p_degradation_percent numeric DEFAULT 20.0,
    p_baseline_days integer DEFAULT 7,
    p_z_threshold numeric DEFAULT 4.0,
    p_as_of timestamp DEFAULT NULL
)
RETURNS TABLE (
    operation_type text,
    severity text,
    kind text,
    percent_change numeric,
    zscore numeric,
    began_at timestamp,
    slow_percent_before numeric,
    slow_percent_after numeric,
    calls_after bigint
)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
SET plan_cache_mode = force_custom_plan
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    v_to timestamp;
    v_from timestamp;
BEGIN
    PERFORM pggit.require_degradation_arguments(
        p_window_hours, coalesce(p_degradation_percent, 20), p_baseline_days, coalesce(p_z_threshold, 4), p_as_of
    );
    v_to := date_trunc('hour', coalesce(p_as_of, localtimestamp) + interval '1 second');
    v_from := v_to - make_interval(hours => p_window_hours);

    -- Half a second for 100,000 metrics a week, instead of milliseconds: who waits is told what for.
    IF p_as_of IS NULL AND p_operation_type IS NULL
        AND NOT EXISTS (
            SELECT FROM pggit.performance_score_span AS s
            WHERE s.reference_to = date_trunc('day', v_from)
                AND s.reference_from = s.reference_to - make_interval(days => p_baseline_days)
        )
        AND EXISTS (SELECT FROM pggit.performance_metrics)
    THEN
        RAISE NOTICE 'no scores are stored for a window of % hours that ends now, so all its hours are scored on the spot',
            p_window_hours
            USING HINT = CASE
                WHEN p_window_hours = 24 AND p_baseline_days = 7
                    THEN 'SELECT pggit.refresh_performance_histograms(), pggit.refresh_hour_scores() stores them, as the daemon does every hour.'
                ELSE 'They are kept for windows of 24 hours after 7 days only.'
            END;
    END IF;

    RETURN QUERY
    WITH operation AS (
        SELECT p_operation_type AS operation_type
        WHERE p_operation_type IS NOT NULL
        UNION ALL
        SELECT t.operation_type
        FROM pggit.performance_operation_types AS t
        WHERE p_operation_type IS NULL AND t.is_tracked
    ),

    rule AS MATERIALIZED (
        SELECT
            o.operation_type,
            wanted.fraction,
            wanted.z,
            ln(1 + wanted.fraction) AS least_ratio,
            ln(1 + 1.25 * wanted.fraction) AS clear_ratio,
            ln(1 + 2.5 * wanted.fraction) AS large_ratio,
            1 + 5 * wanted.fraction AS least_growth,
            -- What a share counts as at least; it moves along, or a small step would pass for a tail of a large one.
            greatest(0.075 * wanted.fraction, 0.015) AS least_share
        FROM operation AS o
        LEFT JOIN pggit.degradation_setting AS own ON o.operation_type = own.operation_type
        LEFT JOIN pggit.degradation_setting AS common ON common.operation_type = '*'
        CROSS JOIN LATERAL (
            SELECT
                coalesce(p_degradation_percent, own.degradation_percent, common.degradation_percent, 20)::float8 / 100
                AS fraction,
                coalesce(p_z_threshold, own.z_threshold, common.z_threshold, 4)::float8 AS z
        ) AS wanted
    ),

    evidence AS MATERIALIZED (
        SELECT
            e.*,
            e.level_z > r.z AND e.log_ratio >= r.least_ratio
            OR e.level_z > r.z - 1 AND e.log_ratio >= r.clear_ratio
            OR e.level_z > r.z - 1.25 AND e.log_ratio >= r.large_ratio AS level_moved,
            e.tail_z > r.z - 0.75 AND e.level_z > 0.5
            AND e.slow_share_after >= r.least_growth * greatest(e.slow_share_before, r.least_share) AS tail_grew
        FROM pggit.degradation_evidence(p_operation_type, v_from, v_to, p_baseline_days) AS e
        INNER JOIN rule AS r ON e.operation_type = r.operation_type
    ),

    -- The likeliest change is the one for which most speaks, a moved level before a grown tail; without either it is
    -- told how far the operation was from one.
    likeliest AS (
        SELECT DISTINCT ON (e.operation_type) e.*
        FROM evidence AS e
        ORDER BY
            e.operation_type,
            e.level_moved DESC,
            e.tail_grew DESC,
            CASE WHEN e.tail_grew AND NOT e.level_moved THEN e.tail_z ELSE e.level_z END DESC,
            e.change_at DESC
    ),

    -- Looked at one by one, so only where there is no evidence: usually nowhere.
    unjudged AS MATERIALIZED (
        SELECT r.operation_type
        FROM rule AS r
        WHERE r.operation_type NOT IN (SELECT e.operation_type FROM evidence AS e)
    ),

    young AS MATERIALIZED (
        SELECT h.*
        FROM unjudged AS u
        CROSS JOIN LATERAL pggit.compare_halves(u.operation_type, v_from, v_to) AS h
        WHERE NOT pggit.has_latency_history(u.operation_type, v_from - make_interval(days => p_baseline_days), v_from)
    ),

    judged AS (
        SELECT
            r.operation_type,
            CASE
                WHEN l.level_moved THEN 'level'
                WHEN l.tail_grew THEN 'tail'
                WHEN l.operation_type IS NOT NULL THEN 'none'
                WHEN y.enough AND y.z > r.z AND y.log_ratio >= r.least_ratio THEN 'halves'
                WHEN y.enough THEN 'none'
                ELSE 'unknown'
            END AS kind,
            coalesce(l.log_ratio, y.log_ratio) AS log_ratio,
            CASE WHEN l.tail_grew AND NOT l.level_moved THEN l.tail_z ELSE coalesce(l.level_z, y.z) END AS z,
            coalesce(l.change_at, y.change_at) AS change_at,
            l.slow_share_before,
            l.slow_share_after,
            coalesce(l.calls_after, y.calls_after) AS calls_after
        FROM rule AS r
        LEFT JOIN likeliest AS l ON r.operation_type = l.operation_type
        LEFT JOIN young AS y ON r.operation_type = y.operation_type
    )

    SELECT
        j.operation_type,
        CASE j.kind
            WHEN 'unknown' THEN 'INSUFFICIENT_DATA' WHEN 'none' THEN 'STABLE' ELSE 'DEGRADATION_DETECTED'
        END,
        j.kind,
        -- LEAST and GREATEST pass over NULL; what could not be judged has no figures.
        CASE WHEN j.log_ratio IS NOT NULL THEN round((100 * (exp(least(j.log_ratio, 40)) - 1))::numeric, 1) END,
        CASE WHEN j.z IS NOT NULL THEN round(least(greatest(j.z, -1e6), 1e6)::numeric, 2) END,
        CASE WHEN j.kind IN ('level', 'tail', 'halves') THEN j.change_at END,
        round((100 * j.slow_share_before)::numeric, 1),
        round((100 * j.slow_share_after)::numeric, 1),
        j.calls_after::bigint
    FROM judged AS j
    ORDER BY j.operation_type;
END
$$;

COMMENT ON FUNCTION pggit.degradation_scan(text, integer, numeric, integer, numeric, timestamp) IS
'Whether each tracked operation, or the named one, became slower within a window: severity as in detect_performance_degradation, kind (level, tail, halves, none, unknown), percent, z, since when, and the share of slow calls before and after.';

REVOKE EXECUTE ON FUNCTION pggit.degradation_scan(text, integer, numeric, integer, numeric, timestamp) FROM PUBLIC;
