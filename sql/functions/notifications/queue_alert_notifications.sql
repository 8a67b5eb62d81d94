-- Route a set of alert events: escalate, match settings, leave out what an open window covers, write one queue row per
-- event and setting, with a snapshot. p_setting_ids and p_notes are for events that were muted before: the only setting
-- each is for, and what its message has to say about that.
-- Idempotent (unique: alert, event, setting) and lock-shy: an alert row that somebody else holds is not waited for, so
-- this can't deadlock with a user's UPDATE or DELETE. Such an alert is routed by its new severity at once and named in
-- `unfinished`, so that the caller comes back for the row itself.
-- What matches nothing, and settings that can't work, leave a log row that says so.
CREATE OR REPLACE FUNCTION pggit.queue_alert_notifications(
    p_alert_ids bigint [],
    p_events text [],
    p_occurred_at timestamptz [],
    p_horizon_critical interval DEFAULT '24 hours',
    p_horizon interval DEFAULT '4 hours',
    p_setting_ids integer [] DEFAULT NULL,
    p_notes text [] DEFAULT NULL
)
RETURNS TABLE (queued integer, refused integer, unfinished bigint [], suppressed jsonb)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_due bigint[];
    v_coming_back bigint[];
    v_escalated bigint[] := '{}'::bigint[];
    v_lifecycle record;
