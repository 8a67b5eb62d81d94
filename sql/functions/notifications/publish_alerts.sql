-- Write one outbox row per new alert and wake the daemon once, within the writer's transaction.
-- Statement-level with a constant payload: a batch costs one NOTIFY. Whatever goes wrong here becomes a warning, for a
-- writer's transaction must never fail because of alerting, nor wait for it longer than the lock_timeout. Runs as its
-- owner, so writers need no new grant.
-- NOTIFY can't be caught here: when its queue is full, it is COMMIT that fails. So a queue that a stuck listener lets
-- fill up gets nothing from us; the daemon then finds the outbox by its poll.
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
    IF FOUND AND pg_notification_queue_usage() < 0.5 THEN
        PERFORM pg_notify('pggit_alert', '');
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'pgGit alert recorded but not queued for notification: % (%)', SQLERRM, SQLSTATE
        USING HINT = 'Queue it with SELECT pggit.notify_on_alert(alert_id) once the cause is mended.';
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION pggit.publish_alerts() IS
'Trigger: hands new alerts to the daemon through alert_outbox and NOTIFY pggit_alert; can''t fail the writer.';

CREATE OR REPLACE TRIGGER publish_alerts
AFTER INSERT ON pggit.performance_alerts
REFERENCING NEW TABLE AS fresh
FOR EACH STATEMENT EXECUTE FUNCTION pggit.publish_alerts();
