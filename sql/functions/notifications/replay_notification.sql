-- Send a failed notification once more, after its cause is mended: a whole new horizon, the same row and fence.
CREATE OR REPLACE FUNCTION pggit.replay_notification(p_queue_id bigint)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_row pggit.alert_notification_queue;
    v_setting pggit.alert_notification_settings;
    v_problem text;
BEGIN
    SELECT q.* INTO v_row
    FROM pggit.alert_notification_queue AS q
    WHERE q.queue_id = p_queue_id
    FOR UPDATE OF q;
    IF NOT FOUND THEN
        RAISE NOTICE 'there is no notification %; nothing was done', coalesce(p_queue_id::text, 'NULL');
        RETURN FALSE;
    END IF;
    IF v_row.status <> 'failed' THEN
        RAISE NOTICE 'notification % is %, not failed; nothing was done', p_queue_id, v_row.status;
        RETURN FALSE;
    END IF;
    SELECT s.* INTO v_setting
    FROM pggit.alert_notification_settings AS s
    WHERE s.setting_id = v_row.setting_id;
    v_problem := CASE
        WHEN v_setting.setting_id IS NULL THEN 'its setting was deleted'
        ELSE pggit.notification_setting_problem(v_setting.notification_channel, v_setting.config)
    END;
    IF v_problem IS NOT NULL THEN
        RAISE NOTICE 'notification % can''t be sent: %; nothing was done', p_queue_id, v_problem;
        RETURN FALSE;
    END IF;

    UPDATE pggit.alert_notification_queue AS q
    SET
        status = 'pending',
        channel = lower(btrim(v_setting.notification_channel)),
        recipient = v_setting.recipient,
        destination_key = coalesce(v_setting.destination_key, ''),
        attempt = 0,
        lost_count = 0,
        processed_at = NULL,
        next_attempt_at = CASE WHEN v_setting.enabled THEN now() ELSE 'infinity' END,
        give_up_at = now() + CASE q.urgency WHEN 0 THEN interval '24 hours' ELSE interval '4 hours' END
    WHERE q.queue_id = p_queue_id;
    INSERT INTO pggit.alert_notification_log
    (alert_id, queue_id, setting_id, event, channel, recipient, status, reason, worker)
    VALUES (
        v_row.alert_id, p_queue_id, v_row.setting_id, v_row.event, v_setting.notification_channel, v_setting.recipient,
        'released', 'replayed', session_user
    );
    PERFORM pg_notify('pggit_alert', '');
    RETURN TRUE;
END
$$;

COMMENT ON FUNCTION pggit.replay_notification(bigint) IS
'Makes a failed notification due again; TRUE if it did, else FALSE and a NOTICE that says why not.';

REVOKE EXECUTE ON FUNCTION pggit.replay_notification(bigint) FROM PUBLIC;
