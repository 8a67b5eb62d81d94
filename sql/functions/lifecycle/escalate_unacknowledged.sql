-- Take the steps that are due of chains under way; returns how many notifications were queued.
-- A step is taken in one transaction with the row that says so, under SKIP LOCKED: replicas share the work, a restart
-- forgets nothing, and each step is taken once. Nothing due costs one look at an index that is as a rule empty.
-- A chain stops when its episode or its alert is acknowledged, or the episode is over. Steps whose setting is switched
-- off are passed over, with a log row. Each step is told once, so a chain ends by itself; to tell somebody again, list
-- the setting again further down.
CREATE OR REPLACE FUNCTION pggit.escalate_unacknowledged(p_limit integer DEFAULT 100)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_run pggit.alert_escalation;
    v_step record;
    v_told pggit.alert_notification_queue;
    v_stop text;
    v_note text;
    v_next_wait interval;
    v_queue_id bigint;
    v_queued integer := 0;
BEGIN
    IF p_limit IS NULL OR p_limit < 1 THEN
        RAISE EXCEPTION 'escalate_unacknowledged needs a limit of at least 1, not %', coalesce(p_limit::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR v_run IN
        SELECT x.* FROM pggit.alert_escalation AS x
        WHERE x.due_at <= now()
        ORDER BY x.due_at
        LIMIT p_limit
        FOR UPDATE OF x SKIP LOCKED
    LOOP
        SELECT CASE
            WHEN ep.episode_id IS NULL THEN 'forgotten'
            WHEN ep.closed_at IS NOT NULL THEN 'resolved'
            WHEN ep.acknowledged_at IS NOT NULL OR a.is_acknowledged THEN 'acknowledged'
        END
        INTO v_stop
        FROM (SELECT) AS nothing
        LEFT JOIN pggit.alert_episode AS ep ON ep.episode_id = v_run.episode_id
        LEFT JOIN pggit.performance_alerts AS a ON a.alert_id = v_run.alert_id;

        SELECT q.* INTO v_told
        FROM pggit.alert_notification_queue AS q
        WHERE q.alert_id = v_run.alert_id AND q.event = 'triggered'
        ORDER BY q.setting_id = v_run.setting_id DESC, q.queue_id DESC
        LIMIT 1;
        IF NOT FOUND THEN
            v_stop := coalesce(v_stop, 'forgotten');
        END IF;

        v_step := NULL;
        IF v_stop IS NULL THEN
            FOR v_step IN
                SELECT s.position, s.setting_id, n.enabled, n.notification_channel, n.recipient, n.destination_key
                FROM pggit.alert_escalation_step AS s
                INNER JOIN pggit.alert_notification_settings AS n ON s.setting_id = n.setting_id
                WHERE s.chain = v_run.chain AND s.position > v_run.position
                ORDER BY s.position
            LOOP
                EXIT WHEN v_step.enabled;
                INSERT INTO pggit.alert_notification_log
                (alert_id, setting_id, event, channel, recipient, status, reason, error_message)
                VALUES (
                    v_run.alert_id, v_step.setting_id, 'triggered', v_step.notification_channel,
                    coalesce(v_step.recipient, '(none)'), 'suppressed', 'setting_disabled',
                    format('step %s of escalation %s: its setting is disabled', v_step.position, left(v_run.chain, 100))
                );
                v_run.position := v_step.position;
            END LOOP;
            IF v_step.enabled IS NOT TRUE THEN
                v_stop := 'exhausted';
            END IF;
        END IF;
        IF v_stop IS NOT NULL THEN
            UPDATE pggit.alert_escalation AS x
            SET due_at = NULL, ended_reason = v_stop, position = v_run.position
            WHERE x.episode_id = v_run.episode_id AND x.chain = v_run.chain;
            CONTINUE;
        END IF;

        SELECT format(
            'Not acknowledged for %s by %s; escalated to you.', pggit.interval_text(now() - v_run.stepped_at),
            coalesce(left(n.name, 100), n.recipient, 'a setting that is gone')
        )
        INTO v_note
        FROM (SELECT) AS nothing
        LEFT JOIN pggit.alert_notification_settings AS n ON n.setting_id = v_run.setting_id;

        -- One row per alert, event and setting: who was told of this alert before gets a row without its number, which
        -- the snapshot has anyway.
        INSERT INTO pggit.alert_notification_queue (
            alert_id, channel, recipient, message, metadata, setting_id, urgency, event, group_key, destination_key,
            alert, occurred_at, next_attempt_at, give_up_at
        )
        SELECT
            CASE WHEN NOT EXISTS (
                SELECT FROM pggit.alert_notification_queue AS q
                WHERE q.alert_id = v_run.alert_id AND q.event = 'triggered' AND q.setting_id = v_step.setting_id
            ) THEN v_run.alert_id END,
            lower(btrim(left(v_step.notification_channel, 60))),
            coalesce(v_step.recipient, '(none)'),
            v_told.message,
            v_told.metadata,
            v_step.setting_id,
            0,
            'triggered',
            v_told.group_key,
            coalesce(v_step.destination_key, ''),
            v_told.alert || jsonb_build_object('alert_id', v_run.alert_id, 'episode', v_run.episode_id, 'note', v_note),
            v_told.occurred_at,
            now(),
            now() + least(greatest(v_told.give_up_at - v_told.created_at, interval '4 hours'), interval '30 days')
        ON CONFLICT ON CONSTRAINT alert_notification_queue_once DO NOTHING
        RETURNING queue_id INTO v_queue_id;
        v_queued := v_queued + (v_queue_id IS NOT NULL)::integer;

        INSERT INTO pggit.alert_notification_log
        (alert_id, queue_id, setting_id, event, channel, recipient, status, reason, error_message)
        VALUES (
            v_run.alert_id, v_queue_id, v_step.setting_id, 'triggered', v_step.notification_channel,
            coalesce(v_step.recipient, '(none)'), 'released', 'escalated',
            format('step %s of escalation %s: %s', v_step.position, left(v_run.chain, 100), v_note)
        );

        SELECT s.wait INTO v_next_wait
        FROM pggit.alert_escalation_step AS s
        WHERE s.chain = v_run.chain AND s.position > v_step.position
        ORDER BY s.position
        LIMIT 1;
        UPDATE pggit.alert_escalation AS x
        SET
            position = v_step.position,
            setting_id = v_step.setting_id,
            stepped_at = now(),
            due_at = now() + v_next_wait,
            ended_reason = CASE WHEN v_next_wait IS NULL THEN 'exhausted' END
        WHERE x.episode_id = v_run.episode_id AND x.chain = v_run.chain;
    END LOOP;
    IF v_queued > 0 THEN
        PERFORM pg_notify('pggit_alert', '');
    END IF;
    RETURN v_queued;
END
$$;

COMMENT ON FUNCTION pggit.escalate_unacknowledged(integer) IS
'Tells the next setting of each chain whose CRITICAL alert nobody acknowledged in time; returns how many were queued. '
'The daemon calls it; calling it from psql is safe at any time.';

REVOKE EXECUTE ON FUNCTION pggit.escalate_unacknowledged(integer) FROM PUBLIC;
