-- Store what is usual for each operation, for the detectors. The day before p_as_of is left out: it is what they judge,
-- and an incident must not become normal while it lasts. An operation with fewer than fifty metrics in the days before
-- that is described by all there is, as the little that is known; computed_to says which.
CREATE OR REPLACE FUNCTION pggit.refresh_latency_profiles(p_as_of timestamp DEFAULT NULL, p_days integer DEFAULT 7)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
SET jit = off
AS $$
DECLARE
    c_judged CONSTANT interval := interval '1 day';
    c_young CONSTANT bigint := 50;
    v_to timestamp := date_trunc('hour', coalesce(p_as_of, localtimestamp));
    v_from timestamp;
    v_refreshed integer;
BEGIN
    IF p_days IS NULL OR p_days NOT BETWEEN 1 AND 366 THEN
        RAISE EXCEPTION 'p_days is %, it must be between 1 and 366', coalesce(p_days::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT isfinite(v_to) THEN
        RAISE EXCEPTION 'p_as_of is %, it must be finite', v_to
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF v_to > localtimestamp THEN
        RAISE EXCEPTION 'p_as_of is %, it must not be in the future', p_as_of
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave it out for now.';
    END IF;
    v_from := v_to - c_judged - make_interval(days => p_days);
    PERFORM pg_advisory_xact_lock(hashtextextended('pggit.refresh_latency_profiles', 0));

    WITH settled AS MATERIALIZED (
        SELECT p.* FROM pggit.latency_profile(NULL, v_from, v_to - c_judged) AS p
        WHERE p.sample_count >= c_young
    ),

    -- Only the young operations' own histograms are read here; there are few, and they are small.
    young AS MATERIALIZED (
        SELECT p.*
        FROM (
            SELECT DISTINCT h.operation_type
            FROM pggit.latency_hours(NULL, v_from, v_to) AS h
            WHERE NOT EXISTS (SELECT FROM settled AS s WHERE s.operation_type = h.operation_type)
        ) AS fresh
        CROSS JOIN LATERAL pggit.latency_profile(fresh.operation_type, v_from, v_to) AS p
    ),

    written AS (
        INSERT INTO pggit.performance_latency_profile AS known
        SELECT s.* FROM settled AS s
        UNION ALL
        SELECT y.* FROM young AS y
        ON CONFLICT ON CONSTRAINT performance_latency_profile_pkey DO UPDATE
        SET
            computed_to = excluded.computed_to,
            sample_count = excluded.sample_count,
            day_count = excluded.day_count,
            hour_centers = excluded.hour_centers,
            q50 = excluded.q50,
            spread = excluded.spread,
            q95 = excluded.q95,
            excess95 = excluded.excess95,
            share95 = excluded.share95,
            q99 = excluded.q99,
            excess99 = excluded.excess99,
            share99 = excluded.share99,
            q99865 = excluded.q99865,
            refreshed_at = excluded.refreshed_at,
            tail_shape = excluded.tail_shape,
            tail_scale = excluded.tail_scale,
            q9975 = excluded.q9975
        RETURNING known.operation_type
    ),

    -- What was last measured before the span is not known any more.
    forgotten AS (
        DELETE FROM pggit.performance_latency_profile AS known
        WHERE NOT EXISTS (SELECT FROM settled AS s WHERE s.operation_type = known.operation_type)
            AND NOT EXISTS (SELECT FROM young AS y WHERE y.operation_type = known.operation_type)
    )

    SELECT count(*)::integer INTO v_refreshed FROM written;
    UPDATE pggit.anomaly_scan_state SET profiled_to = v_to, profiled_days = p_days;
    RETURN v_refreshed;
END
$$;

COMMENT ON FUNCTION pggit.refresh_latency_profiles(timestamp, integer) IS
'Stores what was usual for each operation in the p_days before the last day; returns for how many operations.';

REVOKE EXECUTE ON FUNCTION pggit.refresh_latency_profiles(timestamp, integer) FROM PUBLIC;
