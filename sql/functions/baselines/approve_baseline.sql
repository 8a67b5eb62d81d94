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
BEGIN
    RETURN pggit.use_candidate(pggit.open_held_baseline(p_history_id, p_decided_by), 'approved', p_decided_by, p_note);
END;
$$;

COMMENT ON FUNCTION pggit.approve_baseline(bigint, text, text) IS
'Puts a candidate that is held or tried into use in place of whatever is in use now, and records who decided, when and why. Returns the baseline that is now in use. Errors: P0002 no such candidate, 55000 already decided or unusable, 55P03 a recalculation runs.';

REVOKE ALL ON FUNCTION pggit.approve_baseline(bigint, text, text) FROM PUBLIC;
