-- Two active baselines are what a race of pgGit's own calculation leaves behind. The one in use stays, so nothing that
-- anybody sees changes, and the history gets no row.
CREATE OR REPLACE FUNCTION pggit.deactivate_spare_baselines(p_operation_type text, p_branch_id integer DEFAULT NULL)
RETURNS void
LANGUAGE sql
AS $$
    UPDATE pggit.performance_baselines AS spare
    SET is_active = FALSE
    WHERE spare.is_active AND spare.branch_id IS NOT DISTINCT FROM p_branch_id
        AND EXISTS (
            SELECT FROM pggit.performance_baselines AS newer
            WHERE newer.operation_type = spare.operation_type AND newer.branch_id IS NOT DISTINCT FROM spare.branch_id
                AND newer.is_active
                AND (newer.calculation_timestamp, newer.baseline_id) > (spare.calculation_timestamp, spare.baseline_id)
        )
        AND CASE
            WHEN p_operation_type IS NOT NULL THEN spare.operation_type = p_operation_type
            ELSE EXISTS (
                SELECT FROM pggit.performance_operation_types AS kind
                WHERE kind.operation_type = spare.operation_type AND kind.is_tracked
            )
        END
$$;

COMMENT ON FUNCTION pggit.deactivate_spare_baselines(text, integer) IS
'Leaves one active baseline, the one in use, where an operation (NULL: any tracked one) has several of the branch (NULL: of no branch).';

REVOKE ALL ON FUNCTION pggit.deactivate_spare_baselines(text, integer) FROM PUBLIC;
