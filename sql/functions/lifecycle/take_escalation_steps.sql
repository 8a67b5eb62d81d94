-- Take the steps that are due of chains under way; returns how many notifications were queued, and how many steps were
-- put off, by the kind of window.
-- A step is taken in one transaction with the row that says so, under SKIP LOCKED: replicas share the work, a restart
-- forgets nothing, and each step is taken once. Nothing due costs one look at an index that is as a rule empty.
-- A chain stops when its episode or its alert is acknowledged, or the episode is over. Steps whose setting is switched
-- off or can't work are passed over, with a log row. A step that an open window covers is put off until the window's
-- end, with a log row, and is due at once if the window is canceled. Each step is told once, so a chain ends by itself;
-- to tell somebody again, list the setting again further down.
CREATE OR REPLACE FUNCTION pggit.take_escalation_steps(p_limit integer DEFAULT 100)
RETURNS TABLE (queued integer, suppressed jsonb)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_run pggit.alert_escalation;
    v_step record;
    v_told pggit.alert_notification_queue;
    v_window record;
    v_stop text;
    v_note text;
    v_next_wait interval;
    v_queue_id bigint;
BEGIN
    queued := 0;
    suppressed := '{}';
    IF p_limit IS NULL OR p_limit < 1 THEN
        RAISE EXCEPTION 'p_limit is %, it must be one at least', coalesce(p_limit::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE pggit.alert_escalation AS x
    SET due_at = now(), snooze_id = NULL
    WHERE (x.episode_id, x.chain) IN (
        SELECT muted.episode_id, muted.chain
        FROM pggit.alert_escalation AS muted
        INNER JOIN pggit.alert_snooze AS s ON muted.snooze_id = s.snooze_id
        WHERE muted.due_at > now() AND s.cancelled_at IS NOT NULL
        FOR UPDATE OF muted SKIP LOCKED
    );
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
                SELECT
                    s.position,
                    s.setting_id,
                    lower(btrim(left(n.notification_channel, 60))) AS channel,
                    coalesce(n.recipient, '(none)') AS recipient,
                    n.destination_key,
                    n.enabled IS TRUE AS enabled,
                    pggit.notification_setting_problem(n.notification_channel, e.config) AS problem
                FROM pggit.alert_escalation_step AS s
                INNER JOIN pggit.alert_notification_settings AS n ON s.setting_id = n.setting_id
                INNER JOIN pggit.effective_notification_config AS e ON n.setting_id = e.setting_id
                WHERE s.chain = v_run.chain AND s.position > v_run.position
                ORDER BY s.position
            LOOP
                EXIT WHEN v_step.enabled AND v_step.problem IS NULL;
                INSERT INTO pggit.alert_notification_log
                (alert_id, setting_id, event, channel, recipient, status, reason, error_message)
                VALUES (
                    v_run.alert_id, v_step.setting_id, 'triggered', v_step.channel, v_step.recipient,
                    CASE WHEN v_step.enabled THEN 'failed' ELSE 'suppressed' END,
                    CASE WHEN v_step.enabled THEN 'invalid_setting' ELSE 'setting_disabled' END,
                    format(
                        'step %s of escalation %s: %s', v_step.position, left(v_run.chain, 100),
                        CASE WHEN v_step.enabled THEN format('setting %s: %s', v_step.setting_id, v_step.problem)
                            ELSE 'its setting is disabled' END
                    )
                );
                v_run.position := v_step.position;
            END LOOP;
            IF v_step.setting_id IS NULL OR v_step.position = v_run.position THEN
                v_stop := 'exhausted';
            END IF;
        END IF;
        IF v_stop IS NOT NULL THEN
            UPDATE pggit.alert_escalation AS x
            SET due_at = NULL, ended_reason = v_stop, position = v_run.position, snooze_id = NULL
            WHERE x.episode_id = v_run.episode_id AND x.chain = v_run.chain;
            CONTINUE;
        END IF;

        -- Of several windows the one that ends last.
        SELECT w.snooze_id, w.kind, w.ends_at, w.description
        INTO v_window
        FROM pggit.alert_episode AS ep
        CROSS JOIN pggit.v_active_snoozes AS w
        WHERE ep.episode_id = v_run.episode_id
            AND w.mutes_critical
            AND w.alert_type IN ('*', ep.alert_type)
            AND w.severity IN ('*', 'CRITICAL')
            AND (w.setting_id IS NULL OR w.setting_id = v_step.setting_id)
            AND (w.channel IS NULL OR w.channel = v_step.channel)
            AND pggit.glob_matches(ep.operation_type, w.operation_pattern)
        ORDER BY w.ends_at DESC, w.snooze_id
        LIMIT 1;
        IF FOUND THEN
            UPDATE pggit.alert_escalation AS x
            SET due_at = v_window.ends_at, position = v_run.position, snooze_id = v_window.snooze_id
            WHERE x.episode_id = v_run.episode_id AND x.chain = v_run.chain;
            INSERT INTO pggit.alert_notification_log
            (alert_id, setting_id, event, channel, recipient, status, reason, error_message)
            VALUES (
                v_run.alert_id, v_step.setting_id, 'triggered', v_step.channel, v_step.recipient, 'suppressed',
                v_window.kind,
                format(
                    'step %s of escalation %s is put off, muted by %s', v_step.position, left(v_run.chain, 100),
                    v_window.description
                )
            );
            suppressed := suppressed || jsonb_build_object(
                v_window.kind, coalesce((suppressed ->> v_window.kind)::integer, 0) + 1
            );
            CONTINUE;
        END IF;

        SELECT format(
            'Not acknowledged for %s by %s; escalated to you.', pggit.interval_text(now() - v_run.stepped_at),
            coalesce(left(n.name, 100), n.recipient, 'a setting that is gone')
        )
        INTO v_note
        FROM (SELECT) AS nothing
        LEFT JOIN pggit.alert_notification_settings AS n ON n.setting_id = v_run.setting_id;

        INSERT INTO pggit.alert_notification_queue (
            alert_id, channel, recipient, message, metadata, setting_id, urgency, event, group_key, destination_key,
            alert, occurred_at, next_attempt_at, give_up_at, repeat_no
        )
        SELECT
            v_run.alert_id,
            v_step.channel,
            v_step.recipient,
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
            now() + least(greatest(v_told.give_up_at - v_told.created_at, interval '4 hours'), interval '30 days'),
            (
                SELECT coalesce(max(q.repeat_no) + 1, 0)
                FROM pggit.alert_notification_queue AS q
                WHERE q.alert_id = v_run.alert_id AND q.event = 'triggered' AND q.setting_id = v_step.setting_id
            )
        ON CONFLICT ON CONSTRAINT alert_notification_queue_once DO NOTHING
        RETURNING queue_id INTO v_queue_id;
        queued := queued + (v_queue_id IS NOT NULL)::integer;

        INSERT INTO pggit.alert_notification_log
        (alert_id, queue_id, setting_id, event, channel, recipient, status, reason, error_message)
        VALUES (
            v_run.alert_id, v_queue_id, v_step.setting_id, 'triggered', v_step.channel, v_step.recipient, 'released',
            'escalated',
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
            ended_reason = CASE WHEN v_next_wait IS NULL THEN 'exhausted' END,
            snooze_id = NULL
        WHERE x.episode_id = v_run.episode_id AND x.chain = v_run.chain;
    END LOOP;
    IF queued > 0 THEN
        PERFORM pg_notify('pggit_alert', '');
    END IF;
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION pggit.take_escalation_steps(integer) IS
'Tells the next setting of each chain whose CRITICAL alert nobody acknowledged in time; returns how many were queued, and by '
'snoozed and maintenance how many steps a window puts off. The daemon calls it; calling it from psql is safe at any time.';

REVOKE EXECUTE ON FUNCTION pggit.take_escalation_steps(integer) FROM PUBLIC;
