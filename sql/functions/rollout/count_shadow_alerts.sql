-- A baseline alerts what takes longer than p99 times its multiplier, as pgGit's check_performance_baseline does. The
-- composite index finds the metrics that are slower than the lower of the two limits, day by day.
CREATE OR REPLACE FUNCTION pggit.count_shadow_alerts(p_history_id bigint, p_from date DEFAULT '-infinity')
RETURNS TABLE (day date, alerts_in_use bigint, alerts_shadow bigint, metric_ids bigint [])
LANGUAGE sql
STABLE
AS $$
    WITH trial AS (
        SELECT
            candidate.operation_type,
            candidate.branch_id,
            candidate.calculated_at::timestamp AS started_at,
            tried.p99_microseconds * coalesce(tried.alert_threshold_multiplier, 2.0) AS limit_shadow,
            active.p99_microseconds * coalesce(active.alert_threshold_multiplier, 2.0) AS limit_in_use
        FROM pggit.performance_baseline_history AS candidate
        INNER JOIN pggit.performance_baselines AS tried ON candidate.new_baseline_id = tried.baseline_id
        LEFT JOIN LATERAL pggit.active_baseline(candidate.operation_type, candidate.branch_id) AS active ON TRUE
        WHERE candidate.history_id = p_history_id AND candidate.status = 'shadow'
    )

    SELECT
        metric.recorded_at::date,
        count(*) FILTER (WHERE metric.duration_microseconds > trial.limit_in_use),
        count(*) FILTER (WHERE metric.duration_microseconds > trial.limit_shadow),
        coalesce((
            array_agg(metric.metric_id ORDER BY metric.metric_id DESC)
                FILTER (WHERE metric.duration_microseconds > trial.limit_shadow)
        )[1:100], '{}')
    FROM trial
    INNER JOIN pggit.performance_metrics AS metric ON trial.operation_type = metric.operation_type
    WHERE metric.period_start >= greatest(trial.started_at::date, p_from) - 1
        AND metric.duration_microseconds > least(trial.limit_shadow, trial.limit_in_use)
        AND metric.recorded_at >= greatest(trial.started_at, p_from::timestamp)
        AND (trial.branch_id IS NULL OR metric.branch_id = trial.branch_id)
    GROUP BY metric.recorded_at::date
$$;

COMMENT ON FUNCTION pggit.count_shadow_alerts(bigint, date) IS
'What the candidate of a trial would have alerted on each day since p_from, beside what the baseline in use does: counts, and up to 100 metrics of the candidate''s. Days without any, and ids that are no trial, have no row.';

REVOKE EXECUTE ON FUNCTION pggit.count_shadow_alerts(bigint, date) FROM PUBLIC;
