-- Stored profiles hold until they are made afresh, an hour or so. Too long for one that was made of next to nothing,
-- when a database or an operation gets its first metrics, or a past is loaded: what came since is all that is known.
-- Fifty metrics decide, and no more are looked at: a probe of the composite index for each operation whose stored
-- profile is of fewer, which as a rule are those that are never called. Ordered as that index is, and sorting is off,
-- so that no other one will do: by its estimates the planner reads whole days, once for each operation.
CREATE OR REPLACE FUNCTION pggit.outgrown_profiles(p_operation_type text, p_from timestamp, p_to timestamp)
RETURNS text []
LANGUAGE sql STABLE
SET search_path = pg_catalog, pggit, pg_temp
SET jit = off
SET enable_sort = off
SET enable_incremental_sort = off
SET plan_cache_mode = force_custom_plan
AS $$
SELECT ARRAY(
    SELECT poor.operation_type
    FROM (
        SELECT asked.operation_type, coalesce(p.sample_count, 0) AS known
        FROM (
            SELECT p_operation_type AS operation_type
            WHERE p_operation_type IS NOT NULL
            UNION ALL
            SELECT t.operation_type
            FROM pggit.performance_operation_types AS t
            WHERE p_operation_type IS NULL AND t.is_tracked
        ) AS asked
        LEFT JOIN pggit.performance_latency_profile AS p ON asked.operation_type = p.operation_type
        WHERE p.sample_count IS NULL OR p.sample_count < 50
        OFFSET 0
    ) AS poor
    WHERE poor.known < (
        SELECT count(*)
        FROM (
            SELECT FROM pggit.performance_metrics AS m
            WHERE m.operation_type = poor.operation_type
                AND m.period_start BETWEEN date_trunc('day', p_from) - interval '1 day' AND p_to
                AND m.recorded_at >= p_from
                AND m.recorded_at < p_to
            ORDER BY m.period_start DESC, m.duration_microseconds DESC
            LIMIT 50
        ) AS few
    )
    ORDER BY poor.operation_type
)
$$;

COMMENT ON FUNCTION pggit.outgrown_profiles(text, timestamp, timestamp) IS
'The tracked operations, or the named one, whose stored profile is of fewer than fifty metrics, or missing, though there are more between two times.';

REVOKE EXECUTE ON FUNCTION pggit.outgrown_profiles(text, timestamp, timestamp) FROM PUBLIC;
