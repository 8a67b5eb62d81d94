-- The operations that scans look at: tracked, and not switched off.
CREATE OR REPLACE FUNCTION pggit.watched_operations()
RETURNS text []
LANGUAGE sql STABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT coalesce(array_agg(s.operation_type ORDER BY s.operation_type), '{}')
FROM pggit.anomaly_settings(
    ARRAY(SELECT t.operation_type FROM pggit.performance_operation_types AS t WHERE t.is_tracked)
) AS s
WHERE s.enabled
$$;

COMMENT ON FUNCTION pggit.watched_operations() IS 'Operation types that are tracked and whose anomalies are looked for.';

REVOKE EXECUTE ON FUNCTION pggit.watched_operations() FROM PUBLIC;
