-- When a setting is switched off or on, what waits for it is parked or freed in the same transaction. What was parked
-- for a setting that is now deleted is freed too: it then fails, saying so, instead of waiting for ever. When a setting
-- names another endpoint, what waits for it waits there from then on, and no longer behind the old one's breaker.
CREATE OR REPLACE FUNCTION pggit.follow_notification_setting()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        UPDATE pggit.alert_notification_queue AS q
        SET next_attempt_at = now()
        WHERE q.setting_id = OLD.setting_id AND q.status = 'pending' AND q.next_attempt_at = 'infinity';
        IF FOUND THEN
            PERFORM pg_notify('pggit_alert', '');
        END IF;
        RETURN NULL;
    END IF;
    IF NEW.destination_key IS DISTINCT FROM OLD.destination_key AND NEW.destination_key IS NOT NULL THEN
        UPDATE pggit.alert_notification_queue AS q
        SET
            channel = lower(btrim(NEW.notification_channel)),
            destination_key = coalesce(e.destination_key, NEW.destination_key),
            recipient = e.recipient,
            next_attempt_at = CASE WHEN q.attempt > 0 AND q.next_attempt_at < 'infinity' THEN now() ELSE q.next_attempt_at END
        -- While an on-call shift is on, the setting still reaches the shift.
        FROM pggit.effective_notification_config AS e
        WHERE e.setting_id = NEW.setting_id AND q.queue_id = ANY (ARRAY(
            SELECT w.queue_id
            FROM pggit.alert_notification_queue AS w
            WHERE w.status = 'pending' AND w.setting_id = NEW.setting_id AND w.claimed_by IS NULL
            ORDER BY w.queue_id
            FOR UPDATE OF w SKIP LOCKED
        ));
        IF FOUND THEN
            PERFORM pg_notify('pggit_alert', '');
        END IF;
    END IF;
    IF pggit.hold_disabled_notifications(ARRAY[NEW.setting_id]) > 0 AND NEW.enabled THEN
        PERFORM pg_notify('pggit_alert', '');
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION pggit.follow_notification_setting() IS
'Trigger: parks, frees or redirects waiting notifications when a setting is switched off or on, deleted, or moved.';

CREATE OR REPLACE TRIGGER follow_notification_setting
AFTER UPDATE ON pggit.alert_notification_settings
FOR EACH ROW WHEN (
    old.enabled IS DISTINCT FROM new.enabled OR old.destination_key IS DISTINCT FROM new.destination_key
)
EXECUTE FUNCTION pggit.follow_notification_setting();

CREATE OR REPLACE TRIGGER follow_deleted_notification_setting
AFTER DELETE ON pggit.alert_notification_settings
FOR EACH ROW EXECUTE FUNCTION pggit.follow_notification_setting();

REVOKE EXECUTE ON FUNCTION pggit.follow_notification_setting() FROM PUBLIC;
