-- Why a notification can't be sent again, in words that tell the mend; NULL means that it can.
-- An alert whose episode is over is not told any more: PagerDuty would open an incident that nothing closes.
CREATE OR REPLACE FUNCTION pggit.replay_problem(p_queue_id bigint)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_status text;
    v_setting_id integer;
    v_alert_id bigint;
    v_event text;
    v_over_since timestamptz;
    v_setting record;
    v_problem text;
BEGIN
    SELECT q.status, q.setting_id, q.alert_id, q.event INTO v_status, v_setting_id, v_alert_id, v_event
    FROM pggit.alert_notification_queue AS q
    WHERE q.queue_id = p_queue_id;
    IF NOT FOUND THEN
        RETURN format('there is no notification %s', coalesce(p_queue_id::text, 'NULL'));
    END IF;
    IF v_status <> 'failed' THEN
        RETURN format('notification %s is %s, not failed', p_queue_id, v_status);
    END IF;
    SELECT ep.closed_at INTO v_over_since
    FROM pggit.alert_episode_member AS m
    INNER JOIN pggit.alert_episode AS ep ON m.episode_id = ep.episode_id
    WHERE m.alert_id = v_alert_id AND v_event = 'triggered';
    IF v_over_since IS NOT NULL THEN
        RETURN format(
            'notification %s can''t be sent: its episode is over since %s UTC; nothing fires any more',
            p_queue_id, to_char(v_over_since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
        );
    END IF;
    SELECT s.notification_channel, e.config INTO v_setting
    FROM pggit.alert_notification_settings AS s
    INNER JOIN pggit.effective_notification_config AS e ON s.setting_id = e.setting_id
    WHERE s.setting_id = v_setting_id;
    IF NOT FOUND THEN
        RETURN format('notification %s can''t be sent: its setting was deleted', p_queue_id);
    END IF;
    v_problem := pggit.notification_setting_problem(v_setting.notification_channel, v_setting.config);
    IF v_problem IS NOT NULL THEN
        RETURN format('notification %s can''t be sent: setting %s is broken: %s', p_queue_id, v_setting_id, v_problem);
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION pggit.replay_problem(bigint) IS
'Why a failed notification can''t be sent again and how to mend it; NULL if it can. Never echoes a secret.';

REVOKE EXECUTE ON FUNCTION pggit.replay_problem(bigint) FROM PUBLIC;
