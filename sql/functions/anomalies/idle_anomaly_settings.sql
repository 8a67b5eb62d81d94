CREATE OR REPLACE FUNCTION pggit.idle_anomaly_settings()
RETURNS TABLE (subject text, problem text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT 'anomaly_detection_settings ' || left(s.operation_type, 200), idle.problem
FROM pggit.anomaly_detection_settings AS s
CROSS JOIN LATERAL pggit.idle_setting_problem(s.operation_type) AS idle (problem)
WHERE idle.problem IS NOT NULL
UNION ALL
SELECT format('anomaly_whitelist %s (%s)', w.whitelist_id, left(w.operation_pattern, 200)), idle.problem
FROM pggit.anomaly_whitelist AS w
CROSS JOIN LATERAL pggit.idle_whitelist_problem(w) AS idle (problem)
WHERE idle.problem IS NOT NULL
ORDER BY 1
$$;

COMMENT ON FUNCTION pggit.idle_anomaly_settings() IS
'The rows of anomaly_detection_settings and anomaly_whitelist that count for nothing at present, why, and what to do; no row if all count.';

REVOKE EXECUTE ON FUNCTION pggit.idle_anomaly_settings() FROM PUBLIC;
