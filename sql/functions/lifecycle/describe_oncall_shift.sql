-- Keep the derived columns of a shift, as describe_notification_setting does for a setting, and tell whoever writes a
-- shift that can't deliver. The channel is the setting's.
CREATE OR REPLACE FUNCTION pggit.describe_oncall_shift()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_channel text := (
        SELECT s.notification_channel FROM pggit.alert_notification_settings AS s WHERE s.setting_id = NEW.setting_id
    );
    v_problem text := pggit.notification_setting_problem(v_channel, NEW.config);
BEGIN
    NEW.recipient := pggit.masked_recipient(v_channel, NEW.config);
    NEW.destination_key := pggit.destination_key(v_channel, NEW.config);
    IF v_problem IS NOT NULL THEN
        RAISE WARNING 'on-call shift of setting % can''t deliver: %', NEW.setting_id, v_problem;
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION pggit.describe_oncall_shift() IS
'Trigger: keeps recipient and destination_key of a shift, and warns of a config that can''t deliver.';

CREATE OR REPLACE TRIGGER describe_oncall_shift
BEFORE INSERT OR UPDATE ON pggit.oncall_shift
FOR EACH ROW EXECUTE FUNCTION pggit.describe_oncall_shift();

REVOKE EXECUTE ON FUNCTION pggit.describe_oncall_shift() FROM PUBLIC;
