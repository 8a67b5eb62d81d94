CREATE OR REPLACE FUNCTION pggit.shadow_report(p_history_id bigint DEFAULT NULL)
RETURNS TABLE (
    history_id bigint,
    operation_type text,
    branch_id integer,
    day date,
    alerts_in_use bigint,
    alerts_shadow bigint,
    metric_ids bigint [],
    p99_in_use_ms numeric,
    p99_shadow_ms numeric,
    promote_at timestamptz,
    outcome text
)
LANGUAGE sql
STABLE
AS $$
    SELECT
        trial.history_id,
        trial.operation_type,
        trial.branch_id,
        calendar.at::date,
        coalesce(counted.alerts_in_use, known.alerts_in_use, 0),
        coalesce(counted.alerts_shadow, known.alerts_shadow, 0),
        coalesce(counted.metric_ids, known.metric_ids, '{}'),
        round(trial.old_p99_microseconds / 1000.0, 3),
        round(trial.new_p99_microseconds / 1000.0, 3),
        trial.promote_at,
        CASE WHEN trial.decided_at IS NULL THEN 'running' ELSE coalesce(trial.note, 'decided') END
    FROM pggit.performance_baseline_history AS trial
    CROSS JOIN LATERAL generate_series(
        trial.calculated_at::date, coalesce(trial.decided_at, now())::date, interval '1 day'
    ) AS calendar (at)
    LEFT JOIN pggit.baseline_rollout_day AS known
        ON trial.history_id = known.history_id AND calendar.at::date = known.day
    LEFT JOIN LATERAL (
        SELECT fresh.* FROM pggit.count_shadow_alerts(trial.history_id) AS fresh WHERE trial.decided_at IS NULL
    ) AS counted ON calendar.at::date = counted.day
    WHERE trial.status = 'shadow'
        AND CASE WHEN p_history_id IS NULL THEN trial.decided_at IS NULL ELSE trial.history_id = p_history_id END
    ORDER BY trial.operation_type, trial.branch_id NULLS FIRST, calendar.at
$$;

COMMENT ON FUNCTION pggit.shadow_report(bigint) IS
'Day by day, what a candidate in shadow would have alerted (count, and up to 100 metrics) beside the baseline in use; of one trial, or for NULL of all that are on. approve_baseline(history_id) promotes it now, reject_baseline(history_id) ends it. No row for an id that is no trial.';

REVOKE ALL ON FUNCTION pggit.shadow_report(bigint) FROM PUBLIC;
