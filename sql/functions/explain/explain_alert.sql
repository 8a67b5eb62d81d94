-- Everything known about one alert, in the order in which people ask: what was it, who should have been told, what was
-- done, what happens next. One row is one line; `at` is NULL for what holds now rather than happened at a time.
-- An alert that was deleted is explained from its queue rows' snapshot and from the log; an unknown one has no rows.
-- A time that no client could read (pgGit's columns take infinity) is left out.
-- Reads the log through alert_notification_log_alert and the queue through its unique key.
CREATE OR REPLACE FUNCTION pggit.explain_alert(p_alert_id bigint)
RETURNS TABLE (
    step bigint, at timestamptz, kind text, queue_id bigint, setting_id integer, subject text, sentence text
)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
WITH notification AS MATERIALIZED (
    SELECT q.*
    FROM pggit.alert_notification_queue AS q
    WHERE q.alert_id = p_alert_id
),

logged AS MATERIALIZED (
    SELECT l AS log_row, l.log_id, l.sent_at, l.status, l.queue_id, l.setting_id, l.channel, l.recipient, l.event
    FROM pggit.alert_notification_log AS l
    WHERE l.alert_id = p_alert_id
),

muted AS MATERIALIZED (
    SELECT
        m.setting_id,
        m.released_at,
        concat_ws(' ', lower(btrim(left(s.notification_channel, 60))), coalesce(s.recipient, '(none)')) AS subject,
        format(
            'muted by window %s until %s UTC; %s',
            m.snooze_id,
            to_char(m.muted_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
            CASE
                WHEN m.outcome IS NULL THEN 'sent then if it still fires'
                WHEN m.outcome = 'sent' THEN 'sent when the window ended'
                WHEN m.outcome = 'folded' THEN concat(
                    'told in the message for ', coalesce('alert ' || spokesman.alert_id, 'its group'),
                    ' when the window ended'
                )
                WHEN m.outcome = 'over' THEN 'not sent: it no longer fired when the window ended'
                WHEN m.outcome = 'acknowledged' THEN 'not sent: it was acknowledged before the window ended'
                WHEN m.outcome = 'resolved' THEN 'not sent: it was resolved before the window ended'
                WHEN m.outcome = 'alert_deleted' THEN 'not sent: the alert was deleted before the window ended'
                WHEN m.outcome = 'setting_off' THEN 'not sent: its setting was off or changed when the window ended'
                WHEN m.outcome = 'sent_by_hand' THEN 'sent by hand before the window ended'
                ELSE replace(m.outcome, '_', ' ')
            END
        ) AS sentence,
        m.outcome IS NULL OR m.outcome IN ('sent', 'folded') AS told
    FROM pggit.alert_muted AS m
    LEFT JOIN pggit.alert_notification_settings AS s ON m.setting_id = s.setting_id
    LEFT JOIN LATERAL (
        SELECT c.alert_id
        FROM pggit.alert_muted AS c
        WHERE m.outcome = 'folded' AND c.released_at = m.released_at AND c.setting_id = m.setting_id
            AND c.group_key = m.group_key AND c.outcome = 'sent'
        ORDER BY c.alert_id
        LIMIT 1
    ) AS spokesman ON TRUE
    WHERE m.alert_id = p_alert_id
),

-- The writer's session zone is unknown, so a queue row's own time is the better one.
alert AS MATERIALIZED (
    SELECT
        coalesce(
            (SELECT min(n.occurred_at) FROM notification AS n WHERE n.event = 'triggered'), a.created_at::timestamptz
        ) AS at,
        FALSE AS deleted,
        a.operation_type,
        a.alert_type,
        coalesce(a.severity, 'WARNING') AS severity,
        pggit.alert_message(
            a.operation_type, a.alert_type, a.actual_duration_microseconds, a.baseline_p99_microseconds,
            coalesce(
                a.actual_duration_microseconds / nullif(a.baseline_p99_microseconds, 0)::numeric, a.violation_multiplier
            )
        ) AS message,
        a.is_acknowledged AS acknowledged,
        a.acknowledged_at::timestamptz AS acknowledged_at,
        a.acknowledged_by
    FROM pggit.performance_alerts AS a
    WHERE a.alert_id = p_alert_id
    UNION ALL
    (
        SELECT
            n.occurred_at, TRUE, n.alert ->> 'operation_type', n.alert ->> 'alert_type', n.alert ->> 'severity',
            n.message, FALSE, NULL, NULL
        FROM notification AS n
        WHERE NOT EXISTS (SELECT FROM pggit.performance_alerts AS a WHERE a.alert_id = p_alert_id)
        ORDER BY n.queue_id
        LIMIT 1
    )
),

fact AS (
    SELECT
        1 AS part, a.at, 0 AS tie, 'raised' AS kind, NULL::bigint AS queue_id, NULL::integer AS setting_id,
        'alert' AS subject,
        concat_ws(' ', a.severity, a.alert_type, 'of', a.operation_type || ':', a.message) || CASE
            WHEN a.deleted THEN ' (the alert has been deleted since; this is from its notification)' ELSE ''
        END AS sentence
    FROM alert AS a
    UNION ALL
    SELECT 1, NULL, 0, 'deleted', NULL, NULL, 'alert', 'the alert has been deleted; the log is all that is left of it'
    WHERE NOT EXISTS (SELECT FROM alert) AND EXISTS (SELECT FROM logged)
    UNION ALL
    SELECT 1, min(n.created_at), 1, 'escalated', NULL, NULL, 'alert',
        'escalated to CRITICAL: at least three earlier alerts of this operation and type within the hour'
    FROM notification AS n
    WHERE n.alert ->> 'escalated' = 'true'
    HAVING count(*) > 0
    UNION ALL
    SELECT 3, a.acknowledged_at, 0, 'acknowledged', NULL, NULL, 'alert',
        concat('acknowledged', ' by ' || nullif(a.acknowledged_by, ''))
    FROM alert AS a
    WHERE a.acknowledged
    UNION ALL
    SELECT 4, o.occurred_at, 0, 'outbox', NULL, NULL, 'alert',
        format('event %s waits to be routed, for %s', o.event, pggit.duration_text(now() - o.occurred_at))
    FROM pggit.alert_outbox AS o
    WHERE o.alert_id = p_alert_id
    UNION ALL
    SELECT 2, NULL, row_number() OVER ()::integer, 'setting', NULL, v.setting_id,
        format('%s %s (setting %s)', v.channel, v.recipient, concat_ws(', ', v.setting_id, left(v.setting_name, 80))),
        'now ' || v.verdict
    FROM alert AS a
    CROSS JOIN LATERAL pggit.setting_verdicts(a.operation_type, a.alert_type, a.severity) AS v
    UNION ALL
    SELECT 2, NULL, 0, 'setting', NULL, NULL, 'settings', 'there is no notification setting at all'
    FROM alert AS a
    WHERE NOT EXISTS (SELECT FROM pggit.alert_notification_settings AS s)
    UNION ALL
    SELECT 3, n.created_at, 1, 'queued', n.queue_id, n.setting_id, n.channel || ' ' || n.recipient,
        format('queued: %s as a %s notification', n.event, CASE n.urgency WHEN 0 THEN 'critical' ELSE 'routine' END)
        || coalesce(': ' || (n.alert ->> 'note'), '')
    FROM notification AS n
    UNION ALL
    SELECT 3, l.sent_at, 1 + row_number() OVER (ORDER BY l.log_id)::integer, l.status, l.queue_id, l.setting_id,
        CASE WHEN l.channel = 'none' THEN 'alert' ELSE l.channel || ' ' || l.recipient END,
        pggit.log_sentence(l.log_row)
    FROM logged AS l
    UNION ALL
    SELECT
        CASE WHEN m.released_at IS NULL THEN 4 ELSE 3 END, m.released_at, 1,
        CASE WHEN m.released_at IS NULL THEN 'next' ELSE 'window_ended' END,
        NULL, m.setting_id, coalesce(nullif(m.subject, '(none)'), 'setting ' || m.setting_id), m.sentence
    FROM muted AS m
    UNION ALL
    SELECT 4, NULL, 1, 'next', n.queue_id, n.setting_id, n.channel || ' ' || n.recipient,
        pggit.notification_outlook(n.queue_id)
    FROM notification AS n
    UNION ALL
    SELECT 4, NULL, 2, 'next', NULL, s.setting_id, 'escalation ' || left(x.chain, 100), format(
        'step %s, setting %s (%s), %s unless somebody acknowledges%s',
        s.position,
        s.setting_id,
        concat_ws(' ', lower(btrim(left(t.notification_channel, 60))), coalesce(t.recipient, '(none)')),
        CASE
            WHEN x.due_at > now() THEN 'in ' || pggit.duration_text(x.due_at - now())
            ELSE 'at the router''s next round'
        END,
        concat(
            CASE WHEN t.enabled IS NOT TRUE THEN '; it is disabled now, so it would be passed over' END,
            '; put off by window ' || x.snooze_id
        )
    )
    FROM pggit.alert_escalation AS x
    CROSS JOIN LATERAL (
        SELECT step.position, step.setting_id
        FROM pggit.alert_escalation_step AS step
        WHERE step.chain = x.chain AND step.position > x.position
        ORDER BY step.position
        LIMIT 1
    ) AS s
    INNER JOIN pggit.alert_notification_settings AS t ON s.setting_id = t.setting_id
    WHERE x.due_at IS NOT NULL
        AND x.episode_id IN (SELECT m.episode_id FROM pggit.alert_episode_member AS m WHERE m.alert_id = p_alert_id)
    UNION ALL
    SELECT 4, NULL, 1, 'next', NULL, NULL, 'alert', 'nobody is told: no notification was queued'
    WHERE NOT EXISTS (SELECT FROM notification)
        AND NOT EXISTS (SELECT FROM muted AS m WHERE m.told)
        AND NOT EXISTS (SELECT FROM pggit.alert_outbox AS o WHERE o.alert_id = p_alert_id)
        AND (EXISTS (SELECT FROM alert) OR EXISTS (SELECT FROM logged))
)

SELECT
    row_number() OVER (ORDER BY f.part, f.at NULLS LAST, f.tie, f.queue_id, f.setting_id),
    CASE WHEN f.at BETWEEN '1900-01-01 00:00:00Z' AND '9000-01-01 00:00:00Z' THEN f.at END,
    f.kind,
    f.queue_id,
    f.setting_id,
    f.subject,
    f.sentence
FROM fact AS f
ORDER BY 1
$$;

COMMENT ON FUNCTION pggit.explain_alert(bigint) IS
'Everything known about one alert, one row a line, in order: raised, settings as they match now, every attempt, what happens next. No rows for an unknown alert.';

REVOKE EXECUTE ON FUNCTION pggit.explain_alert(bigint) FROM PUBLIC;
