CREATE OR REPLACE FUNCTION pggit.baseline_is_capped(p_candidate jsonb)
RETURNS boolean
LANGUAGE sql
STABLE
AS $$
    SELECT coalesce(
        greatest((p_candidate ->> 'mean_microseconds')::numeric, (p_candidate ->> 'stddev_microseconds')::numeric)
        >= pggit.largest_baseline_average(), FALSE
    )
$$;

COMMENT ON FUNCTION pggit.baseline_is_capped(jsonb) IS
'True if the mean or the stddev of a candidate, a row of performance_baselines as JSON, is as large as its column can hold, and may stand for more.';

REVOKE EXECUTE ON FUNCTION pggit.baseline_is_capped(jsonb) FROM PUBLIC;
