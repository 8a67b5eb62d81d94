-- STABLE, so PostgreSQL itself refuses any change in here.
CREATE OR REPLACE FUNCTION pggit.preview_baselines_rolling(
    p_lookback_days integer DEFAULT 7,
    p_min_samples integer DEFAULT 10,
    p_force_recalc boolean DEFAULT FALSE,
    p_shadow_days integer DEFAULT 0,
    p_as_of timestamp DEFAULT NULL
)
RETURNS TABLE (
    operation_type text,
    sample_count integer,
    p99_old_ms numeric,
    p99_new_ms numeric,
    percent_change numeric,
    verdict text,
    problems text[],
    method text
)
LANGUAGE plpgsql
STABLE
AS $$
BEGIN
    PERFORM pggit.require_baseline_arguments(p_lookback_days, p_min_samples, p_force_recalc, p_shadow_days);
    IF p_as_of NOT BETWEEN '1900-01-01' AND '9999-12-31' THEN
        RAISE EXCEPTION 'p_as_of is %, it must be a moment that metrics can be of', p_as_of
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave it out for now.';
    END IF;

    RETURN QUERY
    SELECT
        kind.operation_type,
        coalesce((planned.candidate).sample_count, 0),
        round(active.p99_microseconds / 1000.0, 3),
        round((planned.candidate).p99_microseconds / 1000.0, 3),
        planned.percent_change,
        CASE WHEN (planned.candidate).sample_count >= p_min_samples THEN planned.verdict ELSE 'skip' END,
        coalesce(planned.problems, '{}'),
        planned.method
    FROM pggit.performance_operation_types AS kind
    LEFT JOIN pggit.plan_baselines(p_lookback_days, 1, p_force_recalc, NULL, NULL, p_shadow_days, p_as_of) AS planned
        ON kind.operation_type = planned.operation_type
    LEFT JOIN LATERAL pggit.baseline_in_use(kind.operation_type, NULL, p_as_of) AS active ON TRUE
    WHERE kind.is_tracked
    ORDER BY kind.operation_type;
END;
$$;

COMMENT ON FUNCTION pggit.preview_baselines_rolling(integer, integer, boolean, integer, timestamp) IS
'What recalculate_all_baselines_rolling with the same arguments would do now, or would have done at p_as_of with the metrics, baselines and decisions of then: one row per tracked operation, changing nothing. verdict: create, replace, keep, hold, skip (too few metrics), shadow, wait (held already, or on trial), promote or withdraw (the trial is over), fail (problems say why).';

REVOKE ALL ON FUNCTION pggit.preview_baselines_rolling(integer, integer, boolean, integer, timestamp) FROM PUBLIC;
