-- Two windows of the same operation never have quite the same p99: of 100 log-normal durations (sigma 0.5) each, their
-- p99s differ by more than 5 % four times in five. So a change counts only if the old p99 lies outside the 95 %
-- interval of the new one. From 10,000 samples on a p99 is firm enough for the 5 % alone to decide.
CREATE OR REPLACE FUNCTION pggit.baseline_is_noise(
    p_old_p99 bigint,
    p_p99_low bigint,
    p_p99_high bigint,
    p_sample_count integer
)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
AS $$
    SELECT coalesce(p_sample_count < 10000 AND p_old_p99 BETWEEN p_p99_low AND p_p99_high, FALSE)
$$;

COMMENT ON FUNCTION pggit.baseline_is_noise(bigint, bigint, bigint, integer) IS
'True if an old p99 can well be the p99 of new metrics, whose 95 % interval of p99 is given, and these are fewer than 10,000.';

REVOKE EXECUTE ON FUNCTION pggit.baseline_is_noise(bigint, bigint, bigint, integer) FROM PUBLIC;
