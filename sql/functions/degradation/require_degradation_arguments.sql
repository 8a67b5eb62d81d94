-- NULL is refused for each of them, because a test with an unknown threshold finds nothing, and that reads as "stable".
-- 90 days and 400 keep the subtraction in range and the work bounded.
CREATE OR REPLACE FUNCTION pggit.require_degradation_arguments(
    p_window_hours integer,
    p_degradation_percent numeric,
    p_baseline_days integer,
    p_z_threshold numeric,
    p_as_of timestamp
)
RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
BEGIN
    IF p_window_hours IS NULL OR p_window_hours NOT BETWEEN 1 AND 2160 THEN
        RAISE EXCEPTION 'p_window_hours is %, it must be between 1 and 2160', coalesce(p_window_hours::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Write the number of hours to look at; 24 is usual.';
    END IF;
    IF p_degradation_percent IS NULL OR p_degradation_percent NOT BETWEEN 0.1 AND 1000000 THEN
        RAISE EXCEPTION 'p_degradation_percent is %, it must be between 0.1 and 1000000',
            coalesce(p_degradation_percent::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Write how much slower calls must be; 20 is usual.';
    END IF;
    IF p_baseline_days IS NULL OR p_baseline_days NOT BETWEEN 1 AND 400 THEN
        RAISE EXCEPTION 'p_baseline_days is %, it must be between 1 and 400', coalesce(p_baseline_days::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Write the days before the window to compare with; 7 is usual.';
    END IF;
    IF p_z_threshold IS NULL OR p_z_threshold NOT BETWEEN 2 AND 100 THEN
        RAISE EXCEPTION 'p_z_threshold is %, it must be between 2 and 100', coalesce(p_z_threshold::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Write the standard deviations to ask for; 4 is usual.';
    END IF;
    IF p_as_of IN ('infinity', '-infinity') OR p_as_of < '1900-01-01' OR p_as_of > '9999-12-31' THEN
        RAISE EXCEPTION 'p_as_of is %, it must be a moment between 1900 and 9999', p_as_of
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave it out, or write NULL, for now.';
    END IF;
END
$$;

COMMENT ON FUNCTION pggit.require_degradation_arguments(integer, numeric, integer, numeric, timestamp) IS
'Raises 22023 with what to write instead if an argument of a degradation detector can''t be used; p_as_of may be NULL.';

REVOKE EXECUTE ON FUNCTION pggit.require_degradation_arguments(
    integer, numeric, integer, numeric, timestamp
) FROM PUBLIC;
