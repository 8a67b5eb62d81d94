-- A notification setting as the audit may keep it: every column but the secret ones, and of config only its keys. Keys
-- that look like anything but a word are not shown either: people paste addresses and URLs into any place.
CREATE OR REPLACE FUNCTION pggit.audited_setting(p_setting pggit.alert_notification_settings)
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT jsonb_build_object(
    'name', left(p_setting.name, 200),
    'alert_type', left(p_setting.alert_type, 200),
    'severity', left(p_setting.severity, 200),
    'notification_channel', left(p_setting.notification_channel, 200),
    'enabled', p_setting.enabled,
    'operation_pattern', left(p_setting.operation_pattern, 500),
    'min_interval', p_setting.min_interval::text,
    'group_by', p_setting.group_by,
    'fallback_setting_id', p_setting.fallback_setting_id,
    'recipient', p_setting.recipient,
    'destination_key', p_setting.destination_key,
    'config_sealed', CASE WHEN p_setting.config_sealed IS NOT NULL THEN '***' END,
    'config', CASE jsonb_typeof(p_setting.config)
        WHEN 'object' THEN (
            SELECT coalesce(jsonb_object_agg(k.name, '***'), '{}')
            FROM (
                SELECT DISTINCT CASE WHEN c.key ~ '^[A-Za-z][A-Za-z_-]{0,29}$' THEN c.key ELSE '(odd key)' END AS name
                FROM jsonb_object_keys(p_setting.config) AS c (key)
                LIMIT 50
            ) AS k
        )
        ELSE to_jsonb('a ' || jsonb_typeof(p_setting.config))
    END
)
$$;

COMMENT ON FUNCTION pggit.audited_setting(pggit.alert_notification_settings) IS
'A notification setting without anything secret: config''s keys without their values.';

REVOKE EXECUTE ON FUNCTION pggit.audited_setting(pggit.alert_notification_settings) FROM PUBLIC;
