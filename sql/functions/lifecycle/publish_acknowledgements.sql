-- Hand acknowledgements to the daemon, within the transaction of whoever acknowledges, by function or by plain UPDATE.
-- Statement-level: a thousand alerts acknowledged at once are one NOTIFY. The promises are publish_alerts': it can't
-- fail the writer, waits half a second at most, and runs as its owner, so that nobody needs a new grant. PostgreSQL
-- allows no column list beside transition tables, so every UPDATE comes by here; one that acknowledges nothing costs
-- one join.
CREATE OR REPLACE FUNCTION pggit.publish_acknowledgements()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
SET lock_timeout = '500ms'
AS $$
BEGIN
    WITH taken AS MATERIALIZED (
        SELECT
            fresh.alert_id,
            left(fresh.acknowledged_by, 200) AS actor,
            left(fresh.resolution_notes, 1000) AS note
        FROM fresh
        INNER JOIN stale ON fresh.alert_id = stale.alert_id
        WHERE fresh.is_acknowledged AND stale.is_acknowledged IS NOT TRUE
    ),

    recorded AS (
        INSERT INTO pggit.alert_lifecycle_event (alert_id, event, actor, role_name, note)
        SELECT taken.alert_id, 'acknowledged', taken.actor, session_user, taken.note
        FROM taken
        ORDER BY taken.alert_id
    )

    INSERT INTO pggit.alert_outbox (alert_id, event)
    SELECT taken.alert_id, 'acknowledged'
    FROM taken
    ORDER BY taken.alert_id
    ON CONFLICT DO NOTHING;
    IF
        FOUND
        AND pg_notification_queue_usage() < 0.5
        AND current_setting('pggit_alertd.notify', TRUE) IS DISTINCT FROM 'off'
    THEN
        PERFORM pg_notify('pggit_alert', '');
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'acknowledged, but those who were told of the alert may not hear of it: % (%)', SQLERRM, SQLSTATE;
    BEGIN
        INSERT INTO pggit.alert_notification_log
        (alert_id, event, channel, recipient, status, reason, error_message)
        SELECT fresh.alert_id, 'acknowledged', 'none', '(none)', 'suppressed', 'not_queued', left(SQLERRM, 500)
        FROM fresh
        INNER JOIN stale ON fresh.alert_id = stale.alert_id
        WHERE fresh.is_acknowledged AND stale.is_acknowledged IS NOT TRUE;
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'nor could this be logged: % (%)', SQLERRM, SQLSTATE;
    END;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION pggit.publish_acknowledgements() IS
'Trigger: records who acknowledged and hands it to the daemon through alert_outbox; can''t fail the writer.';

CREATE OR REPLACE TRIGGER publish_acknowledgements
AFTER UPDATE ON pggit.performance_alerts
REFERENCING OLD TABLE AS stale NEW TABLE AS fresh
FOR EACH STATEMENT EXECUTE FUNCTION pggit.publish_acknowledgements();

REVOKE EXECUTE ON FUNCTION pggit.publish_acknowledgements() FROM PUBLIC;
