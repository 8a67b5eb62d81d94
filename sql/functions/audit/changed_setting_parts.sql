-- Names of what differs between two versions of a setting: columns, and keys of config as config.KEY. The values are
-- compared as they are, so that a new webhook shows although both are masked.
CREATE OR REPLACE FUNCTION pggit.changed_setting_parts(
    p_before pggit.alert_notification_settings,
    p_after pggit.alert_notification_settings
)
RETURNS text []
LANGUAGE sql STABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT coalesce(array_agg(part.name ORDER BY part.name), '{}')
FROM (
    SELECT c.key AS name
    FROM jsonb_each(to_jsonb(p_before)) AS c (key, value)
    WHERE c.key <> 'config' AND c.value IS DISTINCT FROM to_jsonb(p_after) -> c.key
    UNION
    SELECT CASE WHEN k.key ~ '^[A-Za-z][A-Za-z_-]{0,29}$' THEN 'config.' || k.key ELSE 'config.(odd key)' END
    FROM (
        SELECT jsonb_object_keys(CASE jsonb_typeof(p_before.config) WHEN 'object' THEN p_before.config ELSE '{}' END)
        UNION
        SELECT jsonb_object_keys(CASE jsonb_typeof(p_after.config) WHEN 'object' THEN p_after.config ELSE '{}' END)
    ) AS k (key)
    WHERE p_before.config -> k.key IS DISTINCT FROM p_after.config -> k.key
    UNION
    SELECT 'config'
    WHERE jsonb_typeof(p_before.config) IS DISTINCT FROM jsonb_typeof(p_after.config)
        OR (jsonb_typeof(p_before.config) <> 'object' AND p_before.config <> p_after.config)
) AS part
$$;

COMMENT ON FUNCTION pggit.changed_setting_parts(
    pggit.alert_notification_settings, pggit.alert_notification_settings
) IS 'Names of the columns and of the keys of config in which two versions of a setting differ; no values.';

REVOKE EXECUTE ON FUNCTION pggit.changed_setting_parts(
    pggit.alert_notification_settings, pggit.alert_notification_settings
) FROM PUBLIC;
