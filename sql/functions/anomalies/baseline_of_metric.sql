-- The baseline that check_performance_baseline would hold a metric against: the newest active one of all branches or of
-- the metric's own.
CREATE OR REPLACE FUNCTION pggit.baseline_of_metric(p_operation_type text, p_branch_id integer)
RETURNS TABLE (baseline_id bigint, p99_microseconds bigint)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT b.baseline_id, b.p99_microseconds
FROM pggit.performance_baselines AS b
WHERE b.operation_type = p_operation_type
    AND b.is_active
    AND (b.branch_id IS NULL OR b.branch_id = p_branch_id)
ORDER BY b.calculation_timestamp DESC, b.baseline_id DESC
LIMIT 1
$$;

COMMENT ON FUNCTION pggit.baseline_of_metric(text, integer) IS
'The baseline by which a metric of the operation and branch is judged; no row where there is none.';

REVOKE EXECUTE ON FUNCTION pggit.baseline_of_metric(text, integer) FROM PUBLIC;
