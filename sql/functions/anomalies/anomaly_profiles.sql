-- What was usual before the time that is judged: the stored profiles where they were made for about this moment and end
-- before it, else profiles made on the spot (0.5 s for a million metrics a week), which the past takes.
-- An operation with fewer than fifty metrics before that time is described by all there is up to its end; and one whose
-- stored profile is of fewer, though there are more by now, on the spot.
CREATE OR REPLACE FUNCTION pggit.anomaly_profiles(
    p_operation_type text,
    p_from timestamp,
    p_to timestamp,
    p_days integer
)
RETURNS SETOF pggit.performance_latency_profile
LANGUAGE plpgsql STABLE ROWS 40
SET search_path = pg_catalog, pggit, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    c_young CONSTANT bigint := 50;
    v_usable boolean := EXISTS (
        SELECT FROM pggit.anomaly_scan_state AS s
        WHERE s.profiled_days = p_days
            AND s.profiled_to BETWEEN p_to - interval '26 hours' AND p_to
            AND s.profiled_to - interval '1 day' <= p_from
    );
    v_before timestamp := p_from - make_interval(days => p_days);
    v_outgrown text[];
BEGIN
    IF v_usable THEN
        v_outgrown := pggit.outgrown_profiles(p_operation_type, v_before, p_to);
        RETURN QUERY
        SELECT p.* FROM pggit.performance_latency_profile AS p
        WHERE (p_operation_type IS NULL OR p.operation_type = p_operation_type)
            AND p.operation_type <> ALL (v_outgrown);
        RETURN QUERY
        SELECT p.*
        FROM unnest(v_outgrown) AS poor (operation_type)
        CROSS JOIN LATERAL pggit.anomaly_profile_of(poor.operation_type, v_before, p_from, p_to) AS p;
        RETURN;
    END IF;

    RETURN QUERY
    WITH settled AS MATERIALIZED (
        SELECT p.* FROM pggit.latency_profile(p_operation_type, v_before, p_from) AS p
        WHERE p.sample_count >= c_young
    ),

    young AS MATERIALIZED (
        SELECT DISTINCT h.operation_type
        FROM pggit.latency_hours(p_operation_type, v_before, p_to) AS h
        WHERE NOT EXISTS (SELECT FROM settled AS s WHERE s.operation_type = h.operation_type)
    )

    SELECT s.* FROM settled AS s
    UNION ALL
    SELECT p.*
    FROM young
    CROSS JOIN LATERAL pggit.latency_profile(young.operation_type, v_before, p_to) AS p;
END
$$;

COMMENT ON FUNCTION pggit.anomaly_profiles(text, timestamp, timestamp, integer) IS
'The profiles by which metrics between two times are judged, of one operation or of all for NULL.';

REVOKE EXECUTE ON FUNCTION pggit.anomaly_profiles(text, timestamp, timestamp, integer) FROM PUBLIC;
