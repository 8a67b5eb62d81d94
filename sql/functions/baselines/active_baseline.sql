-- The baseline in use: the newest active one. pgGit's check_performance_baseline goes by the same order; the id breaks
-- ties, because two calculations in one transaction carry the same time.
CREATE OR REPLACE FUNCTION pggit.active_baseline(p_operation_type text, p_branch_id integer DEFAULT NULL)
RETURNS SETOF pggit.performance_baselines
LANGUAGE sql
STABLE
AS $$
    SELECT baseline.*
    FROM pggit.performance_baselines AS baseline
    WHERE baseline.operation_type = p_operation_type
        AND baseline.branch_id IS NOT DISTINCT FROM p_branch_id
        AND baseline.is_active
    ORDER BY baseline.calculation_timestamp DESC, baseline.baseline_id DESC
    LIMIT 1
$$;

COMMENT ON FUNCTION pggit.active_baseline(text, integer) IS
'The baseline in use for an operation and a branch (NULL: the one of all branches). No row if there is none.';

REVOKE EXECUTE ON FUNCTION pggit.active_baseline(text, integer) FROM PUBLIC;
