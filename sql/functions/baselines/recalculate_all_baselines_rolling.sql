CREATE OR REPLACE FUNCTION pggit.recalculate_all_baselines_rolling(
    p_lookback_days integer DEFAULT 7,
    p_min_samples integer DEFAULT 10,
    p_force_recalc boolean DEFAULT FALSE,
    p_shadow_days integer DEFAULT 0
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
LANGUAGE sql
SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
    SELECT * FROM pggit.recalculate_baselines(p_lookback_days, p_min_samples, p_force_recalc, NULL, NULL, p_shadow_days)
$$;

COMMENT ON FUNCTION pggit.recalculate_all_baselines_rolling(integer, integer, boolean, integer) IS
'Recalculates the baseline of every tracked operation from the last p_lookback_days and returns those that were applied; method says how the figures were got, exact or histogram (within 1 %). Kept: fewer than p_min_samples, p99 within 5 %, or no more than noise. Held for approve_baseline, with a WARNING and without a row here: p99 above 2x or below half of the old one, or of that of four weeks ago. With p_shadow_days above 0 a replacement is first tried for so many days, see shadow_report. p_force_recalc applies all of them, because a human asked. 55P03: another run is on. Branch baselines are left alone.';

REVOKE ALL ON FUNCTION pggit.recalculate_all_baselines_rolling(integer, integer, boolean, integer) FROM PUBLIC;
