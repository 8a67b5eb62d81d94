-- Operations may come later, so a row for one that nobody knows is no error; but it may be a typing error.
CREATE OR REPLACE FUNCTION pggit.idle_setting_problem(p_operation_type text)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT CASE
    WHEN p_operation_type = '*' THEN NULL
    WHEN kind.operation_type IS NULL
        THEN 'no operation type has this name: it counts for nothing until one is in performance_operation_types'
    WHEN kind.is_tracked IS NOT TRUE
        THEN 'the operation type is not tracked, so scans pass it over: set is_tracked in performance_operation_types'
END
FROM (SELECT 1) AS once
LEFT JOIN pggit.performance_operation_types AS kind ON kind.operation_type = p_operation_type
$$;

COMMENT ON FUNCTION pggit.idle_setting_problem(text) IS
'Why a row of anomaly_detection_settings for an operation type changes nothing at present, and what to do; NULL if it counts.';

REVOKE EXECUTE ON FUNCTION pggit.idle_setting_problem(text) FROM PUBLIC;
