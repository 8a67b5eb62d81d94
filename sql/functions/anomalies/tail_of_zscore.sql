-- The upper tail probability of a normal distribution, as its logarithm, so that z = 40 has one too.
-- Press et al., Numerical Recipes, erfcc: the probability is right to 1.2e-7 of itself, however small.
CREATE OR REPLACE FUNCTION pggit.tail_of_zscore(p_zscore double precision)
RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    v_t double precision := 1 / (1 + 0.5 * greatest(p_zscore, 0) / sqrt(2::double precision));
BEGIN
    RETURN ln(0.5 * v_t) - p_zscore * p_zscore / 2 - 1.26551223
        + v_t * (1.00002368 + v_t * (0.37409196 + v_t * (0.09678418 + v_t * (-0.18628806 + v_t * (0.27886807
        + v_t * (-1.13520398 + v_t * (1.48851587 + v_t * (-0.82215223 + v_t * 0.17087277))))))));
END
$$;

COMMENT ON FUNCTION pggit.tail_of_zscore(double precision) IS
'Natural logarithm of the probability that a normal distribution lies more than z standard deviations above its mean; z of 0 and more.';

REVOKE EXECUTE ON FUNCTION pggit.tail_of_zscore(double precision) FROM PUBLIC;
