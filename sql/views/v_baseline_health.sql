-- How good the baseline of each tracked operation is, one row each, worst first. The nightly run leaves a baseline in
-- use whose p99 has not moved, so its age alone says nothing: stale means that the run has not succeeded for two days,
-- or that the operation has not been measured for as many days as its baseline was made from. Everything is looked up
-- operation by operation. The method is read as JSON because histories of older releases have no such column.
CREATE OR REPLACE VIEW pggit.v_baseline_health AS
WITH run AS (
    SELECT max(done.finished_at) AS last_success_at
    FROM pggit.scheduled_job_run AS done
    WHERE done.job = 'baselines' AND done.status = 'succeeded'
),

judged AS (
    SELECT
        op.operation_type,
        baseline.baseline_id,
        baseline.calculation_timestamp AS calculated_at,
        localtimestamp - baseline.calculation_timestamp AS age,
        baseline.sample_count,
        baseline.calculated_from_days AS window_days,
        applied.method,
        round(baseline.p99_microseconds / 1000.0, 3) AS p99_ms,
        round(baseline.p99_microseconds * baseline.alert_threshold_multiplier / 1000.0, 3) AS threshold_ms,
        held.history_id AS held_history_id,
        held.calculated_at AS held_since,
        round(held.new_p99_microseconds / 1000.0, 3) AS held_p99_ms,
        failed.calculated_at AS last_failure_at,
        failed.error_message AS last_failure,
        measured.period_start::date AS last_measured_on,
        run.last_success_at AS last_run_at,
        CASE
            WHEN failed.calculated_at > greatest(run.last_success_at, applied.calculated_at, '-infinity') THEN 'failed'
            WHEN held.history_id IS NOT NULL THEN 'held'
            WHEN baseline.baseline_id IS NULL THEN 'missing'
            WHEN
                greatest(run.last_success_at, baseline.calculation_timestamp::timestamptz) < now() - interval '2 days'
                THEN 'stale'
            WHEN
                coalesce(measured.period_start, '-infinity')
                < localtimestamp - make_interval(days => 1 + coalesce(baseline.calculated_from_days, 7))
                THEN 'stale'
            ELSE 'fresh'
        END AS health
    FROM pggit.performance_operation_types AS op
    CROSS JOIN run
    -- In the order of active_baseline, which readers may not call: it reads pgGit's table in their name.
    LEFT JOIN LATERAL (
        SELECT b.*
        FROM pggit.performance_baselines AS b
        WHERE b.operation_type = op.operation_type AND b.branch_id IS NULL AND b.is_active
        ORDER BY b.calculation_timestamp DESC, b.baseline_id DESC
        LIMIT 1
    ) AS baseline ON TRUE
    LEFT JOIN LATERAL (
        SELECT h.calculated_at, to_jsonb(h) ->> 'method' AS method
        FROM pggit.performance_baseline_history AS h
        WHERE h.new_baseline_id = baseline.baseline_id
            AND h.status IN ('applied', 'approved')
        ORDER BY h.history_id DESC
        LIMIT 1
    ) AS applied ON TRUE
    LEFT JOIN LATERAL (
        SELECT h.history_id, h.calculated_at, h.new_p99_microseconds
        FROM pggit.performance_baseline_history AS h
        WHERE h.operation_type = op.operation_type
            AND h.branch_id IS NULL
            AND h.status = 'held' AND h.decided_at IS NULL
        ORDER BY h.history_id DESC
        LIMIT 1
    ) AS held ON TRUE
    LEFT JOIN LATERAL (
        SELECT h.calculated_at, h.error_message
        FROM pggit.performance_baseline_history AS h
        WHERE h.operation_type = op.operation_type AND h.branch_id IS NULL AND h.status = 'failed'
        ORDER BY h.history_id DESC
        LIMIT 1
    ) AS failed ON TRUE
    -- In the whole order of idx_performance_metrics_composite: by the day alone the planner may walk the index on days,
    -- which is all of it for an operation that was never measured.
    LEFT JOIN LATERAL (
        SELECT m.period_start
        FROM pggit.performance_metrics AS m
        WHERE m.operation_type = op.operation_type
        ORDER BY m.period_start DESC, m.duration_microseconds DESC
        LIMIT 1
    ) AS measured ON TRUE
    WHERE op.is_tracked IS TRUE
)

SELECT
    judged.operation_type,
    judged.health,
    judged.baseline_id,
    judged.calculated_at,
    judged.age,
    judged.sample_count,
    judged.window_days,
    judged.method,
    judged.p99_ms,
    judged.threshold_ms,
    judged.held_history_id,
    judged.held_since,
    judged.held_p99_ms,
    judged.last_failure_at,
    judged.last_failure,
    judged.last_measured_on,
    judged.last_run_at
FROM judged
ORDER BY array_position(ARRAY['failed', 'held', 'missing', 'stale', 'fresh'], judged.health), judged.operation_type;

COMMENT ON VIEW pggit.v_baseline_health IS
'Per tracked operation: failed, held, missing, stale or fresh; the baseline in use, a candidate that waits, the last failure.';
