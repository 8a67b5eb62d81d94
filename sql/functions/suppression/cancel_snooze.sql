-- End a window before its time, or a recurring one for good. What it muted is treated as if the window had run out now:
-- the router, which is woken, sends what still fires.
CREATE OR REPLACE FUNCTION pggit.cancel_snooze(p_snooze_id bigint, p_reason text DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_window pggit.alert_snooze;
BEGIN
    SELECT s.* INTO v_window
    FROM pggit.alert_snooze AS s
    WHERE s.snooze_id = p_snooze_id
    FOR UPDATE OF s;
    IF NOT FOUND THEN
        RAISE NOTICE 'there is no window %; nothing was done', coalesce(p_snooze_id::text, 'NULL');
        RETURN FALSE;
    END IF;
    IF v_window.cancelled_at IS NOT NULL THEN
        RAISE NOTICE 'window % was cancelled by % at %; nothing was done',
            p_snooze_id, v_window.cancelled_by, v_window.cancelled_at;
        RETURN FALSE;
    END IF;
    IF v_window.ends_at <= now() THEN
        RAISE NOTICE 'window % was over at %; nothing was done', p_snooze_id, v_window.ends_at;
        RETURN FALSE;
    END IF;

    UPDATE pggit.alert_snooze AS s
    SET cancelled_at = now(), cancelled_by = session_user, cancel_reason = left(nullif(btrim(p_reason), ''), 1000)
    WHERE s.snooze_id = p_snooze_id;
    UPDATE pggit.alert_snooze_occurrence AS o
    SET settled_at = now()
    WHERE o.snooze_id = p_snooze_id AND o.settled_at IS NULL AND o.starts_at > now();
    PERFORM pg_notify('pggit_alert', '');
    RETURN TRUE;
END
$$;

COMMENT ON FUNCTION pggit.cancel_snooze(bigint, text) IS
'Ends a window now, recurring ones for good; TRUE if it did, else FALSE and a NOTICE that says why not.';

REVOKE EXECUTE ON FUNCTION pggit.cancel_snooze(bigint, text) FROM PUBLIC;
