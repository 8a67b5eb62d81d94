-- Refuse what no detector can answer, by the name of the argument. A budget of NULL is none.
CREATE OR REPLACE FUNCTION pggit.require_detection_arguments(
    p_lookback_hours integer,
    p_sigma_threshold numeric,
    p_baseline_days integer,
    p_direction text,
    p_false_alarm_budget numeric,
    p_min_ratio numeric,
    p_min_samples integer
)
RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_problem text := CASE
        WHEN p_lookback_hours IS NULL OR p_lookback_hours NOT BETWEEN 1 AND 8784
            THEN format('p_lookback_hours is %s, it must be between 1 and 8784', coalesce(p_lookback_hours::text, 'NULL'))
        WHEN p_sigma_threshold IS NULL OR NOT (p_sigma_threshold > 0 AND p_sigma_threshold < 1000)
            THEN format(
                'p_sigma_threshold is %s, it must be above 0 and below 1000', coalesce(p_sigma_threshold::text, 'NULL')
            )
        WHEN p_baseline_days IS NULL OR p_baseline_days NOT BETWEEN 1 AND 366
            THEN format('p_baseline_days is %s, it must be between 1 and 366', coalesce(p_baseline_days::text, 'NULL'))
        WHEN p_direction IS NULL OR p_direction NOT IN ('slow', 'fast', 'both')
            THEN format('p_direction is %s, it must be slow, fast or both', coalesce(left(p_direction, 60), 'NULL'))
        WHEN NOT (p_false_alarm_budget > 0 AND p_false_alarm_budget < 1000000)
            THEN format('p_false_alarm_budget is %s, it must be above 0, or NULL for none', p_false_alarm_budget)
        WHEN p_min_ratio IS NULL OR NOT (p_min_ratio >= 1 AND p_min_ratio < 1000000)
            THEN format('p_min_ratio is %s, it must be one at least', coalesce(p_min_ratio::text, 'NULL'))
        WHEN p_min_samples IS NULL OR p_min_samples < 2
            THEN format('p_min_samples is %s, it must be two at least', coalesce(p_min_samples::text, 'NULL'))
    END;
BEGIN
    IF v_problem IS NOT NULL THEN
        RAISE EXCEPTION '%', v_problem USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;

COMMENT ON FUNCTION pggit.require_detection_arguments(integer, numeric, integer, text, numeric, numeric, integer) IS
'Raises an error that names the argument with which anomalies can''t be looked for.';

REVOKE EXECUTE ON FUNCTION pggit.require_detection_arguments(
    integer, numeric, integer, text, numeric, numeric, integer
) FROM PUBLIC;
