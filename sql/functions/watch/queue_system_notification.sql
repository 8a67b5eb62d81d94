-- Queue what the daemon says about itself for the given settings; returns the settings it was queued for.
-- p_dedup names one occurrence at receivers that fold events, so that `resolved` ends what `triggered` began; as the
-- episode it keeps messages about different occurrences from being sent as one.
CREATE OR REPLACE FUNCTION pggit.queue_system_notification(
    p_setting_ids integer [],
    p_event text,
    p_condition text,
    p_severity text,
    p_message text,
    p_dedup text
)
RETURNS integer []
LANGUAGE plpgsql
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_told integer[];
BEGIN
    WITH queued AS (
        INSERT INTO pggit.alert_notification_queue (
            channel, recipient, message, metadata, setting_id, urgency, event, group_key, destination_key, alert,
            next_attempt_at, give_up_at
        )
        SELECT
            lower(btrim(s.notification_channel)),
            coalesce(s.recipient, '(none)'),
            left(p_message, 2000),
            CASE WHEN lower(btrim(s.notification_channel)) = 'slack' THEN jsonb_build_object(
                'slack_channel', pggit.slack_channel_name(s.config),
                'severity_color', CASE p_severity WHEN 'CRITICAL' THEN 'danger' WHEN 'WARNING' THEN 'warning' ELSE 'info' END
            ) END,
            s.setting_id,
            CASE WHEN p_severity = 'CRITICAL' THEN 0 ELSE 1 END,
            p_event,
            'pggit-alertd/SYSTEM',
            coalesce(s.destination_key, ''),
            jsonb_strip_nulls(jsonb_build_object(
                'alert_type', 'SYSTEM',
                'operation_type', 'pggit-alertd',
                'severity', p_severity,
                'condition', left(p_condition, 100),
                'dedup', left(p_dedup, 100),
                'episode', left(p_dedup, 100)
            )),
            greatest(now(), d.paused_until),
            now() + CASE WHEN p_severity = 'CRITICAL' THEN interval '24 hours' ELSE interval '4 hours' END
        FROM pggit.alert_notification_settings AS s
        INNER JOIN pggit.effective_notification_config AS e ON s.setting_id = e.setting_id
        LEFT JOIN pggit.alert_destination AS d ON e.destination_key = d.destination_key
        WHERE s.setting_id = ANY (p_setting_ids) AND s.enabled
        ORDER BY s.setting_id
        RETURNING setting_id
    )

    SELECT coalesce(array_agg(queued.setting_id ORDER BY queued.setting_id), '{}') INTO v_told
    FROM queued;
    IF cardinality(v_told) > 0 THEN
        PERFORM pg_notify('pggit_alert', '');
    END IF;
    RETURN v_told;
END
$$;

COMMENT ON FUNCTION pggit.queue_system_notification(integer [], text, text, text, text, text) IS
'Queues a SYSTEM notification for the given settings that are enabled, and returns those.';

REVOKE EXECUTE ON FUNCTION pggit.queue_system_notification(integer [], text, text, text, text, text) FROM PUBLIC;
