-- Send a failed notification once more, after its cause is mended: a whole new horizon, the same row and fence. One
-- that was discarded may be sent as well, when it is named. Who has the message does not get it again; who refused it
-- for good (settled ends with !) is asked again, for that may be what was mended.
CREATE OR REPLACE FUNCTION pggit.replay_notification(p_queue_id bigint)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_problem text;
    v_setting record;
BEGIN
    PERFORM FROM pggit.alert_notification_queue AS q WHERE q.queue_id = p_queue_id FOR UPDATE OF q;
    v_problem := pggit.replay_problem(p_queue_id);
    IF v_problem IS NOT NULL THEN
        RAISE NOTICE '%; nothing was done', v_problem;
        RETURN FALSE;
    END IF;

    SELECT s.notification_channel, s.enabled, e.recipient, e.destination_key INTO v_setting
    FROM pggit.alert_notification_queue AS q
    INNER JOIN pggit.alert_notification_settings AS s ON q.setting_id = s.setting_id
    INNER JOIN pggit.effective_notification_config AS e ON s.setting_id = e.setting_id
    WHERE q.queue_id = p_queue_id;
    WITH replayed AS (
        UPDATE pggit.alert_notification_queue AS q
        SET
            status = 'pending',
            discarded_at = NULL,
            channel = lower(btrim(v_setting.notification_channel)),
            recipient = v_setting.recipient,
            destination_key = coalesce(v_setting.destination_key, ''),
            attempt = 0,
            lost_count = 0,
            settled = ARRAY(
                SELECT done.digest FROM unnest(q.settled) WITH ORDINALITY AS done (digest, place)
                WHERE done.digest NOT LIKE '%!'
                ORDER BY done.place
            ),
            processed_at = NULL,
            next_attempt_at = CASE WHEN v_setting.enabled THEN now() ELSE 'infinity' END,
            give_up_at = now() + greatest(q.give_up_at - q.created_at, interval '4 hours')
        WHERE q.queue_id = p_queue_id
        RETURNING q.*
    )

    INSERT INTO pggit.alert_notification_log
    (alert_id, queue_id, setting_id, event, channel, recipient, status, reason, worker)
    SELECT r.alert_id, r.queue_id, r.setting_id, r.event, r.channel, r.recipient, 'released', 'replayed', session_user
    FROM replayed AS r;
    -- Whoever replays thinks the cause is mended: a breaker that is open lets a probe through now.
    UPDATE pggit.alert_destination AS d
    SET open_until = CASE WHEN d.opened_at IS NOT NULL THEN now() END, paused_until = NULL
    WHERE d.destination_key = v_setting.destination_key AND (d.open_until > now() OR d.paused_until > now());
    PERFORM pg_notify('pggit_alert', '');
    IF v_setting.enabled IS NOT TRUE THEN
        RAISE NOTICE 'notification % waits: its setting is disabled, and it is sent when that is enabled', p_queue_id;
    END IF;
    RETURN TRUE;
END
$$;

COMMENT ON FUNCTION pggit.replay_notification(bigint) IS
'Makes a failed notification due again; TRUE if it did, else FALSE and a NOTICE that says why not.';

REVOKE EXECUTE ON FUNCTION pggit.replay_notification(bigint) FROM PUBLIC;
