-- When a window ends, send what still fires: one notification per setting, operation and type, for the worst of the
-- alerts that were muted, the latest of equals, with a note that says by what and how many.
-- A group still fires if one of its muted alerts came within p_still before the end of its window and is neither
-- acknowledged nor resolved. A window that was cancelled ends at that moment.
-- The chosen alert is routed like any other, for its one setting: a setting that has changed is seen as it is now, and
-- another window that covers the alert keeps its whole group back until that one ends.
-- With nothing due this is two probes of indexes. One replica at a time does it; the others pass by.
CREATE OR REPLACE FUNCTION pggit.release_muted_alerts(
    p_still interval DEFAULT '15 minutes',
    p_horizon_critical interval DEFAULT '24 hours',
    p_horizon interval DEFAULT '4 hours',
    p_limit integer DEFAULT 200
)
RETURNS TABLE (released integer, refused integer, suppressed jsonb)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_alert_ids bigint[];
    v_events text[];
    v_occurred_at timestamptz[];
    v_setting_ids integer[];
    v_notes text[];
    v_group_keys text[];
BEGIN
    released := 0;
    refused := 0;
    suppressed := '{}';
    IF p_limit IS NULL OR p_limit < 1 THEN
        RAISE EXCEPTION 'p_limit is %, it must be one at least', coalesce(p_limit::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT EXISTS (SELECT FROM pggit.alert_muted AS m WHERE m.released_at IS NULL AND m.muted_until <= now())
        AND NOT EXISTS (
            SELECT
            FROM (
                SELECT r.snooze_id, r.ends_at
                FROM pggit.alert_snooze_occurrence AS r
                WHERE r.settled_at IS NULL AND r.starts_at <= now()
                ORDER BY r.starts_at
                OFFSET 0
            ) AS o
            INNER JOIN pggit.alert_snooze AS s ON o.snooze_id = s.snooze_id
            WHERE o.ends_at <= now() OR s.cancelled_at <= now()
        )
        OR NOT pg_try_advisory_xact_lock(hashtextextended('pggit.release_muted_alerts', 0))
    THEN
        RETURN NEXT;
        RETURN;
    END IF;

    -- A router that still saw a window as open may commit after its cancellation, so for a minute it is looked at again.
    UPDATE pggit.alert_muted AS m
    SET muted_until = s.cancelled_at
    FROM pggit.alert_snooze_occurrence AS o
    INNER JOIN pggit.alert_snooze AS s ON o.snooze_id = s.snooze_id
    WHERE o.settled_at IS NULL
        AND o.starts_at <= now()
        AND s.cancelled_at <= now()
        AND m.snooze_id = s.snooze_id
        AND m.released_at IS NULL
        AND m.muted_until > s.cancelled_at;
    UPDATE pggit.alert_snooze_occurrence AS o
    SET settled_at = now()
    FROM pggit.alert_snooze AS s
    WHERE o.snooze_id = s.snooze_id
        AND o.settled_at IS NULL
        AND o.starts_at <= now()
        AND (o.ends_at <= now() OR s.cancelled_at < now() - interval '1 minute');

    WITH muted_group AS MATERIALIZED (
        SELECT m.setting_id, m.group_key
        FROM pggit.alert_muted AS m
        WHERE m.released_at IS NULL AND m.muted_until <= now()
        GROUP BY m.setting_id, m.group_key
        ORDER BY min(m.muted_until)
        LIMIT p_limit
    ),

    due AS MATERIALIZED (
        SELECT
            m.alert_id,
            m.setting_id,
            m.event,
            m.group_key,
            m.occurred_at,
            m.muted_until,
            m.snooze_id,
            CASE coalesce(a.severity, m.severity) WHEN 'CRITICAL' THEN 0 WHEN 'WARNING' THEN 1 ELSE 2 END AS rank,
            CASE
                WHEN a.alert_id IS NULL THEN 'alert_deleted'
                WHEN a.is_acknowledged THEN 'acknowledged'
                WHEN EXISTS (
                    SELECT FROM pggit.alert_episode_member AS r
                    INNER JOIN pggit.alert_episode AS ep ON r.episode_id = ep.episode_id
                    WHERE r.alert_id = m.alert_id AND ep.closed_at IS NOT NULL
                ) OR EXISTS (
                    SELECT FROM pggit.alert_outbox AS r WHERE r.alert_id = m.alert_id AND r.event = 'resolved'
                ) THEN 'resolved'
                WHEN n.setting_id IS NULL THEN 'setting_off'
                WHEN EXISTS (
                    SELECT FROM pggit.alert_notification_queue AS q
                    WHERE q.alert_id = m.alert_id AND q.event = m.event AND q.setting_id = m.setting_id
                ) THEN 'sent_by_hand'
            END AS closed
        FROM pggit.alert_muted AS m
        INNER JOIN muted_group AS g ON m.setting_id = g.setting_id AND m.group_key = g.group_key
        LEFT JOIN pggit.performance_alerts AS a ON m.alert_id = a.alert_id
        LEFT JOIN pggit.alert_notification_settings AS n ON m.setting_id = n.setting_id AND n.enabled
        WHERE m.released_at IS NULL AND m.muted_until <= now()
    ),

    verdict AS MATERIALIZED (
        SELECT
            d.*,
            bool_or(d.closed IS NULL AND d.occurred_at > d.muted_until - coalesce(p_still, '15 minutes')) OVER g AS fires,
            count(*) OVER g AS muted,
            min(d.occurred_at) OVER g AS first_at,
            row_number() OVER (
                PARTITION BY d.setting_id, d.group_key
                ORDER BY d.closed IS NULL DESC, d.rank, d.occurred_at DESC, d.alert_id DESC
            ) AS place
        FROM due AS d
        WINDOW g AS (PARTITION BY d.setting_id, d.group_key)
    ),

    settled AS (
        UPDATE pggit.alert_muted AS m
        SET
            released_at = now(),
            outcome = coalesce(
                v.closed, CASE WHEN NOT v.fires THEN 'over' WHEN v.place = 1 THEN 'sent' ELSE 'folded' END
            )
        FROM verdict AS v
        WHERE m.alert_id = v.alert_id AND m.setting_id = v.setting_id AND m.event = v.event
    ),

    chosen AS (
        SELECT
            v.*,
            format(
                'Was muted by %s %s until %s UTC (%s, set by %s). %s',
                CASE WHEN s.schedule IS NULL THEN 'snooze' ELSE 'maintenance window' END,
                v.snooze_id,
                to_char(v.muted_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
                left(s.reason, 200),
                left(s.created_by, 63),
                CASE v.muted
                    WHEN 1 THEN 'It still fired at the end.'
                    ELSE format(
                        'The worst of %s alerts that were muted since %s UTC; it still fired at the end.',
                        v.muted, to_char(v.first_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')
                    )
                END
            ) AS note
        FROM verdict AS v
        LEFT JOIN pggit.alert_snooze AS s ON v.snooze_id = s.snooze_id
        WHERE v.fires AND v.place = 1
    )

    SELECT
        array_agg(c.alert_id ORDER BY c.rank, c.alert_id, c.setting_id),
        array_agg(c.event ORDER BY c.rank, c.alert_id, c.setting_id),
        array_agg(c.occurred_at ORDER BY c.rank, c.alert_id, c.setting_id),
        array_agg(c.setting_id ORDER BY c.rank, c.alert_id, c.setting_id),
        array_agg(c.note ORDER BY c.rank, c.alert_id, c.setting_id),
        array_agg(c.group_key ORDER BY c.rank, c.alert_id, c.setting_id)
    INTO v_alert_ids, v_events, v_occurred_at, v_setting_ids, v_notes, v_group_keys
    FROM chosen AS c;
    IF v_alert_ids IS NULL THEN
        RETURN NEXT;
        RETURN;
    END IF;

    BEGIN
        SELECT r.queued, r.refused, r.suppressed INTO released, refused, suppressed
        FROM pggit.queue_alert_notifications(
            v_alert_ids, v_events, v_occurred_at, p_horizon_critical, p_horizon, v_setting_ids, v_notes
        ) AS r;
    EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded OR raise_exception THEN
        SELECT r.queued, r.refused, r.suppressed INTO released, refused, suppressed
        FROM pggit.queue_alerts_one_by_one(
            v_alert_ids, v_events, v_occurred_at, p_horizon_critical, p_horizon, v_setting_ids, v_notes
        ) AS r;
    END;

    -- Where the chosen one is muted again, by another window, all of its group wait for that window.
    UPDATE pggit.alert_muted AS m
    SET released_at = NULL, outcome = NULL, snooze_id = again.snooze_id, muted_until = again.muted_until
    FROM unnest(v_alert_ids, v_setting_ids, v_events, v_group_keys) AS c (alert_id, setting_id, event, group_key)
    INNER JOIN pggit.alert_muted AS again
        ON c.alert_id = again.alert_id AND c.setting_id = again.setting_id AND c.event = again.event
    WHERE again.released_at IS NULL
        AND m.setting_id = c.setting_id
        AND m.group_key = c.group_key
        AND m.released_at = now()
        AND m.outcome = 'folded';
    -- Its setting may match it no more.
    UPDATE pggit.alert_muted AS m
    SET outcome = 'setting_off'
    FROM unnest(v_alert_ids, v_setting_ids, v_events, v_group_keys) AS c (alert_id, setting_id, event, group_key)
    WHERE m.setting_id = c.setting_id
        AND m.group_key = c.group_key
        AND m.released_at = now()
        AND m.outcome IN ('sent', 'folded')
        AND NOT EXISTS (
            SELECT FROM pggit.alert_notification_queue AS q
            WHERE q.alert_id = c.alert_id AND q.event = c.event AND q.setting_id = c.setting_id
        );
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION pggit.release_muted_alerts(interval, interval, interval, integer) IS
'Sends, once per setting, operation and type, what still fires of the alerts whose window has ended; returns how many. The daemon calls it; calling it from psql is safe at any time.';

REVOKE EXECUTE ON FUNCTION pggit.release_muted_alerts(interval, interval, interval, integer) FROM PUBLIC;
