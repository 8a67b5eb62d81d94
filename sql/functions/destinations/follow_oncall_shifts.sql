-- Let what waits for a setting with on-call shifts wait for the endpoint that the setting reaches now, behind its
-- breaker and in its lane: a shift that began or ended leaves rows behind at another endpoint, which may be broken
-- while this one works. For one setting, also what waits at an endpoint it no longer names; else for all that have
-- shifts.
-- Reads alert_notification_queue_due at the endpoints where nothing should be any more, so as a rule nothing.
CREATE OR REPLACE FUNCTION pggit.follow_oncall_shifts(
    p_setting_id integer DEFAULT NULL, p_former_key text DEFAULT NULL, p_limit integer DEFAULT 1000
)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_moved integer;
BEGIN
    WITH reached AS MATERIALIZED (
        SELECT
            e.setting_id, e.destination_key, e.recipient, s.destination_key AS own_key,
            lower(btrim(s.notification_channel)) AS channel
        FROM pggit.effective_notification_config AS e
        INNER JOIN pggit.alert_notification_settings AS s ON e.setting_id = s.setting_id
        WHERE e.destination_key IS NOT NULL
            AND CASE
                WHEN p_setting_id IS NULL THEN e.setting_id IN (SELECT o.setting_id FROM pggit.oncall_shift AS o)
                ELSE e.setting_id = p_setting_id
            END
    ),

    endpoint AS MATERIALIZED (
        SELECT r.setting_id, r.own_key AS destination_key FROM reached AS r
        UNION
        SELECT o.setting_id, o.destination_key FROM pggit.oncall_shift AS o
        UNION
        SELECT p_setting_id, p_former_key
    ),

    stray AS MATERIALIZED (
        SELECT q.queue_id, r.destination_key, r.recipient
        FROM reached AS r
        INNER JOIN endpoint AS e ON r.setting_id = e.setting_id AND r.destination_key <> e.destination_key
        CROSS JOIN unnest(ARRAY[0, 1]::smallint []) AS lane (urgency)
        CROSS JOIN LATERAL (
            SELECT n.queue_id
            FROM pggit.alert_notification_queue AS n
            WHERE n.status = 'pending'
                AND n.channel = r.channel
                AND n.urgency = lane.urgency
                AND n.destination_key = e.destination_key
                AND n.setting_id = r.setting_id
                AND n.claimed_by IS NULL
            ORDER BY n.next_attempt_at
            LIMIT p_limit
            FOR UPDATE OF n SKIP LOCKED
        ) AS q
    )

    -- What waited for a second try waited for the other endpoint.
    UPDATE pggit.alert_notification_queue AS q
    SET
        destination_key = s.destination_key,
        recipient = s.recipient,
        next_attempt_at = CASE WHEN q.attempt > 0 AND q.next_attempt_at < 'infinity' THEN now() ELSE q.next_attempt_at END
    FROM stray AS s
    WHERE q.queue_id = ANY (ARRAY(SELECT stray.queue_id FROM stray)) AND q.queue_id = s.queue_id;
    GET DIAGNOSTICS v_moved = ROW_COUNT;
    IF v_moved > 0 THEN
        PERFORM pg_notify('pggit_alert', '');
    END IF;
    RETURN v_moved;
END
$$;

COMMENT ON FUNCTION pggit.follow_oncall_shifts(integer, text, integer) IS
'Moves what waits for settings with on-call shifts to the endpoint each reaches now; returns how many. The daemon''s upkeep calls it.';

REVOKE EXECUTE ON FUNCTION pggit.follow_oncall_shifts(integer, text, integer) FROM PUBLIC;
