-- Refuse what a constraint would refuse, before it does. PostgreSQL's own error for NOT NULL and CHECK writes the whole
-- row into the server's log ("Failing row contains ..."), webhook and all; this names the column and the mend instead.
-- Its name puts it before the other triggers, which would read the NULL.
CREATE OR REPLACE FUNCTION pggit.check_notification_setting()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_column text := CASE
        WHEN NEW.setting_id IS NULL THEN 'setting_id'
        WHEN NEW.alert_type IS NULL THEN 'alert_type'
        WHEN NEW.severity IS NULL THEN 'severity'
        WHEN NEW.notification_channel IS NULL THEN 'notification_channel'
        WHEN NEW.operation_pattern IS NULL THEN 'operation_pattern'
        WHEN NEW.group_by IS NULL THEN 'group_by'
        WHEN NEW.created_at IS NULL THEN 'created_at'
        WHEN NEW.send_acknowledged IS NULL THEN 'send_acknowledged'
        WHEN NEW.send_resolved IS NULL THEN 'send_resolved'
    END;
BEGIN
    IF v_column IS NOT NULL THEN
        RAISE EXCEPTION 'notification setting %: % must not be NULL', coalesce(NEW.setting_id::text, '(new)'), v_column
            USING ERRCODE = 'not_null_violation', SCHEMA = 'pggit', TABLE = 'alert_notification_settings',
            COLUMN = v_column,
            HINT = CASE v_column
                WHEN 'alert_type' THEN 'Give THRESHOLD_EXCEEDED, ANOMALY or DEGRADATION, or * for all.'
                WHEN 'severity' THEN 'Give CRITICAL, WARNING or INFO, or * for all.'
                WHEN 'notification_channel' THEN 'Name the channel, such as email, slack or pagerduty.'
                ELSE 'Leave the column out, or give DEFAULT.'
            END;
    END IF;
    IF NEW.min_interval < interval '0' THEN
        RAISE EXCEPTION 'notification setting %: min_interval must not be negative (%)',
            NEW.setting_id, 'alert_notification_settings_min_interval_not_negative'
            USING ERRCODE = 'check_violation', SCHEMA = 'pggit', TABLE = 'alert_notification_settings',
            COLUMN = 'min_interval', CONSTRAINT = 'alert_notification_settings_min_interval_not_negative',
            HINT = 'Give an interval such as ''10 minutes'', or NULL for none.';
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION pggit.check_notification_setting() IS
'Trigger: refuses what the constraints refuse, without writing the row and its secrets into the server''s log.';

CREATE OR REPLACE TRIGGER check_notification_setting
BEFORE INSERT OR UPDATE ON pggit.alert_notification_settings
FOR EACH ROW EXECUTE FUNCTION pggit.check_notification_setting();

REVOKE EXECUTE ON FUNCTION pggit.check_notification_setting() FROM PUBLIC;
