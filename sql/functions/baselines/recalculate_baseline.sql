CREATE OR REPLACE FUNCTION pggit.recalculate_baseline(
    p_operation_type text,
    p_branch_id integer DEFAULT NULL,
    p_lookback_days integer DEFAULT 7,
    p_min_samples integer DEFAULT 10,
    p_force_recalc boolean DEFAULT FALSE
)
RETURNS TABLE (
    operation_type text,
    baseline_id bigint,
    sample_count integer,
    p99_old_ms numeric,
    p99_new_ms numeric,
    percent_change numeric,
    method text
)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
BEGIN
    IF p_operation_type IS NULL THEN
        RAISE EXCEPTION 'p_operation_type is NULL, it must name an operation'
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'For all of them: SELECT * FROM pggit.recalculate_all_baselines_rolling().';
    END IF;

    RETURN QUERY
    SELECT * FROM pggit.recalculate_baselines(
        p_lookback_days, p_min_samples, p_force_recalc, p_operation_type, p_branch_id, 0
    );
END;
$$;

COMMENT ON FUNCTION pggit.recalculate_baseline(text, integer, integer, integer, boolean) IS
'Recalculates the baseline of one operation by the rules of recalculate_all_baselines_rolling, whether it is tracked or not; with p_branch_id that branch''s own, from its metrics alone, always exactly. No row: it has too few metrics (or none, or nobody knows it or the branch), its p99 is within 5 % or noise, or the candidate is held.';

REVOKE ALL ON FUNCTION pggit.recalculate_baseline(text, integer, integer, integer, boolean) FROM PUBLIC;
