CREATE OR REPLACE FUNCTION pggit.require_baseline_arguments(
    p_lookback_days integer,
    p_min_samples integer,
    p_force_recalc boolean,
    p_shadow_days integer DEFAULT 0
)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
AS $$
BEGIN
    -- A hundred years keep the subtraction from a timestamp in range.
    IF p_lookback_days IS NULL OR p_lookback_days NOT BETWEEN 1 AND 36500 THEN
        RAISE EXCEPTION 'p_lookback_days is %, it must be between 1 and 36500', coalesce(p_lookback_days::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Write the number of days to look back; 7 is usual.';
    END IF;

    IF p_min_samples IS NULL OR p_min_samples < 1 THEN
        RAISE EXCEPTION 'p_min_samples is %, it must be one at least', coalesce(p_min_samples::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Write the fewest metrics to trust; 10 is usual.';
    END IF;

    IF p_force_recalc IS NULL THEN
        RAISE EXCEPTION 'p_force_recalc is NULL, it must be TRUE or FALSE'
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'TRUE applies every recalculated baseline, FALSE those that pass the rules.';
    END IF;

    IF p_shadow_days IS NULL OR p_shadow_days NOT BETWEEN 0 AND 60 THEN
        RAISE EXCEPTION 'p_shadow_days is %, it must be between 0 and 60', coalesce(p_shadow_days::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
            HINT = '0 uses a new baseline at once, 7 tries it for a week beside the old one.';
    END IF;
END;
$$;

COMMENT ON FUNCTION pggit.require_baseline_arguments(integer, integer, boolean, integer) IS
'Raises 22023 with what to write instead if an argument of a recalculation can''t be used.';

REVOKE EXECUTE ON FUNCTION pggit.require_baseline_arguments(integer, integer, boolean, integer) FROM PUBLIC;
