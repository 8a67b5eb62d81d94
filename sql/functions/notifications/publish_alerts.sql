-- Write one outbox row per new alert and wake the daemon once, within the writer's transaction.
-- Statement-level with a constant payload: a batch costs one NOTIFY. Whatever goes wrong here becomes a warning, for a
-- writer's transaction must never fail because of alerting, nor wait for it longer than the lock_timeout. Runs as its
-- owner, so writers need no new grant.
-- NOTIFY can't be caught here: when its queue is full, it is COMMIT that fails. So a queue that a stuck listener lets
-- fill up gets nothing from us; the daemon then finds the outbox by its poll. PREPARE TRANSACTION fails after NOTIFY:
-- roles that use it are set pggit_alertd.notify = 'off'.
-- What can't go into the outbox is noted in the log instead, from where requeue_missed_alerts fetches it.
CREATE OR REPLACE FUNCTION pggit.publish_alerts()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
SET lock_timeout = '500ms'
AS $$
BEGIN
    INSERT INTO pggit.alert_outbox (alert_id)
    SELECT fresh.alert_id FROM fresh
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
    RAISE WARNING 'pgGit alert recorded but not queued for notification: % (%)', SQLERRM, SQLSTATE
        USING HINT = 'Queue it with SELECT pggit.notify_on_alert(alert_id) once the cause is mended.';
    BEGIN
        INSERT INTO pggit.alert_notification_log
        (alert_id, event, channel, recipient, status, reason, error_message)
        SELECT fresh.alert_id, 'triggered', 'none', '(none)', 'suppressed', 'not_queued', left(SQLERRM, 500)
        FROM fresh;
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'nor could this be logged: % (%)', SQLERRM, SQLSTATE;
    END;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION pggit.publish_alerts() IS
'Trigger: hands new alerts to the daemon through alert_outbox and NOTIFY pggit_alert; can''t fail the writer.';

CREATE OR REPLACE TRIGGER publish_alerts
AFTER INSERT ON pggit.performance_alerts
REFERENCING NEW TABLE AS fresh
FOR EACH STATEMENT EXECUTE FUNCTION pggit.publish_alerts();

REVOKE EXECUTE ON FUNCTION pggit.publish_alerts() FROM PUBLIC;
