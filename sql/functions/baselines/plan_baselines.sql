-- What a recalculation finds, before anything is changed: the one place where candidates meet the rules, shared by the
-- recalculation and its preview. A candidate takes over the alert threshold of the baseline it would replace.
CREATE OR REPLACE FUNCTION pggit.plan_baselines(
    p_lookback_days integer,
    p_min_samples integer,
    p_force_recalc boolean,
    p_operation_type text DEFAULT NULL
)
RETURNS TABLE (
    operation_type text,
    verdict text,
    problems text[],
    candidate pggit.performance_baselines,
    old_baseline_id bigint,
    old_p99_microseconds bigint,
    percent_change numeric
)
LANGUAGE sql
STABLE
AS $$
    SELECT
        figures.operation_type,
        CASE WHEN decided.verdict <> 'keep' AND trouble.problems <> '{}' THEN 'fail' ELSE decided.verdict END,
        trouble.problems,
        candidate,
        active.baseline_id,
        active.p99_microseconds,
        pggit.baseline_percent_change(active.p99_microseconds, figures.p99_microseconds)
    FROM pggit.baseline_candidates(p_lookback_days, p_min_samples, p_operation_type) AS figures
    LEFT JOIN LATERAL pggit.active_baseline(figures.operation_type) AS active ON TRUE
    CROSS JOIN LATERAL jsonb_populate_record(
        NULL::pggit.performance_baselines,
        to_jsonb(figures) || jsonb_build_object(
            'baseline_date', CURRENT_DATE,
            'calculation_timestamp', LOCALTIMESTAMP,
            'alert_threshold_multiplier', coalesce(active.alert_threshold_multiplier, 2.0),
            'calculated_from_days', p_lookback_days
        )
    ) AS candidate
    CROSS JOIN LATERAL (
        SELECT pggit.baseline_verdict(active.p99_microseconds, figures.p99_microseconds, p_force_recalc)
    ) AS decided (verdict)
    CROSS JOIN LATERAL (
        SELECT ARRAY(SELECT problem FROM pggit.baseline_problems(candidate) AS problem)
    ) AS trouble (problems)
    ORDER BY figures.operation_type
$$;

COMMENT ON FUNCTION pggit.plan_baselines(integer, integer, boolean, text) IS
'What a recalculation would do with each operation that has enough metrics: create, replace, keep, hold, or fail with the problems of its figures. Changes nothing.';
