-- Carries out a plan (rows of plan_baselines as JSON), all of it or nothing. The history rows of applied baselines are
-- written by the trigger log_baseline_changes, as for any other change.
CREATE OR REPLACE FUNCTION pggit.apply_baselines(p_plan jsonb)
RETURNS TABLE (
    operation_type text,
    verdict text,
    new_baseline_id bigint,
    held_history_id bigint
)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
    -- Whatever was held before is of an older window: this run's finding takes its place.
    UPDATE pggit.performance_baseline_history AS held
    SET
        decided_by = session_user,
        decided_at = clock_timestamp(),
        note = format('superseded by a later recalculation (%s)', step ->> 'verdict')
    FROM jsonb_array_elements(p_plan) AS step
    WHERE held.operation_type = step ->> 'operation_type' AND held.branch_id IS NULL
        AND held.status = 'held' AND held.decided_at IS NULL;

    UPDATE pggit.performance_baselines AS baseline
    SET is_active = FALSE
    FROM jsonb_array_elements(p_plan) AS step
    WHERE baseline.operation_type = step ->> 'operation_type' AND step ->> 'verdict' IN ('create', 'replace')
        AND baseline.branch_id IS NULL AND baseline.is_active;

    RETURN QUERY
    WITH step AS (
        SELECT planned.*
        FROM jsonb_array_elements(p_plan) AS element
        CROSS JOIN LATERAL jsonb_to_record(element) AS planned (
            operation_type text,
            verdict text,
            candidate pggit.performance_baselines,
            old_baseline_id bigint,
            old_p99_microseconds bigint,
            percent_change numeric
        )
        WHERE planned.verdict <> 'keep'
    ),
    stored AS (
        INSERT INTO pggit.performance_baselines AS baseline (
            operation_type, baseline_date, calculation_timestamp, sample_count, min_microseconds, max_microseconds,
            p50_microseconds, p75_microseconds, p90_microseconds, p95_microseconds, p99_microseconds,
            mean_microseconds, stddev_microseconds, alert_threshold_multiplier, is_active, calculated_from_days
        )
        SELECT
            step.operation_type,
            (step.candidate).baseline_date,
            (step.candidate).calculation_timestamp,
            (step.candidate).sample_count,
            (step.candidate).min_microseconds,
            (step.candidate).max_microseconds,
            (step.candidate).p50_microseconds,
            (step.candidate).p75_microseconds,
            (step.candidate).p90_microseconds,
            (step.candidate).p95_microseconds,
            (step.candidate).p99_microseconds,
            (step.candidate).mean_microseconds,
            (step.candidate).stddev_microseconds,
            (step.candidate).alert_threshold_multiplier,
            step.verdict IN ('create', 'replace'),
            (step.candidate).calculated_from_days
        FROM step
        RETURNING baseline.baseline_id, baseline.operation_type
    ),
    held AS (
        INSERT INTO pggit.performance_baseline_history AS history (
            operation_type, old_baseline_id, new_baseline_id, old_p99_microseconds, new_p99_microseconds,
            percent_change, reason, status, sample_count
        )
        SELECT
            step.operation_type,
            step.old_baseline_id,
            stored.baseline_id,
            step.old_p99_microseconds,
            (step.candidate).p99_microseconds,
            step.percent_change,
            pggit.baseline_reason(),
            'held',
            (step.candidate).sample_count
        FROM step
        INNER JOIN stored ON step.operation_type = stored.operation_type
        WHERE step.verdict = 'hold'
        RETURNING history.history_id, history.operation_type
    )
    SELECT step.operation_type, step.verdict, stored.baseline_id, held.history_id
    FROM step
    INNER JOIN stored ON step.operation_type = stored.operation_type
    LEFT JOIN held ON step.operation_type = held.operation_type;
END;
$$;

COMMENT ON FUNCTION pggit.apply_baselines(jsonb) IS
'Carries out rows of plan_baselines: replaces and creates baselines, stores held candidates, closes candidates held before. The caller holds lock_baselines.';

REVOKE ALL ON FUNCTION pggit.apply_baselines(jsonb) FROM PUBLIC;
