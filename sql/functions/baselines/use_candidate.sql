-- What approval by a human and promotion after a trial have in common. Nothing is applied unrecorded.
CREATE OR REPLACE FUNCTION pggit.use_candidate(
    p_candidate pggit.performance_baseline_history,
    p_status text,
    p_decided_by text,
    p_note text
)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_problems text[] := ARRAY(
        SELECT problem FROM pggit.check_baseline_quality(p_candidate.new_baseline_id) AS problem
    );
BEGIN
    IF cardinality(v_problems) > 0 THEN
        RAISE EXCEPTION 'baseline % can''t be used: %', p_candidate.new_baseline_id, array_to_string(v_problems, '; ')
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = format('SELECT pggit.reject_baseline(%s), then recalculate.', p_candidate.history_id);
    END IF;

    -- Two statements: pgGit's unique index would see both active for a moment if one did it.
    UPDATE pggit.performance_baselines AS baseline
    SET is_active = FALSE
    WHERE baseline.operation_type = p_candidate.operation_type
        AND baseline.branch_id IS NOT DISTINCT FROM p_candidate.branch_id
        AND baseline.is_active;

    UPDATE pggit.performance_baselines AS baseline
    SET is_active = TRUE
    WHERE baseline.baseline_id = p_candidate.new_baseline_id;

    -- The trigger has written the change; here it learns whose decision it was.
    UPDATE pggit.performance_baseline_history AS history
    SET
        status = p_status,
        held_history_id = p_candidate.history_id,
        method = p_candidate.method,
        decided_by = p_decided_by,
        decided_at = clock_timestamp(),
        note = p_note
    WHERE history.history_id = (
        SELECT latest.history_id FROM pggit.performance_baseline_history AS latest
        WHERE latest.operation_type = p_candidate.operation_type
            AND latest.branch_id IS NOT DISTINCT FROM p_candidate.branch_id
            AND latest.new_baseline_id = p_candidate.new_baseline_id
            AND latest.status = 'applied'
            AND latest.transaction_id = pg_current_xact_id()
        ORDER BY latest.history_id DESC
        LIMIT 1
    );
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the history did not take the approval of baseline %', p_candidate.new_baseline_id
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Nothing was changed. See that the triggers log_baseline_changes_* of performance_baselines are enabled.';
    END IF;

    UPDATE pggit.performance_baseline_history AS history
    SET
        decided_by = p_decided_by,
        decided_at = clock_timestamp(),
        note = CASE p_status WHEN 'approved' THEN 'approved' ELSE 'promoted' END
    WHERE history.history_id = p_candidate.history_id;

    RETURN p_candidate.new_baseline_id;
END;
$$;

COMMENT ON FUNCTION pggit.use_candidate(pggit.performance_baseline_history, text, text, text) IS
'Puts a candidate into use and closes its history row; the change is recorded with the given status. The caller holds lock_baselines. Raises 55000 if the candidate can''t be used or the change can''t be recorded.';

REVOKE ALL ON FUNCTION pggit.use_candidate(pggit.performance_baseline_history, text, text, text) FROM PUBLIC;
