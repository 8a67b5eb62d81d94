-- Close the breaker, and end the pause, of endpoints that no setting and no shift names any more and for which nothing
-- waits: nothing will ever be sent there that could close it, and somebody would be told of it for ever.
-- Whoever has an endpoint locked is not waited for; the next round comes.
CREATE OR REPLACE FUNCTION pggit.close_unused_breakers()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_closed integer;
BEGIN
    UPDATE pggit.alert_destination AS d
    SET
        opened_at = NULL, open_until = NULL, open_reason = NULL, open_count = 0, consecutive_failures = 0,
        paused_until = NULL, paused_since = NULL
    WHERE d.destination_key = ANY (ARRAY(
        SELECT unused.destination_key
        FROM pggit.alert_destination AS unused
        WHERE (unused.opened_at IS NOT NULL OR unused.paused_until > now())
            AND NOT EXISTS (
                SELECT FROM pggit.alert_notification_settings AS s WHERE s.destination_key = unused.destination_key
            )
            AND NOT EXISTS (SELECT FROM pggit.oncall_shift AS o WHERE o.destination_key = unused.destination_key)
            AND NOT EXISTS (
                SELECT FROM pggit.alert_notification_queue AS q
                WHERE q.status = 'pending' AND q.channel = unused.channel AND q.urgency IN (0, 1)
                    AND q.destination_key = unused.destination_key
            )
        FOR UPDATE OF unused SKIP LOCKED
    ));
    GET DIAGNOSTICS v_closed = ROW_COUNT;
    RETURN v_closed;
END
$$;

COMMENT ON FUNCTION pggit.close_unused_breakers() IS
'Closes breakers of endpoints that nothing names any more; returns how many. The daemon''s upkeep calls it.';

REVOKE EXECUTE ON FUNCTION pggit.close_unused_breakers() FROM PUBLIC;
