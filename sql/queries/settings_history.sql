-- Who changed which notification setting, newest first; nothing secret.
-- Parameters: setting_id integer (NULL for all), limit bigint
-- Index: notification_settings_audit_setting, or the primary key for all, walked backwards.
SELECT
    a.audit_id,
    a.changed_at,
    a.setting_id,
    a.action,
    a.session_user_name,
    a.current_user_name,
    a.application_name,
    a.changed,
    a.before,
    a.after,
    pggit.duration_text(now() - a.changed_at) AS age
FROM pggit.notification_settings_audit AS a
WHERE :'setting_id'::integer IS NULL OR a.setting_id = :'setting_id'::integer
ORDER BY a.audit_id DESC
LIMIT :'limit'::bigint;
