-- How unusual a residual is, as the z of a normal distribution. One smooth tail says it by itself. Elsewhere it is the
-- least that three looks at the history allow:
--   1. against the spread of the middle (robust: no outlier moves it; too eager where the tail is heavy),
--   2. against the tail above q95, from 100 metrics on and below 2,000, when the next one is the better,
--   3. against the tail above q99, from 300 metrics on.
-- Both tails are exponential. Below the beginning of a tail z is what its share means.
CREATE OR REPLACE FUNCTION pggit.anomaly_zscore(
    p_profile pggit.performance_latency_profile, p_residual double precision
)
RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    c_end CONSTANT double precision := 0.000001;
    c_least CONSTANT double precision := -9;
    c_most CONSTANT double precision := 9;
    v_growth double precision;
BEGIN
    -- tail_growth turned around. A shape below 0 has an end; neither exp may overflow, and z is 127 at most.
    IF p_profile.tail_shape IS NOT NULL THEN
        v_growth := pggit.tail_growth(-ln(p_profile.share99), p_profile.tail_shape)
            + (p_residual - p_profile.q99) / p_profile.tail_scale;
        RETURN pggit.zscore_of_tail(
            -exp(
                greatest(
                    c_least,
                    least(
                        c_most,
                        CASE
                            WHEN abs(p_profile.tail_shape) < 0.0001 THEN v_growth
                            ELSE ln(greatest(c_end, 1 + p_profile.tail_shape * v_growth)) / p_profile.tail_shape
                        END
                    )
                )
            )
        );
    END IF;
    RETURN least(
        (p_residual - p_profile.q50) / pggit.known_spread(p_profile),
        CASE
            WHEN p_profile.sample_count < 100 OR p_profile.sample_count >= 2000 THEN NULL
            WHEN p_residual > p_profile.q95 THEN pggit.zscore_of_tail(
                ln(p_profile.share95) - (p_residual - p_profile.q95) / p_profile.excess95
            )
            ELSE 1.6
        END,
        CASE
            WHEN p_profile.sample_count < 300 THEN NULL
            WHEN p_residual > p_profile.q99 THEN pggit.zscore_of_tail(
                ln(p_profile.share99) - (p_residual - p_profile.q99) / p_profile.excess99
            )
            ELSE 2.3
        END
    );
END
$$;

COMMENT ON FUNCTION pggit.anomaly_zscore(pggit.performance_latency_profile, double precision) IS
'How unusual ln(microseconds) minus the center of its hour is under a profile, as the z of a normal distribution.';

REVOKE EXECUTE ON FUNCTION pggit.anomaly_zscore(pggit.performance_latency_profile, double precision) FROM PUBLIC;
