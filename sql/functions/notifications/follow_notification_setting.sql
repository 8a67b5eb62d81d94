-- When a setting is switched off or on, what waits for it is parked or freed in the same transaction. What was parked
-- for a setting that is now deleted is freed too: it then fails, saying so, instead of waiting for ever.
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
    IF pggit.hold_disabled_notifications(ARRAY[NEW.setting_id]) > 0 AND NEW.enabled THEN
        PERFORM pg_notify('pggit_alert', '');
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION pggit.follow_notification_setting() IS
'Trigger: parks or frees waiting notifications when a setting is switched off, switched on or deleted.';

CREATE OR REPLACE TRIGGER follow_notification_setting
AFTER UPDATE OF enabled ON pggit.alert_notification_settings
FOR EACH ROW WHEN (old.enabled IS DISTINCT FROM new.enabled)
EXECUTE FUNCTION pggit.follow_notification_setting();

CREATE OR REPLACE TRIGGER follow_deleted_notification_setting
AFTER DELETE ON pggit.alert_notification_settings
FOR EACH ROW EXECUTE FUNCTION pggit.follow_notification_setting();
