CREATE OR REPLACE FUNCTION pggit.approve_baseline(
    p_history_id bigint,
    p_decided_by text DEFAULT session_user,
    p_note text DEFAULT NULL
)
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_held pggit.performance_baseline_history := pggit.open_held_baseline(p_history_id, p_decided_by);
    v_problems text[];
BEGIN
    v_problems := ARRAY(SELECT problem FROM pggit.check_baseline_quality(v_held.new_baseline_id) AS problem);
    IF cardinality(v_problems) > 0 THEN
        RAISE EXCEPTION 'baseline % can''t be used: %', v_held.new_baseline_id, array_to_string(v_problems, '; ')
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = format('SELECT pggit.reject_baseline(%s), then recalculate.', p_history_id);
    END IF;

    -- Two statements: pgGit's unique index would see both active for a moment if one did it.
    UPDATE pggit.performance_baselines AS baseline
    SET is_active = FALSE
    WHERE baseline.operation_type = v_held.operation_type
        AND baseline.branch_id IS NOT DISTINCT FROM v_held.branch_id
        AND baseline.is_active;

    UPDATE pggit.performance_baselines AS baseline
    SET is_active = TRUE
    WHERE baseline.baseline_id = v_held.new_baseline_id;

    -- The trigger has written the change; here it learns that it was a decision. Nothing is applied unrecorded.
    UPDATE pggit.performance_baseline_history AS history
    SET
        status = 'approved',
        held_history_id = v_held.history_id,
        decided_by = p_decided_by,
        decided_at = clock_timestamp(),
        note = p_note
    WHERE history.history_id = (
        SELECT latest.history_id FROM pggit.performance_baseline_history AS latest
        WHERE latest.operation_type = v_held.operation_type
            AND latest.branch_id IS NOT DISTINCT FROM v_held.branch_id
            AND latest.new_baseline_id = v_held.new_baseline_id
            AND latest.status = 'applied'
            AND latest.transaction_id = pg_current_xact_id()
        ORDER BY latest.history_id DESC
        LIMIT 1
    );
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the history did not take the approval of baseline %', v_held.new_baseline_id
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Nothing was changed. See that the triggers log_baseline_changes_* of performance_baselines are enabled.';
    END IF;

    UPDATE pggit.performance_baseline_history AS history
    SET decided_by = p_decided_by, decided_at = clock_timestamp(), note = 'approved'
    WHERE history.history_id = v_held.history_id;

    RETURN v_held.new_baseline_id;
END;
$$;

COMMENT ON FUNCTION pggit.approve_baseline(bigint, text, text) IS
'Puts a held candidate into use in place of whatever is in use now, and records who decided, when and why. Returns the baseline that is now in use. Errors: P0002 no such held row, 55000 already decided or unusable, 55P03 a recalculation runs.';

REVOKE ALL ON FUNCTION pggit.approve_baseline(bigint, text, text) FROM PUBLIC;
