CREATE OR REPLACE FUNCTION pggit.open_held_baseline(p_history_id bigint, p_decided_by text)
RETURNS pggit.performance_baseline_history
LANGUAGE plpgsql
AS $$
DECLARE
    v_held pggit.performance_baseline_history;
BEGIN
    IF p_decided_by IS NULL OR btrim(p_decided_by) = '' THEN
        RAISE EXCEPTION 'p_decided_by is empty, it must say who decides'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave it out to sign with the name you are logged in with.';
    END IF;

    PERFORM pggit.lock_baselines();

    SELECT * INTO v_held FROM pggit.performance_baseline_history AS history WHERE history.history_id = p_history_id;
    IF NOT FOUND OR v_held.status NOT IN ('held', 'shadow') THEN
        RAISE EXCEPTION 'there is no held baseline with history_id %', coalesce(p_history_id::text, 'NULL')
            USING ERRCODE = 'no_data_found', HINT = 'SELECT * FROM pggit.held_baselines() lists them; pggit.shadow_report() those in shadow.';
    END IF;

    IF v_held.decided_at IS NOT NULL THEN
        RAISE EXCEPTION '% baseline % of % is closed since %: %',
            v_held.status, p_history_id, v_held.operation_type, v_held.decided_at, coalesce(v_held.note, 'decided')
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'SELECT * FROM pggit.held_baselines() lists those that are open.';
    END IF;

    IF v_held.status = 'shadow' THEN
        PERFORM pggit.record_baseline_shadows();
    END IF;
    RETURN v_held;
END;
$$;

COMMENT ON FUNCTION pggit.open_held_baseline(bigint, text) IS
'Locks baselines and returns the row, held or in shadow, that approve_baseline and reject_baseline are about to decide. Raises P0002 if there is none, 55000 if it is decided or superseded, 55P03 if a recalculation runs.';

REVOKE ALL ON FUNCTION pggit.open_held_baseline(bigint, text) FROM PUBLIC;
