CREATE OR REPLACE FUNCTION pggit.held_baselines()
RETURNS TABLE (
    history_id bigint,
    operation_type text,
    baseline_id bigint,
    sample_count integer,
    p99_old_ms numeric,
    p99_new_ms numeric,
    percent_change numeric,
    held_at timestamptz,
    branch_id integer,
    reference_p99_ms numeric
)
LANGUAGE sql
STABLE
AS $$
    SELECT
        held.history_id,
        held.operation_type,
        held.new_baseline_id,
        held.sample_count,
        round(held.old_p99_microseconds / 1000.0, 3),
        round(held.new_p99_microseconds / 1000.0, 3),
        held.percent_change,
        held.calculated_at,
        held.branch_id,
        round(held.reference_p99_microseconds / 1000.0, 3)
    FROM pggit.performance_baseline_history AS held
    WHERE held.status = 'held' AND held.decided_at IS NULL
    ORDER BY held.operation_type, held.branch_id NULLS FIRST
$$;

COMMENT ON FUNCTION pggit.held_baselines() IS
'Candidates that wait for approve_baseline(history_id) or reject_baseline(history_id). reference_p99_ms is the p99 of four weeks ago, or since a human last decided: a candidate is held if it leaves double or half of either.';

REVOKE ALL ON FUNCTION pggit.held_baselines() FROM PUBLIC;
