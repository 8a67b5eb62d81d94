-- How unusual a residual is: the least that its looks at the history allow, as the z of a normal distribution.
--   1. against the spread of the middle (robust: no outlier moves it; too eager where the tail is heavy),
--   2. against the tail above q95, from 100 metrics on and below 2,000, when the next one is the better,
--   3. against the tail above q99, from 300 metrics on.
-- Both tails are exponential but for their bend. Below the beginning of a tail z is what its share means; beyond its
-- end only the spread limits z.
CREATE OR REPLACE FUNCTION pggit.anomaly_zscore(
    p_profile pggit.performance_latency_profile, p_residual double precision
)
RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    v_bend double precision := pggit.tail_bend(p_profile);
BEGIN
    RETURN least(
        (p_residual - p_profile.q50) / pggit.known_spread(p_profile),
        CASE
            WHEN p_profile.sample_count < 100 OR p_profile.sample_count >= 2000 THEN NULL
            WHEN p_residual > p_profile.q95 THEN pggit.zscore_of_tail(
                ln(p_profile.share95)
                + ln(greatest(1e-100, 1 - v_bend * (p_residual - p_profile.q95) / p_profile.excess95)) / v_bend
            )
            ELSE 1.6
        END,
        CASE
            WHEN p_profile.sample_count < 300 THEN NULL
            WHEN p_residual > p_profile.q99 THEN pggit.zscore_of_tail(
                ln(p_profile.share99)
                + ln(greatest(1e-100, 1 - v_bend * (p_residual - p_profile.q99) / p_profile.excess99)) / v_bend
            )
            ELSE 2.3
        END
    );
END
$$;

COMMENT ON FUNCTION pggit.anomaly_zscore(pggit.performance_latency_profile, double precision) IS
'How unusual ln(microseconds) minus the center of its hour is under a profile, as the z of a normal distribution.';
