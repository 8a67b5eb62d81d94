-- Which notification settings hear what the daemon says about itself: those for SYSTEM or for everything, of this
-- severity; if there is none, everybody who is paged or told everything, because news that nobody hears is none.
-- A destination that is open or paused for long, or that the news is about, hears nothing: the one that the setting
-- reaches now, on-call shifts considered.
CREATE OR REPLACE FUNCTION pggit.operator_settings(p_severity text, p_not_destination text DEFAULT NULL)
RETURNS integer []
LANGUAGE sql STABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
WITH healthy AS MATERIALIZED (
    SELECT
        s.setting_id,
        upper(btrim(s.severity)) AS severity,
        upper(btrim(s.alert_type)) IN ('*', 'SYSTEM')
        AND upper(btrim(s.severity)) IN ('*', upper(btrim(p_severity)))
        AND pggit.glob_matches('pggit-alertd', s.operation_pattern) AS is_meant
    FROM pggit.alert_notification_settings AS s
    INNER JOIN pggit.effective_notification_config AS e ON s.setting_id = e.setting_id
    LEFT JOIN pggit.alert_destination AS d ON e.destination_key = d.destination_key
    WHERE s.enabled
        AND pggit.notification_setting_problem(s.notification_channel, e.config) IS NULL
        AND e.destination_key IS DISTINCT FROM p_not_destination
        AND d.opened_at IS NULL
        AND (d.paused_until IS NULL OR d.paused_until <= now() + interval '1 minute')
)

SELECT coalesce(array_agg(healthy.setting_id ORDER BY healthy.setting_id), '{}')
FROM healthy
WHERE CASE
    WHEN EXISTS (SELECT FROM healthy AS other WHERE other.is_meant) THEN healthy.is_meant
    ELSE healthy.severity IN ('*', 'CRITICAL')
END
$$;

COMMENT ON FUNCTION pggit.operator_settings(text, text) IS
'The notification settings that are told what the daemon says about itself, without those whose destination is broken.';

REVOKE EXECUTE ON FUNCTION pggit.operator_settings(text, text) FROM PUBLIC;
