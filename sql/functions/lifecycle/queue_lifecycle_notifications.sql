-- Route 'acknowledged' and 'resolved': to the settings that were told of the alert or of another one of its episode,
-- and to nobody else. What they get is the notification they had (same incident, lane and group), with who and why.
-- The same word is said once per episode and setting, so a thousand alerts acknowledged at once are one message each.
-- A setting that can't work gets its row as a dead letter at once, with a log row: no lane would claim it.
-- An alert whose 'triggered' is not routed yet, or an episode that somebody has locked, is named in `unfinished`: the
-- caller comes back for it. Told is who has a row that was sent or is still going to be: of the first and the last
-- thousand alerts of the episode, so that the longest storm costs no more.
CREATE OR REPLACE FUNCTION pggit.queue_lifecycle_notifications(
    p_alert_ids bigint [],
    p_events text [],
    p_occurred_at timestamptz []
)
RETURNS TABLE (queued integer, unfinished bigint [], suppressed jsonb)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_queued bigint[];
BEGIN
    queued := 0;
    unfinished := '{}';
    suppressed := '{}';
    IF 'triggered' = ALL (p_events) THEN
        RETURN NEXT;
        RETURN;
    END IF;

    WITH word AS MATERIALIZED (
        SELECT e.alert_id, e.event, m.episode_id
        FROM unnest(p_alert_ids, p_events) AS e (alert_id, event)
        LEFT JOIN pggit.alert_episode_member AS m ON e.alert_id = m.alert_id
        WHERE e.event <> 'triggered'
    ),

    -- SKIP LOCKED, because an operator may resolve an alert in a transaction that stays open.
    held AS MATERIALIZED (
        SELECT ep.episode_id
        FROM pggit.alert_episode AS ep
        WHERE ep.episode_id IN (SELECT word.episode_id FROM word)
        ORDER BY ep.episode_id
        FOR NO KEY UPDATE OF ep SKIP LOCKED
    ),

    later AS MATERIALIZED (
        SELECT word.alert_id
        FROM word
        WHERE (word.episode_id IS NOT NULL AND word.episode_id NOT IN (SELECT held.episode_id FROM held))
            OR (
                EXISTS (
                    SELECT FROM pggit.alert_outbox AS o
                    WHERE o.alert_id = word.alert_id AND o.event = 'triggered' AND o.routed_at IS NULL
                )
                AND NOT EXISTS (
                    SELECT FROM unnest(p_alert_ids, p_events) AS e (alert_id, event)
                    WHERE e.alert_id = word.alert_id AND e.event = 'triggered'
                )
            )
    ),

    said AS (
        SELECT DISTINCT ON (word.episode_id) word.episode_id, spoken.actor
        FROM word
        LEFT JOIN LATERAL pggit.latest_lifecycle_event(word.alert_id, word.event) AS spoken ON TRUE
        WHERE word.event = 'acknowledged' AND word.alert_id NOT IN (SELECT later.alert_id FROM later)
        ORDER BY word.episode_id, word.alert_id
    ),

    taken AS (
        UPDATE pggit.alert_episode AS ep
        SET acknowledged_at = now(), acknowledged_by = said.actor
        FROM said
        WHERE ep.episode_id = said.episode_id AND ep.acknowledged_at IS NULL
    )

    SELECT coalesce(array_agg(DISTINCT later.alert_id), '{}') INTO unfinished FROM later;

    WITH word AS MATERIALIZED (
        SELECT
            e.alert_id,
            e.event,
            CASE WHEN e.occurred_at BETWEEN '1970-01-01 00:00:00Z' AND now() THEN e.occurred_at ELSE now() END AS occurred_at,
            m.episode_id,
            coalesce('e' || m.episode_id, 'a' || e.alert_id) AS run,
            ep.closed_at IS NOT NULL AND e.event = 'acknowledged' AS too_late,
            spoken.actor,
            spoken.note
        FROM unnest(p_alert_ids, p_events, p_occurred_at) AS e (alert_id, event, occurred_at)
        LEFT JOIN pggit.alert_episode_member AS m ON e.alert_id = m.alert_id
        LEFT JOIN pggit.alert_episode AS ep ON m.episode_id = ep.episode_id
        LEFT JOIN LATERAL pggit.latest_lifecycle_event(e.alert_id, e.event) AS spoken ON TRUE
        WHERE e.event <> 'triggered' AND e.alert_id <> ALL (unfinished)
    ),

    member AS MATERIALIZED (
        SELECT run.run, newest.alert_id
        FROM (SELECT DISTINCT word.run, word.episode_id FROM word WHERE word.episode_id IS NOT NULL) AS run
        CROSS JOIN LATERAL (
            (
                SELECT m.alert_id
                FROM pggit.alert_episode_member AS m
                WHERE m.episode_id = run.episode_id
                ORDER BY m.occurred_at DESC, m.alert_id DESC
                LIMIT 1000
            )
            UNION
            (
                SELECT m.alert_id
                FROM pggit.alert_episode_member AS m
                WHERE m.episode_id = run.episode_id
                ORDER BY m.occurred_at, m.alert_id
                LIMIT 1000
            )
        ) AS newest
        UNION
        SELECT word.run, word.alert_id FROM word
    ),

    history AS MATERIALIZED (
        SELECT member.run, q.queue_id, q.alert_id, q.setting_id, q.event, q.status, q.alert ->> 'actor' AS actor,
            q.alert ->> 'note' AS note
        FROM member
        INNER JOIN pggit.alert_notification_queue AS q ON member.alert_id = q.alert_id
        WHERE q.event <> 'triggered' OR q.status IN ('sent', 'pending')
    ),

    target AS MATERIALIZED (
        SELECT DISTINCT ON (word.run, word.event, word.actor, word.note, told.setting_id)
            word.*, told.setting_id, told.queue_id
        FROM word
        INNER JOIN history AS told ON word.run = told.run AND told.event = 'triggered'
        WHERE NOT word.too_late
            AND NOT EXISTS (
                SELECT FROM history AS before
                WHERE before.run = word.run AND before.setting_id = told.setting_id AND before.event = word.event
                    AND before.actor IS NOT DISTINCT FROM word.actor AND before.note IS NOT DISTINCT FROM word.note
            )
        ORDER BY word.run, word.event, word.actor, word.note, told.setting_id, word.alert_id DESC,
            told.alert_id = word.alert_id DESC, told.queue_id DESC
    ),

    -- A broken config may be a megabyte, so each setting is looked at once.
    setting AS MATERIALIZED (
        SELECT
            s.setting_id, lower(btrim(left(s.notification_channel, 60))) AS channel, s.recipient, s.destination_key,
            s.enabled, s.send_acknowledged, s.send_resolved,
            pggit.notification_setting_problem(s.notification_channel, e.config) AS problem
        FROM pggit.alert_notification_settings AS s
        INNER JOIN pggit.effective_notification_config AS e ON s.setting_id = e.setting_id
        WHERE s.setting_id IN (SELECT target.setting_id FROM target)
    ),

    queue AS (
        INSERT INTO pggit.alert_notification_queue (
            alert_id, channel, recipient, message, metadata, setting_id, urgency, event, group_key, destination_key,
            alert, occurred_at, next_attempt_at, give_up_at, status, error_message, processed_at
        )
        SELECT
            t.alert_id,
            s.channel,
            coalesce(s.recipient, '(none)'),
            q.message,
            q.metadata,
            t.setting_id,
            q.urgency,
            t.event,
            q.group_key,
            coalesce(s.destination_key, ''),
            (q.alert - 'note' - 'actor') || jsonb_strip_nulls(jsonb_build_object(
                'alert_id', t.alert_id, 'episode', t.episode_id, 'actor', t.actor, 'note', t.note,
                'began_at', coalesce(ep.started_at, q.occurred_at)
            )),
            t.occurred_at,
            CASE WHEN s.enabled THEN now() ELSE 'infinity' END,
            now() + least(greatest(q.give_up_at - q.created_at, interval '4 hours'), interval '30 days'),
            CASE WHEN s.problem IS NULL THEN 'pending' ELSE 'failed' END,
            'setting ' || t.setting_id || ': ' || s.problem,
            CASE WHEN s.problem IS NOT NULL THEN now() END
        FROM target AS t
        INNER JOIN setting AS s ON t.setting_id = s.setting_id
        INNER JOIN pggit.alert_notification_queue AS q ON t.queue_id = q.queue_id
        LEFT JOIN pggit.alert_episode AS ep ON t.episode_id = ep.episode_id
        WHERE CASE t.event WHEN 'acknowledged' THEN s.send_acknowledged ELSE s.send_resolved END
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
            word.alert_id, NULL, NULL, word.event, 'none', '(none)', 'suppressed', why.reason,
            CASE why.reason
                WHEN 'already_resolved' THEN 'the alert was resolved before this acknowledgement was routed'
                WHEN 'nobody_was_told' THEN 'no setting was told of the alert, so none hears what became of it'
                ELSE 'all who were told of the episode have heard this already, or do not want to'
            END
        FROM word
        CROSS JOIN LATERAL (
            SELECT CASE
                WHEN word.too_late THEN 'already_resolved'
                WHEN NOT EXISTS (SELECT FROM history WHERE history.run = word.run AND history.event = 'triggered')
                    THEN 'nobody_was_told'
                ELSE 'already_told'
            END AS reason
        ) AS why
        WHERE NOT EXISTS (SELECT FROM queue WHERE queue.alert_id = word.alert_id AND queue.event = word.event)
            AND NOT EXISTS (SELECT FROM history WHERE history.alert_id = word.alert_id AND history.event = word.event)
        RETURNING alert_notification_log.status, alert_notification_log.reason
    )

    SELECT
        count(*),
        coalesce(
            (
                SELECT jsonb_object_agg(l.reason, l.times)
                FROM (SELECT reason, count(*) AS times FROM logged WHERE status = 'suppressed' GROUP BY reason) AS l
            ), '{}'
        ),
        array_agg(queue.queue_id)
    INTO queued, suppressed, v_queued
    FROM queue
    WHERE queue.status = 'pending';

    -- What waits for the interval of its setting to be over goes along now: else this would wait for it.
    IF v_queued IS NOT NULL THEN
        UPDATE pggit.alert_notification_queue AS q
        SET next_attempt_at = now()
        WHERE q.queue_id = ANY (ARRAY(
            SELECT n.queue_id
            FROM pggit.alert_notification_queue AS sequel
            INNER JOIN pggit.alert_notification_queue AS n
                ON sequel.setting_id = n.setting_id AND sequel.group_key = n.group_key
            WHERE sequel.queue_id = ANY (v_queued)
                AND n.status = 'pending' AND n.event = 'triggered' AND n.claimed_by IS NULL AND n.attempt = 0
                AND n.next_attempt_at > now() AND n.next_attempt_at < 'infinity'
                AND n.alert ->> 'episode' IS NOT DISTINCT FROM sequel.alert ->> 'episode'
            FOR UPDATE OF n SKIP LOCKED
        ));
    END IF;
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION pggit.queue_lifecycle_notifications(bigint [], text [], timestamptz []) IS
'Routes acknowledged and resolved to those who were told; used by queue_alert_notifications.';

REVOKE EXECUTE ON FUNCTION pggit.queue_lifecycle_notifications(bigint [], text [], timestamptz []) FROM PUBLIC;
