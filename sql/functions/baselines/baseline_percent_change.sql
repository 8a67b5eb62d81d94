CREATE OR REPLACE FUNCTION pggit.baseline_percent_change(p_old bigint, p_new bigint)
RETURNS numeric
LANGUAGE sql
IMMUTABLE
AS $$
    SELECT round(100.0 * (p_new::numeric - p_old) / nullif(p_old, 0), 2)
$$;

COMMENT ON FUNCTION pggit.baseline_percent_change(bigint, bigint) IS
'Change from old to new in percent, two decimals. NULL if either is NULL or the old one is 0.';

REVOKE EXECUTE ON FUNCTION pggit.baseline_percent_change(bigint, bigint) FROM PUBLIC;
