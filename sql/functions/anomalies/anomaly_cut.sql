-- The residual above which anomaly_zscore exceeds a z: its looks turned around, so that an index can find what is
-- above. Also what min_ratio asks for.
CREATE OR REPLACE FUNCTION pggit.anomaly_cut(
    p_profile pggit.performance_latency_profile,
    p_zscore double precision,
    p_min_ratio double precision
)
RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    v_tail double precision := pggit.tail_of_zscore(p_zscore);
BEGIN
    IF p_profile.tail_shape IS NOT NULL THEN
        RETURN greatest(
            p_profile.q50 + ln(p_min_ratio),
            p_profile.q99 + p_profile.tail_scale * (
                pggit.tail_growth(-v_tail, p_profile.tail_shape)
                - pggit.tail_growth(-ln(p_profile.share99), p_profile.tail_shape)
            )
        );
    END IF;
    RETURN greatest(
        p_profile.q50 + ln(p_min_ratio),
        p_profile.q50 + p_zscore * pggit.known_spread(p_profile),
        CASE
            WHEN p_profile.sample_count >= 100 AND p_profile.sample_count < 2000 AND p_zscore >= 1.6
                THEN p_profile.q95 + p_profile.excess95 * greatest(0, ln(p_profile.share95) - v_tail)
        END,
        CASE
            WHEN p_profile.sample_count >= 300 AND p_zscore >= 2.3
                THEN p_profile.q99 + p_profile.excess99 * greatest(0, ln(p_profile.share99) - v_tail)
        END
    );
END
$$;

COMMENT ON FUNCTION pggit.anomaly_cut(pggit.performance_latency_profile, double precision, double precision) IS
'The residual from which on a metric is an anomaly under a profile, at a z and a ratio.';

REVOKE EXECUTE ON FUNCTION pggit.anomaly_cut(
    pggit.performance_latency_profile, double precision, double precision
) FROM PUBLIC;
