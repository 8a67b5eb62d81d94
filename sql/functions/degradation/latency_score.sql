-- How unusually slow a call was, as a normal deviate: its residual is laid on the line through the reference's median
-- (0), 75th (0.674), 95th (1.645) and 99th percentile (2.326). A mean of such scores sees a shift of narrow and of
-- two-peaked distributions far better than a mean of logarithms, and no single call can carry it: scores end at 3.2.
-- On the fast side the slope is that of the upper half, and -2.5 is the end.
-- Written so that PostgreSQL inlines it: it runs once per bucket of every hour.
CREATE OR REPLACE FUNCTION pggit.latency_score(
    p_residual double precision,
    p_q50 double precision,
    p_spread double precision,
    p_q95 double precision,
    p_q99 double precision
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT CASE
    WHEN p_residual IS NULL THEN NULL
    WHEN p_residual <= p_q50 + 0.6745 * p_spread THEN greatest((p_residual - p_q50) / p_spread, -2.5)
    WHEN p_residual <= p_q95
        THEN 0.6745 + 0.9704 * (p_residual - p_q50 - 0.6745 * p_spread) / (p_q95 - p_q50 - 0.6745 * p_spread)
    WHEN p_residual <= p_q99 THEN 1.645 + 0.681 * (p_residual - p_q95) / (p_q99 - p_q95)
    ELSE least(2.326 + 0.874 * (p_residual - p_q99) / greatest(p_q99 - p_q95, 0.02), 3.2)
END
$$;

COMMENT ON FUNCTION pggit.latency_score(
    double precision, double precision, double precision, double precision, double precision
) IS
'A residual ln(microseconds) - center as a normal deviate of the reference, between -2.5 and 3.2.';

REVOKE EXECUTE ON FUNCTION pggit.latency_score(
    double precision, double precision, double precision, double precision, double precision
) FROM PUBLIC;
