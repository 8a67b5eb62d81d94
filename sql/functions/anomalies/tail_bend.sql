-- How fast a tail's mean excess goes on shrinking beyond q99: where a share s of the metrics above q99 is left, it is
-- s^bend of what it was. How it shrank from q95 to q99, a fifth of the metrics, is known; seven tenths of that rate are
-- used, because most tails bend less and less. Where the two differ by more than half they are not one smooth tail, and
-- a power law does not shrink: there the tail stays exponential, up to a bend too small to matter.
CREATE OR REPLACE FUNCTION pggit.tail_bend(p_profile pggit.performance_latency_profile)
RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    c_straight CONSTANT double precision := 0.000001;
    c_most CONSTANT double precision := 0.25;
BEGIN
    IF p_profile.sample_count < 300 OR p_profile.excess99 <= 0.5 * p_profile.excess95 THEN
        RETURN c_straight;
    END IF;
    RETURN least(
        c_most,
        greatest(c_straight, 0.7 * ln(p_profile.excess95 / p_profile.excess99) / ln(5::double precision))
    );
END
$$;

COMMENT ON FUNCTION pggit.tail_bend(pggit.performance_latency_profile) IS
'By how much the tail of a profile falls off faster than exponentially: the power of the share that its mean excess follows.';
