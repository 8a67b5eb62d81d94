-- Acknowledge an alert as an operator. The trigger on performance_alerts records who was really logged in and tells
-- those who were told. acknowledge_performance_alert of weeks 1 and 2 stays, for roles with rights on the table.
CREATE OR REPLACE FUNCTION pggit.acknowledge_alert(p_alert_id bigint, p_by text DEFAULT NULL, p_notes text DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_by text;
BEGIN
    UPDATE pggit.performance_alerts AS a
    SET
        is_acknowledged = TRUE,
        acknowledged_at = CURRENT_TIMESTAMP,
        acknowledged_by = coalesce(nullif(btrim(p_by), ''), session_user),
        resolution_notes = coalesce(p_notes, a.resolution_notes)
    WHERE a.alert_id = p_alert_id AND a.is_acknowledged IS NOT TRUE;
    IF FOUND THEN
        RETURN TRUE;
    END IF;
    SELECT coalesce(a.acknowledged_by, 'somebody') INTO v_by
    FROM pggit.performance_alerts AS a
    WHERE a.alert_id = p_alert_id;
    IF FOUND THEN
        RAISE NOTICE 'alert % was acknowledged by % before; nothing was done', p_alert_id, left(v_by, 200);
    ELSE
        RAISE NOTICE 'there is no alert %; nothing was done', coalesce(p_alert_id::text, 'NULL');
    END IF;
    RETURN FALSE;
END
$$;

COMMENT ON FUNCTION pggit.acknowledge_alert(bigint, text, text) IS
'Acknowledges an alert: escalation stops, and those who were told of it hear by whom. Without p_by, by the role that is '
'logged in. TRUE if it did, else FALSE and a NOTICE that says why not.';

REVOKE EXECUTE ON FUNCTION pggit.acknowledge_alert(bigint, text, text) FROM PUBLIC;
