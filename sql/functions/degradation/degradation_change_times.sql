-- When did each of some operations change, if it became slower once? One hour as an element of each array, its calls as
-- its weight. For each quarter of an hour a step is laid through the hours, by least squares; the hour in which it lies
-- is slower by the part of it that comes after. How much of the scatter the step leaves tells how likely it is: what
-- is left, to the power of minus half the hours but two, is the likelihood of a step in normal noise of unknown size.
-- They are made to sum up to 1 for each operation, as if it were certain that it changed once.
CREATE OR REPLACE FUNCTION pggit.degradation_change_times(
    p_operation_types text [],
    p_hour_starts timestamp [],
    p_calls double precision [],
    p_levels double precision []
)
RETURNS TABLE (operation_type text, change_at timestamp, likelihood double precision)
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
WITH running AS (
    SELECT
        hour.operation_type,
        hour.hour_start,
        hour.calls,
        hour.level,
        count(*) OVER whole AS hours,
        sum(hour.calls) OVER whole AS all_calls,
        sum(hour.calls * hour.level) OVER whole AS all_levels,
        sum(hour.calls * hour.level * hour.level) OVER whole AS all_squares,
        sum(hour.calls) OVER since - hour.calls AS calls_after,
        sum(hour.calls * hour.level) OVER since - hour.calls * hour.level AS levels_after
    FROM unnest(p_operation_types, p_hour_starts, p_calls, p_levels) AS hour (operation_type, hour_start, calls, level)
    WINDOW
        whole AS (PARTITION BY hour.operation_type),
        since AS (PARTITION BY hour.operation_type ORDER BY hour.hour_start DESC)
),

step AS (
    SELECT
        r.operation_type,
        r.hour_start + interval '15 minutes' * quarter.number AS change_at,
        r.hours,
        r.all_squares - r.all_levels * r.all_levels / r.all_calls AS scatter,
        r.levels_after + part.after * r.calls * r.level
        - r.all_levels * (r.calls_after + part.after * r.calls) / r.all_calls AS rise,
        r.calls_after + part.after * part.after * r.calls
        - (r.calls_after + part.after * r.calls) ^ 2 / r.all_calls AS spread
    FROM running AS r
    CROSS JOIN generate_series(0, 3) AS quarter (number)
    CROSS JOIN LATERAL (SELECT 1 - 0.25::double precision * quarter.number AS after) AS part
),

fit AS (
    SELECT
        s.operation_type,
        s.change_at,
        -0.5 * (s.hours - 2) * ln(greatest(1 - s.rise * s.rise / s.spread / s.scatter, 1e-9)) AS evidence
    FROM step AS s
    WHERE s.rise > 0 AND s.spread > 1e-9 AND s.scatter > 1e-12
),

weighed AS (
    SELECT
        f.operation_type,
        f.change_at,
        exp(f.evidence - max(f.evidence) OVER (PARTITION BY f.operation_type)) AS weight
    FROM fit AS f
)

SELECT
    w.operation_type,
    w.change_at,
    w.weight / sum(w.weight) OVER (PARTITION BY w.operation_type)
FROM weighed AS w
$$;

COMMENT ON FUNCTION pggit.degradation_change_times(text [], timestamp [], double precision [], double precision []) IS
'How likely operations that became slower did so at each quarter of an hour; for detect_correlated_degradation.';

REVOKE EXECUTE ON FUNCTION pggit.degradation_change_times(
    text [], timestamp [], double precision [], double precision []
) FROM PUBLIC;
