-- The settings that count for an operation: its own where they say something, the defaults elsewhere. Off in the
-- defaults is off for all.
CREATE OR REPLACE FUNCTION pggit.anomaly_settings(p_operation_types text [])
RETURNS TABLE (
    operation_type text, enabled boolean, sigma_threshold numeric, false_alarm_budget numeric, min_ratio numeric,
    min_samples integer, critical_ratio numeric, alerts_per_hour integer, episode_gap interval
)
LANGUAGE sql STABLE ROWS 40
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT
    asked.operation_type,
    d.enabled AND coalesce(o.enabled, TRUE),
    coalesce(o.sigma_threshold, d.sigma_threshold),
    coalesce(o.false_alarm_budget, d.false_alarm_budget),
    coalesce(o.min_ratio, d.min_ratio),
    coalesce(o.min_samples, d.min_samples),
    coalesce(o.critical_ratio, d.critical_ratio),
    coalesce(o.alerts_per_hour, d.alerts_per_hour),
    coalesce(o.episode_gap, d.episode_gap)
FROM unnest(p_operation_types) AS asked (operation_type)
INNER JOIN pggit.anomaly_detection_settings AS d ON d.operation_type = '*'
LEFT JOIN pggit.anomaly_detection_settings AS o ON asked.operation_type = o.operation_type
$$;

COMMENT ON FUNCTION pggit.anomaly_settings(text []) IS
'The settings of anomaly detection that count for each of the operation types; none if the row * was deleted.';

REVOKE EXECUTE ON FUNCTION pggit.anomaly_settings(text []) FROM PUBLIC;
