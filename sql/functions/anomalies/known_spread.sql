-- The spread that a z of the middle is counted in. Few metrics know theirs badly, and it is taken 5/n larger.
CREATE OR REPLACE FUNCTION pggit.known_spread(p_profile pggit.performance_latency_profile)
RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    RETURN p_profile.spread * (1 + 5.0 / p_profile.sample_count);
END
$$;

COMMENT ON FUNCTION pggit.known_spread(pggit.performance_latency_profile) IS
'The spread of a profile, larger where few metrics are known.';

REVOKE EXECUTE ON FUNCTION pggit.known_spread(pggit.performance_latency_profile) FROM PUBLIC;
