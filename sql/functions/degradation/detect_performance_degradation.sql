-- The document's question about one operation: the averages of the window's exact halves and how they differ, beside a
-- verdict that does not rest on them. Two averages are no test: one slow call, a daily course or a change in the last
-- quarter of the window would each decide them (docs/design/degradation.md).
CREATE OR REPLACE FUNCTION pggit.detect_performance_degradation(
    p_operation_type text,
    p_window_hours integer DEFAULT 24,
    p_degradation_percent numeric DEFAULT 20.0,
    p_baseline_days integer DEFAULT 7,
    p_z_threshold numeric DEFAULT 4.0,
    p_as_of timestamp DEFAULT NULL
)
RETURNS TABLE (
    time_period text,
    avg_ms_first_half numeric,
    avg_ms_second_half numeric,
    degradation_percent numeric,
    severity text
)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    v_to timestamp := coalesce(p_as_of, localtimestamp);
BEGIN
    IF p_operation_type IS NULL THEN
        RAISE EXCEPTION 'p_operation_type is NULL, it must be the name of an operation'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'SELECT * FROM pggit.degradation_scan() judges all of them.';
    END IF;
    PERFORM pggit.require_degradation_arguments(
        p_window_hours, p_degradation_percent, p_baseline_days, p_z_threshold, p_as_of
    );

    RETURN QUERY
    WITH verdict AS MATERIALIZED (
        SELECT s.*
        FROM pggit.degradation_scan(
            p_operation_type, p_window_hours, p_degradation_percent, p_baseline_days, p_z_threshold, p_as_of
        ) AS s
    ),

    half AS MATERIALIZED (
        SELECT
            pggit.average_latency(p_operation_type, span.begins, span.middle) AS earlier,
            pggit.average_latency(p_operation_type, span.middle, span.ends) AS later
        FROM (
            SELECT
                v_to - make_interval(hours => p_window_hours) AS begins,
                v_to - make_interval(mins => 30 * p_window_hours) AS middle,
                v_to + interval '1 microsecond' AS ends
        ) AS span
    )

    SELECT
        format('%s-hour window degradation analysis', p_window_hours) || CASE v.kind
            WHEN 'level' THEN format(
                ' (since %s, %s %% slower, z %s)', to_char(v.began_at, 'YYYY-MM-DD HH24:MI'), v.percent_change, v.zscore
            )
            WHEN 'tail' THEN format(
                ' (since %s, slow calls %s %% instead of %s %%, z %s)', to_char(v.began_at, 'YYYY-MM-DD HH24:MI'),
                v.slow_percent_after, v.slow_percent_before, v.zscore
            )
            WHEN 'halves' THEN format(
                ' (no history; second half %s %% slower, z %s)', v.percent_change, v.zscore
            )
            ELSE ''
        END,
        round(half.earlier / 1000, 3),
        round(half.later / 1000, 3),
        round((half.later - half.earlier) / nullif(half.earlier, 0) * 100, 2),
        CASE
            WHEN v.severity = 'STABLE' AND (half.earlier IS NULL OR half.later IS NULL) THEN 'INSUFFICIENT_DATA'
            ELSE v.severity
        END
    FROM verdict AS v
    CROSS JOIN half;
END
$$;

COMMENT ON FUNCTION pggit.detect_performance_degradation(text, integer, numeric, integer, numeric, timestamp) IS
'Whether an operation became slower within the last p_window_hours: DEGRADATION_DETECTED, STABLE or INSUFFICIENT_DATA, since when in time_period, beside the averages of the window''s halves.';

REVOKE EXECUTE ON FUNCTION pggit.detect_performance_degradation(
    text, integer, numeric, integer, numeric, timestamp
) FROM PUBLIC;
