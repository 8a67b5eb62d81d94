CREATE OR REPLACE FUNCTION pggit.require_correlation_arguments(
    p_lookback_hours integer,
    p_correlation_threshold numeric,
    p_min_buckets integer,
    p_min_diff_correlation numeric,
    p_max_lag_hours integer,
    p_as_of timestamp
)
RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
BEGIN
    IF p_lookback_hours IS NULL OR p_lookback_hours NOT BETWEEN 1 AND 2160 THEN
        RAISE EXCEPTION 'p_lookback_hours is %, it must be between 1 and 2160', coalesce(p_lookback_hours::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Write the number of hours to look at; 24 is usual.';
    END IF;
    -- Not above 0: below, operations that move against each other would be told to degrade together.
    IF p_correlation_threshold IS NULL OR p_correlation_threshold NOT BETWEEN 0 AND 1 THEN
        RAISE EXCEPTION 'p_correlation_threshold is %, it must be between 0 and 1',
            coalesce(p_correlation_threshold::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Write the least correlation to ask for; 0.7 is usual.';
    END IF;
    IF p_min_buckets IS NULL OR p_min_buckets < 3 THEN
        RAISE EXCEPTION 'p_min_buckets is %, it must be 3 at least', coalesce(p_min_buckets::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Two hours always lie on a line. Write the fewest hours in common to trust; 12 is usual.';
    END IF;
    IF p_min_diff_correlation IS NULL OR p_min_diff_correlation NOT BETWEEN -1 AND 1 THEN
        RAISE EXCEPTION 'p_min_diff_correlation is %, it must be between -1 and 1',
            coalesce(p_min_diff_correlation::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Write the least correlation of the changes from hour to hour; 0 is usual.';
    END IF;
    IF p_max_lag_hours IS NULL OR p_max_lag_hours NOT BETWEEN 0 AND 2160 THEN
        RAISE EXCEPTION 'p_max_lag_hours is %, it must be between 0 and 2160', coalesce(p_max_lag_hours::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Write how many hours apart the two may have begun; 1 is usual.';
    END IF;
    PERFORM pggit.require_degradation_arguments(24, 20, 7, 4, p_as_of);
END
$$;

COMMENT ON FUNCTION pggit.require_correlation_arguments(integer, numeric, integer, numeric, integer, timestamp) IS
'Raises 22023 with what to write instead if an argument of detect_correlated_degradation can''t be used.';

REVOKE EXECUTE ON FUNCTION pggit.require_correlation_arguments(
    integer, numeric, integer, numeric, integer, timestamp
) FROM PUBLIC;
