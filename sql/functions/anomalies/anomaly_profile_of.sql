-- Of everything up to p_to where too little lies before p_from, as anomaly_profiles has it.
CREATE OR REPLACE FUNCTION pggit.anomaly_profile_of(
    p_operation_type text,
    p_before timestamp,
    p_from timestamp,
    p_to timestamp
)
RETURNS SETOF pggit.performance_latency_profile
LANGUAGE plpgsql STABLE ROWS 1
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    c_young CONSTANT bigint := 50;
BEGIN
    RETURN QUERY
    SELECT p.* FROM pggit.latency_profile(p_operation_type, p_before, p_from) AS p
    WHERE p.sample_count >= c_young;
    IF NOT FOUND THEN
        RETURN QUERY
        SELECT p.* FROM pggit.latency_profile(p_operation_type, p_before, p_to) AS p;
    END IF;
END
$$;

COMMENT ON FUNCTION pggit.anomaly_profile_of(text, timestamp, timestamp, timestamp) IS
'The profile of one operation, made on the spot of what lies between p_before and p_from, or up to p_to where that is fewer than fifty metrics.';

REVOKE EXECUTE ON FUNCTION pggit.anomaly_profile_of(text, timestamp, timestamp, timestamp) FROM PUBLIC;
