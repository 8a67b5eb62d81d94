-- Resolve an alert by hand, and with it the whole episode: the next alert of the operation pages again.
CREATE OR REPLACE FUNCTION pggit.resolve_alert(p_alert_id bigint, p_by text DEFAULT NULL, p_notes text DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_episode_id bigint;
    v_by text := coalesce(nullif(btrim(p_by), ''), session_user);
BEGIN
    SELECT m.episode_id INTO v_episode_id
    FROM pggit.alert_episode_member AS m
    WHERE m.alert_id = p_alert_id;
    IF NOT FOUND THEN
        RAISE NOTICE 'there is no alert % that was routed; nothing was done', coalesce(p_alert_id::text, 'NULL');
        RETURN FALSE;
    END IF;
    IF pggit.close_alert_episodes(ARRAY[v_episode_id], 'by_hand', NULL, v_by, p_notes) = 0 THEN
        RAISE NOTICE 'alert % was resolved before; nothing was done', p_alert_id;
        RETURN FALSE;
    END IF;
    RETURN TRUE;
END
$$;

COMMENT ON FUNCTION pggit.resolve_alert(bigint, text, text) IS
'Resolves an alert and its whole episode, and tells those who were told. Without p_by, by the role that is logged in. '
'TRUE if it did, else FALSE and a NOTICE that says why not.';

REVOKE EXECUTE ON FUNCTION pggit.resolve_alert(bigint, text, text) FROM PUBLIC;
