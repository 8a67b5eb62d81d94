-- Keep the derived columns of a shift, as describe_notification_setting does for a setting, and tell whoever writes a
-- shift that can't deliver. The channel is the setting's.
-- What a constraint would refuse is refused here, as check_notification_setting does it and for its reason:
-- PostgreSQL's own error would write the row, with its secrets, into the server's log.
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
    v_column text := CASE
        WHEN NEW.shift_id IS NULL THEN 'shift_id'
        WHEN NEW.setting_id IS NULL THEN 'setting_id'
        WHEN NEW.starts_at IS NULL THEN 'starts_at'
        WHEN NEW.ends_at IS NULL THEN 'ends_at'
        WHEN NEW.config IS NULL THEN 'config'
    END;
BEGIN
    IF v_column IS NOT NULL THEN
        RAISE EXCEPTION 'on-call shift of setting %: % must not be NULL', coalesce(NEW.setting_id::text, '(none)'), v_column
            USING ERRCODE = 'not_null_violation', SCHEMA = 'pggit', TABLE = 'oncall_shift', COLUMN = v_column,
            HINT = CASE v_column
                WHEN 'shift_id' THEN 'Leave the column out, or give DEFAULT.'
                WHEN 'ends_at' THEN 'Give infinity for a shift without an end.'
                ELSE 'Give setting_id, starts_at, ends_at and config.'
            END;
    END IF;
    IF NEW.starts_at >= NEW.ends_at THEN
        RAISE EXCEPTION 'on-call shift of setting %: ends_at must be after starts_at (%)',
            NEW.setting_id, 'oncall_shift_ends_after_it_starts'
            USING ERRCODE = 'check_violation', SCHEMA = 'pggit', TABLE = 'oncall_shift', COLUMN = 'ends_at',
            CONSTRAINT = 'oncall_shift_ends_after_it_starts';
    END IF;
    IF jsonb_typeof(NEW.config) <> 'object' THEN
        RAISE EXCEPTION 'on-call shift of setting %: config must be a JSON object (%)',
            NEW.setting_id, 'oncall_shift_config_is_an_object'
            USING ERRCODE = 'check_violation', SCHEMA = 'pggit', TABLE = 'oncall_shift', COLUMN = 'config',
            CONSTRAINT = 'oncall_shift_config_is_an_object';
    END IF;
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
