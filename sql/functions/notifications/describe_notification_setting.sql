-- Keep the derived columns of a setting, and tell whoever writes a setting that can't work how to mend it.
-- A broken setting is accepted: the operator's transaction goes on, and its alerts wait as failed, to be replayed.
-- As its owner, because whoever may write the row need not have been given the functions that judge it.
CREATE OR REPLACE FUNCTION pggit.describe_notification_setting()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_problem text := pggit.notification_setting_problem(NEW.notification_channel, NEW.config);
BEGIN
    NEW.recipient := pggit.masked_recipient(NEW.notification_channel, NEW.config);
    NEW.destination_key := pggit.destination_key(NEW.notification_channel, NEW.config);
    IF v_problem IS NOT NULL THEN
        RAISE WARNING 'notification setting % can''t deliver: %', NEW.setting_id, v_problem
            USING HINT = format('Mend it with UPDATE pggit.alert_notification_settings ... WHERE setting_id = %s; '
                                'until then its notifications are kept as failed.', NEW.setting_id);
    END IF;
    IF upper(btrim(NEW.alert_type)) NOT IN ('*', 'THRESHOLD_EXCEEDED', 'ANOMALY', 'DEGRADATION', 'SYSTEM', 'ESCALATION') THEN
        RAISE WARNING 'notification setting % matches no alert: alert_type % is none of *, THRESHOLD_EXCEEDED, ANOMALY, DEGRADATION, SYSTEM, ESCALATION',
            NEW.setting_id, quote_literal(left(NEW.alert_type, 40));
    END IF;
    IF upper(btrim(NEW.severity)) NOT IN ('*', 'CRITICAL', 'WARNING', 'INFO') THEN
        RAISE WARNING 'notification setting % matches no alert: severity % is none of *, CRITICAL, WARNING, INFO',
            NEW.setting_id, quote_literal(left(NEW.severity, 40));
    END IF;
    IF NOT NEW.group_by <@ ARRAY['operation_type', 'alert_type', 'severity', 'branch', 'user_name', 'alert_id', 'all'] THEN
        RAISE WARNING 'notification setting % groups by something unknown: group_by takes operation_type, alert_type, '
            'severity, branch, user_name, alert_id and all', NEW.setting_id;
    END IF;
    IF NEW.fallback_setting_id = NEW.setting_id THEN
        RAISE WARNING 'notification setting % is its own fallback, which is none', NEW.setting_id;
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION pggit.describe_notification_setting() IS
'Trigger: derives recipient and destination_key, warns of a setting that can''t work.';

CREATE OR REPLACE TRIGGER describe_notification_setting
BEFORE INSERT OR UPDATE ON pggit.alert_notification_settings
FOR EACH ROW EXECUTE FUNCTION pggit.describe_notification_setting();

REVOKE EXECUTE ON FUNCTION pggit.describe_notification_setting() FROM PUBLIC;
