-- How many standard deviations out of a normal distribution are as improbable. The argument is the logarithm of the
-- probability, because the tails in question (1e-400) are far below what a double precision number can hold.
-- Abramowitz and Stegun 26.2.23: off by 4.5e-4 at most. Above a half there is no upper tail, and the result is 0.
CREATE OR REPLACE FUNCTION pggit.zscore_of_tail(p_log_probability double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT
    greatest(
        0,
        root - (2.515517 + 0.802853 * root + 0.010328 * root * root)
        / (1 + 1.432788 * root + 0.189269 * root * root + 0.001308 * root * root * root)
    )
FROM (SELECT sqrt(greatest(-2 * p_log_probability, 2 * ln(2::double precision))) AS root) AS tail
WHERE p_log_probability IS NOT NULL
$$;

COMMENT ON FUNCTION pggit.zscore_of_tail(double precision) IS
'z for which a normal distribution has that upper tail probability, given as its natural logarithm; 0 from ln(0.5) up.';
