-- Let what waits for a setting wait for the endpoint that the setting reaches now, behind its breaker and in its lane.
-- A shift that began or ended leaves rows behind at another endpoint, which may be broken while this one works; and a
-- setting that was changed leaves those behind that were under way or being acknowledged at that moment, for the
-- trigger that moves the others waits for no lock. For one setting, also what waits at an endpoint it no longer names;
-- else for all that have shifts or were changed within a quarter of an hour. Leases last a minute as shipped; what
-- a worker that died holds for longer goes where its setting reaches too, but at the old endpoint's pace.
-- Reads alert_notification_queue_due at the endpoints where nothing should be any more, so as a rule nothing.
CREATE OR REPLACE FUNCTION pggit.follow_moved_endpoints(
    p_setting_id integer DEFAULT NULL, p_former_key text DEFAULT NULL, p_limit integer DEFAULT 1000
)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_moved integer;
BEGIN
    WITH changed AS MATERIALIZED (
        SELECT
            a.setting_id,
            lower(btrim(a.before ->> 'notification_channel')) AS channel,
            a.before ->> 'destination_key' AS destination_key
        FROM (
            SELECT n.setting_id, n.action, n.changed_at, n.before, n.after
            FROM pggit.notification_settings_audit AS n
            ORDER BY n.audit_id DESC
            LIMIT 200
        ) AS a
        WHERE p_setting_id IS NULL
            AND a.action = 'UPDATE'
            AND a.changed_at > now() - interval '15 minutes'
            AND a.before ->> 'destination_key' IS DISTINCT FROM a.after ->> 'destination_key'
    ),

    reached AS MATERIALIZED (
        SELECT
            e.setting_id, e.destination_key, e.recipient, s.destination_key AS own_key,
            lower(btrim(s.notification_channel)) AS channel
        FROM pggit.effective_notification_config AS e
        INNER JOIN pggit.alert_notification_settings AS s ON e.setting_id = s.setting_id
        WHERE e.destination_key IS NOT NULL
            AND CASE
                WHEN p_setting_id IS NULL THEN e.setting_id IN (
                    SELECT o.setting_id FROM pggit.oncall_shift AS o
                    UNION ALL
                    SELECT changed.setting_id FROM changed
                )
                ELSE e.setting_id = p_setting_id
            END
    ),

    endpoint AS MATERIALIZED (
        SELECT r.setting_id, r.channel, r.own_key AS destination_key FROM reached AS r
        UNION
        SELECT r.setting_id, r.channel, o.destination_key
        FROM reached AS r
        INNER JOIN pggit.oncall_shift AS o ON r.setting_id = o.setting_id
        UNION
        SELECT r.setting_id, r.channel, p_former_key FROM reached AS r
        UNION
        SELECT changed.setting_id, changed.channel, changed.destination_key FROM changed
    ),

    stray AS MATERIALIZED (
        SELECT q.queue_id, r.channel, r.destination_key, r.recipient
        FROM reached AS r
        INNER JOIN endpoint AS e ON r.setting_id = e.setting_id AND r.destination_key <> e.destination_key
        CROSS JOIN unnest(ARRAY[0, 1]::smallint []) AS lane (urgency)
        CROSS JOIN LATERAL (
            SELECT n.queue_id
            FROM pggit.alert_notification_queue AS n
            WHERE n.status = 'pending'
                AND n.channel = e.channel
                AND n.urgency = lane.urgency
                AND n.destination_key = e.destination_key
                AND n.setting_id = r.setting_id
                AND (n.claimed_by IS NULL OR n.next_attempt_at <= now())
            ORDER BY n.next_attempt_at
            LIMIT p_limit
            FOR UPDATE OF n SKIP LOCKED
        ) AS q
    )

    -- What waited for a second try waited for the other endpoint.
    UPDATE pggit.alert_notification_queue AS q
    SET
        channel = s.channel,
        destination_key = s.destination_key,
        recipient = s.recipient,
        next_attempt_at = CASE
            WHEN q.claimed_by IS NULL AND q.attempt > 0 AND q.next_attempt_at < 'infinity' THEN now()
            ELSE q.next_attempt_at
        END
    FROM stray AS s
    WHERE q.queue_id = ANY (ARRAY(SELECT stray.queue_id FROM stray)) AND q.queue_id = s.queue_id;
    GET DIAGNOSTICS v_moved = ROW_COUNT;
    IF v_moved > 0 THEN
        PERFORM pg_notify('pggit_alert', '');
    END IF;
    RETURN v_moved;
END
$$;

COMMENT ON FUNCTION pggit.follow_moved_endpoints(integer, text, integer) IS
'Moves what waits at an endpoint that its setting no longer reaches to the one it reaches now; returns how many. The daemon''s upkeep calls it.';

REVOKE EXECUTE ON FUNCTION pggit.follow_moved_endpoints(integer, text, integer) FROM PUBLIC;
