-- How many standard deviations out of a normal distribution are as improbable. The argument is the logarithm of the
-- probability, because the tails in question (1e-400) are far below what a double precision number can hold.
-- Abramowitz and Stegun 26.2.23: off by 4.5e-4 at most. Above a half there is no upper tail, and the result is 0.
-- In plpgsql, which keeps its plan: an SQL function that can't be inlined is planned anew wherever it is called.
CREATE OR REPLACE FUNCTION pggit.zscore_of_tail(p_log_probability double precision)
RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    v_root double precision := sqrt(greatest(-2 * p_log_probability, 2 * ln(2::double precision)));
BEGIN
    IF p_log_probability IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN greatest(
        0,
        v_root - (2.515517 + 0.802853 * v_root + 0.010328 * v_root * v_root)
        / (1 + 1.432788 * v_root + 0.189269 * v_root * v_root + 0.001308 * v_root * v_root * v_root)
    );
END
$$;

COMMENT ON FUNCTION pggit.zscore_of_tail(double precision) IS
'z for which a normal distribution has that upper tail probability, given as its natural logarithm; 0 from ln(0.5) up.';

REVOKE EXECUTE ON FUNCTION pggit.zscore_of_tail(double precision) FROM PUBLIC;
