-- Write down who changed which notification setting. Once a statement, so that thousands of rows cost one INSERT. Runs
-- as its owner: who may change settings need not be able to write, or rewrite, their history.
-- session_user is who logged in; the role setting is who they acted as, which current_user would hide behind the owner.
CREATE OR REPLACE FUNCTION pggit.audit_notification_settings()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_role text := CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role') END;
    v_application text := left(current_setting('application_name'), 200);
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO pggit.notification_settings_audit
        (setting_id, action, session_user_name, current_user_name, application_name, after)
        SELECT f.setting_id, TG_OP, session_user, v_role, v_application, pggit.audited_setting(f)
        FROM fresh AS f;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO pggit.notification_settings_audit
        (setting_id, action, session_user_name, current_user_name, application_name, before)
        SELECT g.setting_id, TG_OP, session_user, v_role, v_application, pggit.audited_setting(g)
        FROM gone AS g;
    ELSIF TG_OP = 'UPDATE' THEN
        -- Rows are paired by number; one whose number itself was changed shows as a deletion and a creation.
        INSERT INTO pggit.notification_settings_audit
        (setting_id, action, session_user_name, current_user_name, application_name, changed, before, after)
        SELECT
            coalesce(f.setting_id, g.setting_id),
            CASE WHEN g.setting_id IS NULL THEN 'INSERT' WHEN f.setting_id IS NULL THEN 'DELETE' ELSE TG_OP END,
            session_user, v_role, v_application,
            CASE
                WHEN g.setting_id IS NULL OR f.setting_id IS NULL THEN ARRAY['setting_id']
                ELSE pggit.changed_setting_parts(g, f)
            END,
            CASE WHEN g.setting_id IS NOT NULL THEN pggit.audited_setting(g) END,
            CASE WHEN f.setting_id IS NOT NULL THEN pggit.audited_setting(f) END
        FROM gone AS g
        FULL JOIN fresh AS f ON g.setting_id = f.setting_id
        WHERE g IS DISTINCT FROM f;
    ELSE
        INSERT INTO pggit.notification_settings_audit
        (action, session_user_name, current_user_name, application_name)
        VALUES (TG_OP, session_user, v_role, v_application);
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION pggit.audit_notification_settings() IS
'Trigger: keeps notification_settings_audit, with every secret masked.';

CREATE OR REPLACE TRIGGER audit_inserted_notification_settings
AFTER INSERT ON pggit.alert_notification_settings
REFERENCING NEW TABLE AS fresh
FOR EACH STATEMENT EXECUTE FUNCTION pggit.audit_notification_settings();

CREATE OR REPLACE TRIGGER audit_updated_notification_settings
AFTER UPDATE ON pggit.alert_notification_settings
REFERENCING OLD TABLE AS gone NEW TABLE AS fresh
FOR EACH STATEMENT EXECUTE FUNCTION pggit.audit_notification_settings();

CREATE OR REPLACE TRIGGER audit_deleted_notification_settings
AFTER DELETE ON pggit.alert_notification_settings
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION pggit.audit_notification_settings();

CREATE OR REPLACE TRIGGER audit_truncated_notification_settings
AFTER TRUNCATE ON pggit.alert_notification_settings
FOR EACH STATEMENT EXECUTE FUNCTION pggit.audit_notification_settings();

REVOKE EXECUTE ON FUNCTION pggit.audit_notification_settings() FROM PUBLIC;
