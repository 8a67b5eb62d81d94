-- How far out a latency lies, on the scale of logarithms, as a function of L = -ln(share of calls above it):
-- (L^shape - 1) / shape, and ln(L) for a shape of 0. A power law is straight (1), Weibull and exponential are just 0,
-- log-normal is 0.4 to 0.5 from one call in four to one in a million (the log-GW tail of de Valk, Extremes 2016).
-- In plpgsql, which keeps its plan, like zscore_of_tail.
CREATE OR REPLACE FUNCTION pggit.tail_growth(p_logarithm double precision, p_shape double precision)
RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    RETURN CASE
        WHEN abs(p_shape) < 0.0001 THEN ln(p_logarithm)
        ELSE (p_logarithm ^ p_shape - 1) / p_shape
    END;
END
$$;

COMMENT ON FUNCTION pggit.tail_growth(double precision, double precision) IS
'The logarithm of latency at which a share exp(-p_logarithm) of calls is left, for a tail of this shape and of scale 1.';

REVOKE EXECUTE ON FUNCTION pggit.tail_growth(double precision, double precision) FROM PUBLIC;
