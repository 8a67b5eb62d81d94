CREATE OR REPLACE FUNCTION pggit.reject_baseline(
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
BEGIN
    INSERT INTO pggit.performance_baseline_history (
        operation_type, old_baseline_id, new_baseline_id, old_p99_microseconds, new_p99_microseconds, percent_change,
        reason, status, branch_id, sample_count, held_history_id, decided_by, decided_at, note
    )
    VALUES (
        v_held.operation_type, v_held.old_baseline_id, v_held.new_baseline_id, v_held.old_p99_microseconds,
        v_held.new_p99_microseconds, v_held.percent_change, pggit.baseline_reason(), 'rejected', v_held.branch_id,
        v_held.sample_count, v_held.history_id, p_decided_by, clock_timestamp(), p_note
    );

    UPDATE pggit.performance_baseline_history AS history
    SET decided_by = p_decided_by, decided_at = clock_timestamp(), note = 'rejected'
    WHERE history.history_id = v_held.history_id;

    RETURN (SELECT active.baseline_id FROM pggit.active_baseline(v_held.operation_type, v_held.branch_id) AS active);
END;
$$;

COMMENT ON FUNCTION pggit.reject_baseline(bigint, text, text) IS
'Closes a candidate that is held or tried without using it, and records who decided, when and why. Returns the baseline that stays in use (NULL if there is none). Later candidates within 5 % of it are not brought up again until another baseline is in use. Errors as of approve_baseline.';

REVOKE ALL ON FUNCTION pggit.reject_baseline(bigint, text, text) FROM PUBLIC;