BEGIN
    PERFORM pggit.assign_alert_episodes(
        ARRAY(SELECT e.id FROM unnest(p_alert_ids, p_events) AS e (id, event) WHERE e.event = 'triggered'),
        ARRAY(SELECT e.at FROM unnest(p_events, p_occurred_at) AS e (event, at) WHERE e.event = 'triggered')
    );
    -- Far beyond its threshold, or coming back again and again: both are CRITICAL, the latter is said to be escalated.
    SELECT
        coalesce(array_agg(due.alert_id), '{}'),
        coalesce(array_agg(due.alert_id) FILTER (WHERE due.comes_back), '{}')
    INTO v_due, v_coming_back
    FROM (
        SELECT
            a.alert_id,
            pggit.alert_escalation_due(a.alert_id, a.operation_type, a.alert_type, a.created_at) AS comes_back,
            pggit.threshold_is_critical(
                a.operation_type, a.alert_type, a.actual_duration_microseconds, a.baseline_p99_microseconds
            ) AS is_far_beyond
        FROM pggit.performance_alerts AS a
        WHERE a.alert_id = ANY (
            ARRAY(SELECT e.id FROM unnest(p_alert_ids, p_events) AS e (id, event) WHERE e.event = 'triggered')
        )
            AND a.severity IS DISTINCT FROM 'CRITICAL'
        OFFSET 0
    ) AS due
    WHERE due.comes_back OR due.is_far_beyond;
    IF cardinality(v_due) > 0 THEN
        WITH free AS MATERIALIZED (
            SELECT a.alert_id
            FROM pggit.performance_alerts AS a
            WHERE a.alert_id = ANY (v_due)
            ORDER BY a.alert_id
            FOR NO KEY UPDATE OF a SKIP LOCKED
        ),

        escalated AS (
            UPDATE pggit.performance_alerts AS a
            SET severity = 'CRITICAL'
            FROM free
            WHERE a.alert_id = free.alert_id
            RETURNING a.alert_id
        )

        SELECT coalesce(array_agg(escalated.alert_id), '{}') INTO v_escalated FROM escalated;
    END IF;

    -- A broken config may be a megabyte, so each setting is looked at once, not once per alert.
    WITH setting AS MATERIALIZED (
        SELECT
            s.setting_id,
            upper(btrim(s.alert_type)) AS alert_type,
            upper(btrim(s.severity)) AS severity,
            s.operation_pattern,
            lower(btrim(left(s.notification_channel, 60))) AS channel,
            s.recipient,
            s.destination_key,
            s.min_interval,
            s.group_by,
            pggit.slack_channel_name(s.config) AS slack_channel,
            pggit.notification_setting_problem(s.notification_channel, e.config) AS problem
        FROM pggit.alert_notification_settings AS s
        INNER JOIN pggit.effective_notification_config AS e ON s.setting_id = e.setting_id
        WHERE s.enabled
    ),

    -- The writer's session zone and hand-made rows can put an alert anywhere in time; nothing happened in the future.
    happened AS (
        SELECT
            e.alert_id,
            e.event,
            e.only_setting_id,
            e.note,
            CASE WHEN e.occurred_at BETWEEN '1970-01-01 00:00:00Z' AND now() THEN e.occurred_at ELSE now() END AS occurred_at,
            a.alert_id IS NOT NULL AS known,
            a.operation_type,
            a.alert_type,
            a.actual_duration_microseconds,
            a.baseline_p99_microseconds,
            a.metric_id,
            a.branch_id,
            a.user_name,
            CASE WHEN a.alert_id = ANY (v_due) THEN 'CRITICAL' ELSE coalesce(a.severity, 'WARNING') END AS severity,
            a.alert_id = ANY (v_coming_back) AS escalated,
            coalesce(
                a.actual_duration_microseconds / nullif(a.baseline_p99_microseconds, 0)::numeric,
                CASE WHEN a.alert_type = 'THRESHOLD_EXCEEDED' AND a.violation_multiplier < 'Infinity' THEN a.violation_multiplier END
            ) AS factor,
            ep.episode_id
        FROM unnest(p_alert_ids, p_events, p_occurred_at, p_setting_ids, p_notes)
        AS e (alert_id, event, occurred_at, only_setting_id, note)
        LEFT JOIN pggit.performance_alerts AS a ON e.alert_id = a.alert_id
        LEFT JOIN pggit.alert_episode_member AS ep ON a.alert_id = ep.alert_id
        WHERE e.event = 'triggered'
    ),

    matched AS MATERIALIZED (
        SELECT
            h.*,
            s.setting_id,
            s.channel,
            s.recipient,
            s.destination_key,
            s.min_interval,
            CASE
                WHEN s.group_by = '{}' THEN left(h.operation_type, 200) || '/' || h.alert_type
                ELSE pggit.notification_group_key(
                    s.group_by, h.alert_id, h.operation_type, h.alert_type, h.severity, b.branch_name, h.user_name
                )
            END AS group_key,
            s.slack_channel,
            s.problem,
            b.branch_name,
            m.operation_name
        FROM happened AS h
        LEFT JOIN setting AS s ON
            h.known
            AND (h.only_setting_id IS NULL OR h.only_setting_id = s.setting_id)
            AND s.alert_type IN ('*', h.alert_type)
            AND s.severity IN ('*', h.severity)
            AND pggit.glob_matches(h.operation_type, s.operation_pattern)
        LEFT JOIN pggit.branch_ref AS b ON h.branch_id = b.branch_id
        LEFT JOIN pggit.performance_metrics AS m ON h.metric_id = m.metric_id
    ),

    open_window AS MATERIALIZED (
        SELECT
            w.snooze_id, w.kind, w.ends_at, w.operation_pattern, w.alert_type, w.severity, w.setting_id, w.channel,
            w.mutes_critical, w.description
        FROM pggit.v_active_snoozes AS w
    ),

    -- Of several windows the one that ends last.
    covered AS MATERIALIZED (
        SELECT
            t.alert_id, t.event, t.setting_id, t.channel, t.recipient, t.severity, t.occurred_at, w.*,
            left(t.operation_type, 200) || '/' || t.alert_type AS group_key
        FROM matched AS t
        CROSS JOIN LATERAL (
            SELECT o.snooze_id, o.kind, o.ends_at, 'muted by ' || o.description AS told
            FROM open_window AS o
            WHERE o.alert_type IN ('*', t.alert_type)
                AND o.severity IN ('*', t.severity)
                AND (o.setting_id IS NULL OR o.setting_id = t.setting_id)
                AND (o.channel IS NULL OR o.channel = t.channel)
                AND (o.mutes_critical OR t.severity <> 'CRITICAL')
                AND pggit.glob_matches(t.operation_type, o.operation_pattern)
            ORDER BY ends_at DESC, snooze_id
            LIMIT 1
        ) AS w
        WHERE t.setting_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM pggit.alert_notification_queue AS q
            WHERE q.alert_id = t.alert_id AND q.event = t.event AND q.setting_id = t.setting_id
        )
    ),

    muted AS (
        INSERT INTO pggit.alert_muted AS m (
            alert_id, setting_id, event, severity, group_key, occurred_at, snooze_id, muted_until
        )
        SELECT
            c.alert_id, c.setting_id, c.event, c.severity, c.group_key, c.occurred_at, c.snooze_id, c.ends_at
        FROM covered AS c
        ORDER BY c.alert_id, c.setting_id, c.event
        ON CONFLICT ON CONSTRAINT alert_muted_pkey DO UPDATE
        SET
            snooze_id = excluded.snooze_id, muted_until = excluded.muted_until, severity = excluded.severity,
            released_at = NULL, outcome = NULL
        WHERE m.released_at IS NOT NULL
        RETURNING m.alert_id, m.setting_id, m.event
    ),

    queue AS (
        INSERT INTO pggit.alert_notification_queue (
            alert_id, channel, recipient, message, status, metadata, error_message, setting_id, urgency, event,
            group_key, destination_key, alert, occurred_at, next_attempt_at, give_up_at, processed_at
        )
        SELECT
            t.alert_id,
            t.channel,
            coalesce(t.recipient, '(none)'),
            pggit.alert_message(
                t.operation_type, t.alert_type, t.actual_duration_microseconds, t.baseline_p99_microseconds, t.factor
            ),
            CASE WHEN t.problem IS NULL THEN 'pending' ELSE 'failed' END,
            CASE WHEN t.channel = 'slack' THEN jsonb_build_object(
                'slack_channel', t.slack_channel,
                'severity_color', CASE t.severity WHEN 'CRITICAL' THEN 'danger' WHEN 'WARNING' THEN 'warning' ELSE 'info' END
            ) END,
            'setting ' || t.setting_id || ': ' || t.problem,
            t.setting_id,
            CASE WHEN t.severity = 'CRITICAL' THEN 0 ELSE 1 END,
            t.event,
            coalesce(t.group_key, ''),
            coalesce(t.destination_key, ''),
            jsonb_strip_nulls(jsonb_build_object(
                'alert_id', t.alert_id,
                'operation_type', left(t.operation_type, 500),
                'alert_type', t.alert_type,
                'severity', t.severity,
                'duration_us', t.actual_duration_microseconds,
                'baseline_p99_us', t.baseline_p99_microseconds,
                'factor', round(t.factor, 3),
                'operation_name', left(t.operation_name, 500),
                'branch', left(t.branch_name, 200),
                'user_name', left(t.user_name, 200),
                'metric_id', t.metric_id,
                'escalated', nullif(t.escalated, FALSE),
                'note', CASE
                    WHEN t.alert_type = 'DEGRADATION' THEN nullif(concat_ws(' ', t.note, pggit.degradation_note(t.alert_id)), '')
                    WHEN t.alert_type = 'ANOMALY' THEN nullif(concat_ws(' ', t.note, pggit.anomaly_note(t.alert_id)), '')
                    ELSE t.note
                END,
                'episode', t.episode_id
            )),
            t.occurred_at,
            greatest(now(), g.quiet_until),
            greatest(now(), g.quiet_until) + CASE
                WHEN t.severity = 'CRITICAL' THEN coalesce(p_horizon_critical, '24 hours') ELSE coalesce(p_horizon, '4 hours')
            END,
            CASE WHEN t.problem IS NOT NULL THEN now() END
        FROM matched AS t
        LEFT JOIN pggit.alert_group AS g
            ON t.setting_id = g.setting_id AND t.group_key = g.group_key AND t.min_interval > interval '0'
            AND g.urgency = CASE WHEN t.severity = 'CRITICAL' THEN 0 ELSE 1 END
        WHERE t.setting_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM covered AS c
            WHERE c.alert_id = t.alert_id AND c.event = t.event AND c.setting_id = t.setting_id
        )
        ORDER BY t.occurred_at, t.alert_id, t.setting_id
        ON CONFLICT ON CONSTRAINT alert_notification_queue_once DO NOTHING
        RETURNING
            alert_notification_queue.queue_id, alert_notification_queue.alert_id, alert_notification_queue.setting_id,
            alert_notification_queue.event, alert_notification_queue.channel, alert_notification_queue.recipient,
            alert_notification_queue.status, alert_notification_queue.error_message
    ),

    logged AS (
        INSERT INTO pggit.alert_notification_log
        (alert_id, queue_id, setting_id, event, channel, recipient, status, reason, error_message)
        SELECT
            q.alert_id, q.queue_id, q.setting_id, q.event, q.channel, q.recipient, 'failed', 'invalid_setting', q.error_message
        FROM queue AS q
        WHERE q.status = 'failed'
        UNION ALL
        SELECT
            t.alert_id, NULL, NULL, t.event, 'none', '(none)', 'suppressed',
            CASE WHEN t.known THEN 'no_matching_setting' ELSE 'alert_deleted' END,
            CASE
                WHEN t.only_setting_id IS NOT NULL AND t.known
                    THEN format('setting %s, for which it was muted, matches it no more', t.only_setting_id)
                WHEN t.known THEN format(
                    'no enabled setting matches %s %s of %s', t.severity, t.alert_type, left(t.operation_type, 200)
                )
                ELSE 'the alert was deleted before it was routed'
            END
        FROM matched AS t
        WHERE t.setting_id IS NULL
        UNION ALL
        SELECT
            c.alert_id, NULL, c.setting_id, c.event, c.channel, coalesce(c.recipient, '(none)'), 'suppressed', c.kind,
            c.told
        FROM covered AS c
        INNER JOIN muted USING (alert_id, setting_id, event)
        RETURNING alert_notification_log.status, alert_notification_log.reason
    )

    SELECT
        count(*) FILTER (WHERE queue.status = 'pending')::integer,
        count(*) FILTER (WHERE queue.status = 'failed')::integer,
        ARRAY(SELECT d.alert_id FROM unnest(v_due) AS d (alert_id) WHERE d.alert_id <> ALL (v_escalated)),
        coalesce(
            (
                SELECT jsonb_object_agg(l.reason, l.times)
                FROM (SELECT reason, count(*) AS times FROM logged WHERE status = 'suppressed' GROUP BY reason) AS l
            ), '{}'
        )
    INTO queued, refused, unfinished, suppressed
    FROM queue;

    PERFORM pggit.start_alert_escalations(p_alert_ids);
    SELECT l.queued, l.unfinished, l.suppressed INTO v_lifecycle
    FROM pggit.queue_lifecycle_notifications(p_alert_ids, p_events, p_occurred_at) AS l;
    queued := queued + v_lifecycle.queued;
    unfinished := unfinished || v_lifecycle.unfinished;
    suppressed := suppressed || v_lifecycle.suppressed;
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION pggit.queue_alert_notifications(
    bigint [], text [], timestamptz [], interval, interval, integer [], text []
) IS
'Routes alert events to queue rows; used by route_alerts and notify_on_alert.';

REVOKE EXECUTE ON FUNCTION pggit.queue_alert_notifications(
    bigint [], text [], timestamptz [], interval, interval, integer [], text []
) FROM PUBLIC;
