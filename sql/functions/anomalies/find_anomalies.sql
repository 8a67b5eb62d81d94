-- The unusual metrics of a span of time, both ends included, with what was expected instead. Two ways to the rows, none
-- of which reads the ordinary ones twice:
-- * p_probe: "slower than this on that day", by the composite index (operation_type, period_start, duration), once for
--   each operation and day; the cut is the lowest of the day's hours, and the hour's own is applied to what is found.
--   For a day of a million metrics it reads some thousand.
-- * else: everything recorded in the span, by the index on recorded_at, for spans of minutes.
-- Custom plans, so that the way not taken leaves the plan; compiling it would take longer than running it. The probes
-- are ordered by duration and sorting is off, because no other index than the composite one has that order: by its
-- estimates the planner takes the one on period_start, and reads whole days.
CREATE OR REPLACE FUNCTION pggit.find_anomalies(
    p_operation_types text [],
    p_from timestamp,
    p_to timestamp,
    p_probe boolean,
    p_direction text DEFAULT 'slow',
    p_baseline_days integer DEFAULT 7,
    p_sigma_threshold numeric DEFAULT NULL,
    p_false_alarm_budget numeric DEFAULT NULL,
    p_min_ratio numeric DEFAULT NULL,
    p_min_samples integer DEFAULT NULL,
    p_budgeted boolean DEFAULT TRUE
)
RETURNS TABLE (
    metric_id bigint, operation_type text, recorded_at timestamp, duration_microseconds bigint, branch_id integer,
    user_name text, zscore numeric, typical_microseconds bigint, low_microseconds bigint, high_microseconds bigint,
    is_critical boolean
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pggit, pg_temp
SET jit = off
SET enable_sort = off
SET enable_incremental_sort = off
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH lim AS MATERIALIZED (
        SELECT l.*
        FROM pggit.anomaly_limits(
            p_operation_types, p_from, p_to, p_baseline_days, p_sigma_threshold, p_false_alarm_budget, p_min_ratio,
            p_min_samples, p_budgeted
        ) AS l
    ),

    -- ln(microseconds) of a bigint is below 43.7; what lies beyond is never reached.
    hour AS MATERIALIZED (
        SELECT
            lim.operation_type,
            clock.hour_start,
            center.value AS center,
            exp(least(43, greatest(0, center.value + lim.cut))) AS cut_microseconds,
            exp(least(43, greatest(0, center.value + lim.low_cut))) AS low_cut_microseconds
        FROM lim
        CROSS JOIN generate_series(date_trunc('hour', p_from), p_to, interval '1 hour') AS clock (hour_start)
        CROSS JOIN LATERAL (
            SELECT (lim.profile).hour_centers[1 + extract(HOUR FROM clock.hour_start)::integer] AS value
        ) AS center
    ),

    bound AS MATERIALIZED (
        SELECT
            hour.operation_type,
            floor(min(hour.cut_microseconds))::bigint AS slow,
            ceil(max(hour.low_cut_microseconds))::bigint AS fast
        FROM hour
        GROUP BY hour.operation_type
    ),

    probe AS MATERIALIZED (
        SELECT bound.*, day.period_start
        FROM bound
        CROSS JOIN LATERAL pggit.metric_days(bound.operation_type, p_from, p_to) AS day (period_start)
        WHERE p_probe
    ),

    candidate AS (
        SELECT found.*
        FROM probe
        CROSS JOIN LATERAL (
            SELECT m.metric_id, m.operation_type, m.recorded_at, m.duration_microseconds, m.branch_id, m.user_name
            FROM pggit.performance_metrics AS m
            WHERE m.operation_type = probe.operation_type
                AND m.period_start = probe.period_start
                AND m.duration_microseconds > probe.slow
            ORDER BY m.duration_microseconds DESC
            OFFSET 0
        ) AS found
        WHERE p_direction <> 'fast'
        UNION ALL
        SELECT found.*
        FROM probe
        CROSS JOIN LATERAL (
            SELECT m.metric_id, m.operation_type, m.recorded_at, m.duration_microseconds, m.branch_id, m.user_name
            FROM pggit.performance_metrics AS m
            WHERE m.operation_type = probe.operation_type
                AND m.period_start = probe.period_start
                AND m.duration_microseconds < probe.fast
            ORDER BY m.duration_microseconds DESC
            OFFSET 0
        ) AS found
        WHERE p_direction <> 'slow'
        UNION ALL
        SELECT m.metric_id, m.operation_type, m.recorded_at, m.duration_microseconds, m.branch_id, m.user_name
        FROM pggit.performance_metrics AS m
        WHERE NOT p_probe AND m.recorded_at >= p_from AND m.recorded_at <= p_to
    ),

    unusual AS (
        SELECT
            c.*,
            hour.center,
            ln(c.duration_microseconds::double precision) - hour.center AS residual,
            hour.cut_microseconds,
            c.duration_microseconds > hour.cut_microseconds AS is_slow
        FROM candidate AS c
        INNER JOIN hour
            ON c.operation_type = hour.operation_type AND date_trunc('hour', c.recorded_at) = hour.hour_start
        WHERE c.recorded_at >= p_from AND c.recorded_at <= p_to
            AND (
                (c.duration_microseconds > hour.cut_microseconds AND p_direction <> 'fast')
                OR (c.duration_microseconds < hour.low_cut_microseconds AND p_direction <> 'slow')
            )
    )

    SELECT
        u.metric_id,
        u.operation_type,
        u.recorded_at,
        u.duration_microseconds,
        u.branch_id,
        u.user_name,
        round(
            CASE
                WHEN u.is_slow THEN pggit.anomaly_zscore(lim.profile, u.residual)
                ELSE (u.residual - (lim.profile).q50)
                    / ((lim.profile).spread * (1 + 5.0 / (lim.profile).sample_count))
            END::numeric, 4
        ),
        pggit.latency_of_log(u.center + (lim.profile).q50),
        pggit.latency_of_log(u.center + lim.low_cut),
        round(u.cut_microseconds)::bigint,
        u.is_slow AND u.duration_microseconds >= lim.critical_ratio * u.cut_microseconds
    FROM unusual AS u
    INNER JOIN lim ON u.operation_type = lim.operation_type;
END
$$;

COMMENT ON FUNCTION pggit.find_anomalies(
    text [], timestamp, timestamp, boolean, text, integer, numeric, numeric, numeric, integer, boolean
) IS 'The unusual metrics of some operations between two times, with what was expected; for the detectors and the scan.';

REVOKE EXECUTE ON FUNCTION pggit.find_anomalies(
    text [], timestamp, timestamp, boolean, text, integer, numeric, numeric, numeric, integer, boolean
) FROM PUBLIC;
