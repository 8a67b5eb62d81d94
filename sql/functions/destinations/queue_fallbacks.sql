-- Send CRITICAL notifications that can't be delivered through their setting's fallback, once (unique: alert, event,
-- setting), with a note that says which destination is broken and how. What failed for good within p_since; what waits
-- behind an open breaker or a pause: a page must not wait for the probe after next; what was tried and is still not
-- delivered after p_patience; and what some of its recipients refused, for they may be those who were to get up. The
-- original stays as it is: what waits is still delivered when its destination is back. A page whose episode is over
-- meanwhile stays where it is: at the fallback it would open an incident that nothing closes.
CREATE OR REPLACE FUNCTION pggit.queue_fallbacks(
    p_limit integer DEFAULT 500,
    p_since interval DEFAULT '1 hour',
    p_patience interval DEFAULT '5 minutes'
)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_queued integer;
BEGIN
    WITH stuck AS MATERIALIZED (
        SELECT q.queue_id, coalesce(q.error_message, 'it failed') AS cause
        FROM pggit.alert_notification_queue AS q
        WHERE q.status = 'failed' AND q.discarded_at IS NULL AND q.processed_at > now() - p_since
            AND q.urgency = 0 AND q.alert_id IS NOT NULL
        UNION
        SELECT q.queue_id, coalesce(d.last_error, d.open_reason, 'it does not answer') AS cause
        FROM pggit.alert_destination AS d
        INNER JOIN pggit.alert_notification_queue AS q ON d.channel = q.channel AND d.destination_key = q.destination_key
        WHERE (d.opened_at IS NOT NULL OR d.paused_until > now() + interval '1 minute')
            AND q.status = 'pending' AND q.urgency = 0 AND q.alert_id IS NOT NULL
        UNION
        SELECT q.queue_id, coalesce(q.error_message, 'it is not delivered yet') AS cause
        FROM pggit.alert_notification_queue AS q
        WHERE q.status = 'pending' AND q.urgency = 0 AND q.alert_id IS NOT NULL
            AND q.attempt > 0 AND q.created_at < now() - p_patience
        UNION
        SELECT q.queue_id, l.error_message AS cause
        FROM pggit.alert_notification_log AS l
        INNER JOIN pggit.alert_notification_queue AS q ON l.queue_id = q.queue_id
        WHERE l.status = 'sent' AND l.reason = 'refused_recipient' AND l.sent_at > now() - p_since
            AND q.status = 'sent' AND q.urgency = 0 AND q.alert_id IS NOT NULL
    ),

    -- A fallback that is broken itself is no help; its own fallback may be.
    rescue AS MATERIALIZED (
        SELECT
            q.queue_id, q.alert_id, q.event, q.message, q.group_key, q.alert, q.occurred_at, q.give_up_at, q.created_at,
            CASE WHEN q.status = 'sent' THEN ' to everybody' ELSE '' END AS whom,
            q.channel AS broken_channel, q.recipient AS broken_recipient, stuck.cause,
            f.setting_id, lower(btrim(f.notification_channel)) AS channel, e.recipient, e.destination_key,
            pggit.slack_channel_name(e.config) AS slack_channel
        FROM (SELECT DISTINCT ON (s.queue_id) s.* FROM stuck AS s ORDER BY s.queue_id, s.cause) AS stuck
        INNER JOIN pggit.alert_notification_queue AS q ON stuck.queue_id = q.queue_id
        INNER JOIN pggit.alert_notification_settings AS s ON q.setting_id = s.setting_id
        INNER JOIN pggit.alert_notification_settings AS f ON s.fallback_setting_id = f.setting_id
        INNER JOIN pggit.effective_notification_config AS e ON f.setting_id = e.setting_id
        WHERE f.enabled
            AND s.enabled
            AND f.setting_id <> s.setting_id
            AND pggit.notification_setting_problem(f.notification_channel, e.config) IS NULL
            AND NOT EXISTS (
                SELECT FROM pggit.alert_notification_queue AS known
                WHERE known.alert_id = q.alert_id AND known.event = q.event AND known.setting_id = f.setting_id
            )
            AND NOT EXISTS (
                SELECT FROM pggit.alert_episode_member AS m
                INNER JOIN pggit.alert_episode AS ep ON m.episode_id = ep.episode_id
                WHERE m.alert_id = q.alert_id AND q.event = 'triggered' AND ep.closed_at IS NOT NULL
            )
        ORDER BY q.queue_id
        LIMIT p_limit
    ),

    queue AS (
        INSERT INTO pggit.alert_notification_queue (
            alert_id, channel, recipient, message, metadata, setting_id, urgency, event, group_key, destination_key,
            alert, occurred_at, give_up_at
        )
        SELECT
            r.alert_id, r.channel, r.recipient, r.message,
            CASE WHEN r.channel = 'slack' THEN jsonb_build_object(
                'slack_channel', r.slack_channel, 'severity_color', 'danger'
            ) END,
            r.setting_id, 0, r.event, r.group_key, r.destination_key,
            r.alert || jsonb_build_object('note', left(concat_ws(
                ' ',
                format(
                    'Sent here because %s %s can''t deliver it%s: %s.',
                    r.broken_channel, r.broken_recipient, r.whom, rtrim(r.cause, '. ')
                ),
                r.alert ->> 'note'
            ), 1000)),
            r.occurred_at,
            now() + (r.give_up_at - r.created_at)
        FROM rescue AS r
        ON CONFLICT ON CONSTRAINT alert_notification_queue_once DO NOTHING
        RETURNING alert_notification_queue.alert_id, alert_notification_queue.event, alert_notification_queue.setting_id
    ),

    logged AS (
        INSERT INTO pggit.alert_notification_log
        (alert_id, queue_id, setting_id, event, channel, recipient, status, reason, error_message)
        SELECT
            r.alert_id, r.queue_id, r.setting_id, r.event, r.broken_channel, r.broken_recipient, 'released', 'fallback',
            format('also sent through setting %s (%s %s): %s', r.setting_id, r.channel, r.recipient, r.cause)
        FROM rescue AS r
        INNER JOIN queue ON r.alert_id = queue.alert_id AND r.event = queue.event AND r.setting_id = queue.setting_id
    )

    SELECT count(*) INTO v_queued FROM queue;
    IF v_queued > 0 THEN
        PERFORM pg_notify('pggit_alert', '');
    END IF;
    RETURN v_queued;
END
$$;

COMMENT ON FUNCTION pggit.queue_fallbacks(integer, interval, interval) IS
'Queues CRITICAL notifications that can''t be delivered for their setting''s fallback; returns how many.';

REVOKE EXECUTE ON FUNCTION pggit.queue_fallbacks(integer, interval, interval) FROM PUBLIC;
