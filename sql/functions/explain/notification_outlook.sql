-- What happens next to one notification, as things stand now, in words: the first thing in its way is the one told.
CREATE OR REPLACE FUNCTION pggit.notification_outlook(p_queue_id bigint)
RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT CASE
    WHEN q.status = 'sent'
        THEN concat('sent', ' ' || pggit.duration_text(now() - q.sent_at) || ' ago', '; nothing more happens')
    WHEN q.discarded_at IS NOT NULL
        THEN format('discarded %s ago; nothing more happens', pggit.duration_text(now() - q.discarded_at))
    WHEN q.status = 'failed' THEN concat(
        'a dead letter: nothing more happens until somebody sends it again ',
        format('(pggit-alertd deadletter replay %s)', q.queue_id),
        '; now ' || pggit.replay_problem(q.queue_id)
    )
    WHEN q.claimed_by IS NOT NULL AND q.next_attempt_at > now() AND isfinite(q.next_attempt_at) THEN format(
        'being sent now by %s; if that worker vanishes, others take over in %s',
        q.claimed_by, pggit.duration_text(q.next_attempt_at - now())
    )
    WHEN q.claimed_by IS NOT NULL
        THEN format('worker %s has vanished with it; the next claim takes it over', q.claimed_by)
    WHEN s.setting_id IS NULL THEN 'its setting was deleted, so the next attempt ends it as a dead letter'
    WHEN s.enabled IS NOT TRUE OR q.next_attempt_at = 'infinity'
        THEN format('held: setting %s is disabled; it is sent when the setting is enabled', s.setting_id)
    WHEN s.problem IS NOT NULL
        THEN format('setting %s is broken, so the next attempt ends it: %s', s.setting_id, s.problem)
    WHEN d.opened_at IS NOT NULL THEN concat(
        'waiting: destination broken since ',
        to_char(d.opened_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SSZ'),
        ': ' || d.open_reason,
        CASE WHEN d.open_until > now() THEN '; tried again in ' || pggit.duration_text(d.open_until - now())
            ELSE '; it is being tried again' END
    )
    WHEN d.paused_until > now() THEN format(
        'waiting: destination paused until %s (in %s)',
        to_char(d.paused_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SSZ'),
        pggit.duration_text(d.paused_until - now())
    )
    WHEN q.attempt = 0 AND q.next_attempt_at > now() AND g.quiet_until > now() THEN format(
        'waits for the digest of its group (min_interval), in %s', pggit.duration_text(q.next_attempt_at - now())
    )
    WHEN q.next_attempt_at > now() THEN concat(
        'next attempt in ', pggit.duration_text(q.next_attempt_at - now()),
        CASE WHEN q.give_up_at > now() THEN '; given up in ' || pggit.duration_text(q.give_up_at - now()) END
    )
    ELSE 'due for ' || pggit.duration_text(now() - q.next_attempt_at)
END || CASE
    WHEN q.status = 'pending' AND NOT EXISTS (
        SELECT FROM pggit.alertd_worker AS w WHERE w.last_beat_at > now() - interval '3 minutes'
    ) THEN '; no daemon has given a sign of life for three minutes' ELSE ''
END
FROM pggit.alert_notification_queue AS q
LEFT JOIN LATERAL (
    SELECT
        a.setting_id,
        a.enabled,
        e.destination_key,
        pggit.notification_setting_problem(a.notification_channel, e.config) AS problem
    FROM pggit.alert_notification_settings AS a
    INNER JOIN pggit.effective_notification_config AS e ON a.setting_id = e.setting_id
    WHERE a.setting_id = q.setting_id
) AS s ON TRUE
LEFT JOIN pggit.alert_destination AS d ON coalesce(s.destination_key, q.destination_key) = d.destination_key
LEFT JOIN pggit.alert_group AS g
    ON q.setting_id = g.setting_id AND q.urgency = g.urgency AND q.group_key = g.group_key
WHERE q.queue_id = p_queue_id
$$;

COMMENT ON FUNCTION pggit.notification_outlook(bigint) IS
'What happens next to a notification, in words: when it is tried, or what it waits for; NULL for unknown ids.';

REVOKE EXECUTE ON FUNCTION pggit.notification_outlook(bigint) FROM PUBLIC;
