-- Every change of a baseline in use is in the history, so what was in use before the first one is what that one
-- replaced. Without any, the one that is active now was in use since it was calculated.
CREATE OR REPLACE FUNCTION pggit.baseline_in_use(p_operation_type text, p_branch_id integer, p_as_of timestamp)
RETURNS SETOF pggit.performance_baselines
LANGUAGE sql
STABLE
AS $$
    SELECT baseline.*
    FROM pggit.performance_baselines AS baseline
    WHERE baseline.baseline_id = CASE
        WHEN p_as_of IS NULL
            THEN (SELECT active.baseline_id FROM pggit.active_baseline(p_operation_type, p_branch_id) AS active)
        WHEN EXISTS (
            SELECT FROM pggit.performance_baseline_history AS history
            WHERE history.operation_type = p_operation_type
                AND history.branch_id IS NOT DISTINCT FROM p_branch_id
                AND history.status IN ('applied', 'approved', 'removed')
        )
            THEN (
                SELECT CASE WHEN near.is_past THEN near.new_baseline_id ELSE near.old_baseline_id END
                FROM (
                    SELECT history.*, history.calculated_at <= p_as_of AS is_past
                    FROM pggit.performance_baseline_history AS history
                    WHERE history.operation_type = p_operation_type
                        AND history.branch_id IS NOT DISTINCT FROM p_branch_id
                        AND history.status IN ('applied', 'approved', 'removed')
                ) AS near
                ORDER BY near.is_past DESC, CASE WHEN near.is_past THEN -near.history_id ELSE near.history_id END
                LIMIT 1
            )
        ELSE (
            SELECT active.baseline_id FROM pggit.active_baseline(p_operation_type, p_branch_id) AS active
            WHERE active.calculation_timestamp <= p_as_of
        )
    END
$$;

COMMENT ON FUNCTION pggit.baseline_in_use(text, integer, timestamp) IS
'The baseline that was in use for an operation and a branch (NULL: the one of all branches) at p_as_of, or is now for NULL. No row if there was none.';

REVOKE EXECUTE ON FUNCTION pggit.baseline_in_use(text, integer, timestamp) FROM PUBLIC;
