-- Carries out a plan (rows of plan_baselines as JSON), all of it or nothing. The history rows of applied baselines are
-- written by the trigger log_baseline_changes, as for any other change.
CREATE OR REPLACE FUNCTION pggit.apply_baselines(p_plan jsonb, p_shadow_days integer DEFAULT 0)
RETURNS TABLE (
    operation_type text,
    verdict text,
    new_baseline_id bigint,
    open_history_id bigint,
    p99_microseconds bigint,
    sample_count integer,
    method text
)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
    -- What was held before is of an older window, what is tried loses to what is forced: this run's finding takes
    -- their place.
    UPDATE pggit.performance_baseline_history AS candidate
    SET
        decided_by = session_user,
        decided_at = clock_timestamp(),
        note = CASE step ->> 'verdict'
            WHEN 'shadow' THEN 'superseded by a trial of newer figures'
            ELSE format('superseded by a later recalculation (%s)', step ->> 'verdict')
        END
    FROM jsonb_array_elements(p_plan) AS step
    CROSS JOIN LATERAL (
        SELECT (step ->> 'held_id')::bigint
        UNION ALL
        SELECT (step ->> 'shadow_id')::bigint
        WHERE step ->> 'verdict' IN ('create', 'replace', 'shadow', 'withdraw')
    ) AS closed (history_id)
    WHERE candidate.history_id = closed.history_id AND candidate.decided_at IS NULL;

    UPDATE pggit.performance_baselines AS baseline
    SET is_active = FALSE
    FROM jsonb_array_elements(p_plan) AS step
    WHERE baseline.operation_type = step ->> 'operation_type' AND step ->> 'verdict' IN ('create', 'replace')
        AND baseline.branch_id IS NOT DISTINCT FROM (step ->> 'branch_id')::integer AND baseline.is_active;

    RETURN QUERY
    WITH step AS (
        SELECT planned.*
        FROM jsonb_array_elements(p_plan) AS element
        CROSS JOIN LATERAL jsonb_to_record(element) AS planned (
            operation_type text,
            branch_id integer,
            verdict text,
            candidate pggit.performance_baselines,
            method text,
            old_baseline_id bigint,
            old_p99_microseconds bigint,
            reference_p99_microseconds bigint,
            percent_change numeric
        )
        WHERE planned.verdict IN ('create', 'replace', 'hold', 'shadow')
    ),
    stored AS (
        INSERT INTO pggit.performance_baselines AS baseline (
            operation_type, branch_id, baseline_date, calculation_timestamp, sample_count, min_microseconds,
            max_microseconds, p50_microseconds, p75_microseconds, p90_microseconds, p95_microseconds, p99_microseconds,
            mean_microseconds, stddev_microseconds, alert_threshold_multiplier, is_active, calculated_from_days
        )
        SELECT
            step.operation_type,
            step.branch_id,
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
    opened AS (
        INSERT INTO pggit.performance_baseline_history AS history (
            operation_type, branch_id, old_baseline_id, new_baseline_id, old_p99_microseconds, new_p99_microseconds,
            percent_change, reason, status, sample_count, method, reference_p99_microseconds, promote_at
        )
        SELECT
            step.operation_type,
            step.branch_id,
            step.old_baseline_id,
            stored.baseline_id,
            step.old_p99_microseconds,
            (step.candidate).p99_microseconds,
            step.percent_change,
            pggit.baseline_reason(),
            CASE step.verdict WHEN 'hold' THEN 'held' ELSE 'shadow' END,
            (step.candidate).sample_count,
            step.method,
            CASE WHEN step.verdict = 'hold' THEN step.reference_p99_microseconds END,
            CASE WHEN step.verdict = 'shadow' THEN now() + make_interval(days => p_shadow_days) END
        FROM step
        INNER JOIN stored ON step.operation_type = stored.operation_type
        WHERE step.verdict IN ('hold', 'shadow')
        RETURNING history.history_id, history.operation_type
    )
    SELECT
        step.operation_type, step.verdict, stored.baseline_id, opened.history_id, (step.candidate).p99_microseconds,
        (step.candidate).sample_count, step.method
    FROM step
    INNER JOIN stored ON step.operation_type = stored.operation_type
    LEFT JOIN opened ON step.operation_type = opened.operation_type;

    -- The trigger that recorded the changes can't know how the figures were got.
    UPDATE pggit.performance_baseline_history AS history
    SET
        method = step ->> 'method',
        note = CASE
            WHEN pggit.baseline_is_capped(step -> 'candidate') THEN 'mean or stddev is above what its column holds'
            ELSE history.note
        END
    FROM jsonb_array_elements(p_plan) AS step
    WHERE step ->> 'verdict' IN ('create', 'replace')
        AND history.operation_type = step ->> 'operation_type'
        AND history.branch_id IS NOT DISTINCT FROM (step ->> 'branch_id')::integer
        AND history.calculated_at = now()
        AND history.transaction_id = pg_current_xact_id()
        AND history.status = 'applied' AND history.method IS NULL
        AND history.new_p99_microseconds = (step #>> '{candidate,p99_microseconds}')::bigint;
END;
$$;

COMMENT ON FUNCTION pggit.apply_baselines(jsonb, integer) IS
'Carries out rows of plan_baselines: replaces and creates baselines, stores candidates that are held or tried, closes those that are superseded. The caller holds lock_baselines.';

REVOKE ALL ON FUNCTION pggit.apply_baselines(jsonb, integer) FROM PUBLIC;
