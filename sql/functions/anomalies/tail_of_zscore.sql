-- The upper tail probability of a normal distribution, as its logarithm, so that z = 40 has one too.
-- Press et al., Numerical Recipes, erfcc: the probability is right to 1.2e-7 of itself, however small.
CREATE OR REPLACE FUNCTION pggit.tail_of_zscore(p_zscore double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT
    ln(0.5 * t) - p_zscore * p_zscore / 2 - 1.26551223
    + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 + t * (0.27886807
    + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))))
FROM (SELECT 1 / (1 + 0.5 * greatest(p_zscore, 0) / sqrt(2::double precision)) AS t) AS erfc
WHERE p_zscore IS NOT NULL
$$;

COMMENT ON FUNCTION pggit.tail_of_zscore(double precision) IS
'Natural logarithm of the probability that a normal distribution lies more than z standard deviations above its mean; z of 0 and more.';
