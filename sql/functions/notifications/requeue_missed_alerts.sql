-- Give the router the alert events of the last day that a trigger could only note in the log: those with no outbox row,
-- no queue row and no later word in the log.
CREATE OR REPLACE FUNCTION pggit.requeue_missed_alerts()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_requeued integer;
BEGIN
    INSERT INTO pggit.alert_outbox (alert_id, event, occurred_at)
    SELECT missed.alert_id, missed.event, min(missed.sent_at)
    FROM pggit.alert_notification_log AS missed
    WHERE missed.reason = 'not_queued'
        AND missed.sent_at > now() - interval '1 day'
        AND NOT EXISTS (
            SELECT FROM pggit.alert_notification_queue AS q
            WHERE q.alert_id = missed.alert_id AND q.event = missed.event
        )
        AND NOT EXISTS (
            SELECT FROM pggit.alert_notification_log AS l
            WHERE l.alert_id = missed.alert_id AND l.event = missed.event AND l.reason IS DISTINCT FROM 'not_queued'
                AND l.sent_at >= missed.sent_at
        )
    GROUP BY missed.alert_id, missed.event
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS v_requeued = ROW_COUNT;
    RETURN v_requeued;
END
$$;

COMMENT ON FUNCTION pggit.requeue_missed_alerts() IS
'Puts alerts that the trigger could not queue (log reason not_queued) into alert_outbox; returns how many.';

REVOKE EXECUTE ON FUNCTION pggit.requeue_missed_alerts() FROM PUBLIC;
