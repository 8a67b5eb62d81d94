-- Fail what has waited past its retry horizon for a destination whose breaker is open, or that has asked for a pause:
-- nobody claims such rows, so nobody else would. The oldest of each lane are looked at; they are the first whose time
-- is over. What a disabled setting holds is not among them: that time is not held against it.
CREATE OR REPLACE FUNCTION pggit.give_up_behind_open_breakers(p_limit integer DEFAULT 1000)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_given_up integer;
BEGIN
    WITH late AS MATERIALIZED (
        SELECT q.queue_id, d.last_error
        FROM pggit.alert_destination AS d
        CROSS JOIN unnest(ARRAY[0, 1]::smallint[]) AS lane (urgency)
        CROSS JOIN LATERAL (
            SELECT n.queue_id, n.give_up_at
            FROM pggit.alert_notification_queue AS n
            WHERE n.status = 'pending'
                AND n.channel = d.channel
                AND n.urgency = lane.urgency
                AND n.destination_key = d.destination_key
                AND (n.claimed_by IS NULL OR n.next_attempt_at <= now())
                AND n.next_attempt_at < 'infinity'
            ORDER BY n.next_attempt_at
            LIMIT p_limit
            FOR UPDATE OF n SKIP LOCKED
        ) AS q
        WHERE (d.opened_at IS NOT NULL OR d.paused_until > now()) AND q.give_up_at <= now()
    ),

    failed AS (
        UPDATE pggit.alert_notification_queue AS q
        SET
            status = 'failed',
            processed_at = now(),
            claimed_by = NULL,
            claimed_at = NULL,
            leader_id = NULL,
            error_message = 'the retry horizon passed while the destination was broken'
                || coalesce(': ' || (SELECT late.last_error FROM late WHERE late.queue_id = q.queue_id), '')
        WHERE q.queue_id = ANY (ARRAY(SELECT late.queue_id FROM late))
        RETURNING q.*
    ),

    logged AS (
        INSERT INTO pggit.alert_notification_log (
            alert_id, queue_id, setting_id, claim_no, event, channel, recipient, attempt, status, reason, error_message,
            destination_key
        )
        SELECT
            f.alert_id, f.queue_id, f.setting_id, f.claim_no, f.event, f.channel, f.recipient, f.attempt, 'failed',
            'expired', f.error_message, f.destination_key
        FROM failed AS f
    ),

    -- As where the daemon gives one up: a first message that told nobody leaves its group as loud as it was.
    unheard AS (
        UPDATE pggit.alert_group AS g
        SET quiet_until = now()
        FROM failed AS f
        WHERE g.setting_id = f.setting_id AND g.leader_id = f.queue_id AND g.quiet_until > now()
        RETURNING g.setting_id, g.group_key, g.urgency
    ),

    hushed AS MATERIALIZED (
        SELECT q.queue_id
        FROM unheard AS u
        INNER JOIN pggit.alert_notification_queue AS q ON u.setting_id = q.setting_id AND u.group_key = q.group_key
        WHERE q.status = 'pending' AND q.urgency = u.urgency AND q.claimed_by IS NULL AND q.attempt = 0
            AND q.next_attempt_at > now() AND q.next_attempt_at < 'infinity'
        FOR UPDATE OF q SKIP LOCKED
    ),

    hastened AS (
        UPDATE pggit.alert_notification_queue AS q
        SET next_attempt_at = now()
        WHERE q.queue_id = ANY (ARRAY(SELECT hushed.queue_id FROM hushed))
    )

    SELECT count(*) INTO v_given_up FROM failed;
    RETURN v_given_up;
END
$$;

COMMENT ON FUNCTION pggit.give_up_behind_open_breakers(integer) IS
'Fails notifications whose retry horizon passed while their destination''s breaker is open; returns how many.';

REVOKE EXECUTE ON FUNCTION pggit.give_up_behind_open_breakers(integer) FROM PUBLIC;
