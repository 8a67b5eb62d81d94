-- What a recalculation finds, before anything is changed: the one place where candidates meet the rules, shared by the
-- recalculation and its preview. A candidate takes over the alert threshold of the baseline it would replace.
-- A human's word counts until the figures move on: a candidate within 5 % of one that is held already, or was rejected
-- since the last change, is no news. A trial runs its days; then it is promoted, unless the figures have come back.
-- As of a past moment it goes by the metrics, baselines, held candidates and trials of then, which the history has.
CREATE OR REPLACE FUNCTION pggit.plan_baselines(
    p_lookback_days integer,
    p_min_samples integer,
    p_force_recalc boolean,
    p_operation_type text DEFAULT NULL,
    p_branch_id integer DEFAULT NULL,
    p_shadow_days integer DEFAULT 0,
    p_as_of timestamp DEFAULT NULL
)
RETURNS TABLE (
    operation_type text,
    branch_id integer,
    verdict text,
    problems text[],
    candidate pggit.performance_baselines,
    method text,
    old_baseline_id bigint,
    old_p99_microseconds bigint,
    reference_p99_microseconds bigint,
    percent_change numeric,
    held_id bigint,
    shadow_id bigint
)
LANGUAGE sql
STABLE
AS $$
    SELECT
        figures.operation_type,
        figures.branch_id,
        CASE
            WHEN decided.verdict <> 'keep' AND trouble.problems <> '{}' THEN 'fail'
            WHEN p_force_recalc OR decided.verdict IS NULL OR decided.verdict = 'create' THEN decided.verdict
            WHEN decided.verdict = 'hold' AND shadow.is_alike IS NOT TRUE THEN
                CASE WHEN open_held.is_alike THEN 'wait' WHEN rejected.is_alike THEN 'keep' ELSE 'hold' END
            WHEN shadow.history_id IS NOT NULL THEN
                CASE
                    WHEN shadow.promote_at > coalesce(p_as_of::timestamptz, now()) THEN 'wait'
                    WHEN decided.verdict = 'keep' THEN 'withdraw'
                    ELSE 'promote'
                END
            WHEN rejected.is_alike THEN 'keep'
            WHEN decided.verdict = 'replace' AND p_shadow_days > 0 THEN 'shadow'
            ELSE decided.verdict
        END,
        trouble.problems,
        candidate,
        figures.method,
        active.baseline_id,
        active.p99_microseconds,
        reference.p99,
        pggit.baseline_percent_change(active.p99_microseconds, figures.p99_microseconds),
        CASE WHEN p_force_recalc OR decided.verdict <> 'hold' OR NOT open_held.is_alike THEN open_held.history_id END,
        shadow.history_id
    FROM pggit.baseline_candidates(
        p_lookback_days, p_min_samples, p_operation_type, p_branch_id, p_as_of => p_as_of
    ) AS figures
    LEFT JOIN LATERAL pggit.baseline_in_use(figures.operation_type, figures.branch_id, p_as_of) AS active ON TRUE
    CROSS JOIN LATERAL pggit.baseline_reference(
        figures.operation_type, figures.branch_id, p_as_of
    ) AS reference (p99)
    CROSS JOIN LATERAL jsonb_populate_record(
        NULL::pggit.performance_baselines,
        to_jsonb(figures) || jsonb_build_object(
            'baseline_date', coalesce(p_as_of::date, CURRENT_DATE),
            'calculation_timestamp', coalesce(p_as_of, LOCALTIMESTAMP),
            'alert_threshold_multiplier', coalesce(active.alert_threshold_multiplier, 2.0),
            'calculated_from_days', p_lookback_days
        )
    ) AS candidate
    CROSS JOIN LATERAL (
        SELECT pggit.baseline_verdict(
            active.p99_microseconds, figures.p99_microseconds, p_force_recalc,
            pggit.baseline_is_noise(
                active.p99_microseconds, figures.p99_low, figures.p99_high, figures.sample_count
            ),
            reference.p99
        )
    ) AS decided (verdict)
    CROSS JOIN LATERAL (
        SELECT ARRAY(SELECT problem FROM pggit.baseline_problems(candidate) AS problem)
    ) AS trouble (problems)
    LEFT JOIN LATERAL (
        SELECT
            history.history_id,
            pggit.baseline_verdict(history.new_p99_microseconds, figures.p99_microseconds, FALSE) = 'keep' AS is_alike
        FROM pggit.performance_baseline_history AS history
        WHERE history.operation_type = figures.operation_type
            AND history.branch_id IS NOT DISTINCT FROM figures.branch_id
            AND history.status = 'held' AND CASE
                WHEN p_as_of IS NULL THEN history.decided_at IS NULL
                ELSE history.calculated_at <= p_as_of AND coalesce(history.decided_at, 'infinity') > p_as_of
            END
    ) AS open_held ON TRUE
    LEFT JOIN LATERAL (
        SELECT
            pggit.baseline_verdict(latest.new_p99_microseconds, figures.p99_microseconds, FALSE) = 'keep' AS is_alike
        FROM (
            SELECT history.status, history.new_p99_microseconds
            FROM pggit.performance_baseline_history AS history
            WHERE history.operation_type = figures.operation_type
                AND history.branch_id IS NOT DISTINCT FROM figures.branch_id
                AND history.status IN ('applied', 'approved', 'removed', 'rejected')
                AND (p_as_of IS NULL OR history.calculated_at <= p_as_of)
            ORDER BY history.history_id DESC
            LIMIT 1
        ) AS latest
        WHERE latest.status = 'rejected'
    ) AS rejected ON TRUE
    LEFT JOIN LATERAL (
        SELECT
            history.history_id,
            history.promote_at,
            pggit.baseline_verdict(history.new_p99_microseconds, figures.p99_microseconds, FALSE) = 'keep' AS is_alike
        FROM pggit.performance_baseline_history AS history
        WHERE history.operation_type = figures.operation_type
            AND history.branch_id IS NOT DISTINCT FROM figures.branch_id
            AND history.status = 'shadow' AND CASE
                WHEN p_as_of IS NULL THEN history.decided_at IS NULL
                ELSE history.calculated_at <= p_as_of AND coalesce(history.decided_at, 'infinity') > p_as_of
            END
    ) AS shadow ON TRUE
    ORDER BY figures.operation_type
$$;

COMMENT ON FUNCTION pggit.plan_baselines(integer, integer, boolean, text, integer, integer, timestamp) IS
'What a recalculation would do, or would have done at p_as_of, with each operation that has enough metrics: create, replace, keep, hold, wait (a like candidate is held already, or runs in shadow), shadow, promote or withdraw (its trial is over), or fail with the problems of its figures. Changes nothing.';

REVOKE EXECUTE ON FUNCTION pggit.plan_baselines(
    integer, integer, boolean, text, integer, integer, timestamp
) FROM PUBLIC;
