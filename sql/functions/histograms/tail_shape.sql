-- The shape of a tail from three residuals and the shares of metrics above each: about a quarter, 5 % and 1 %. How the
-- way from the second to the third compares with that from the first to the second depends on nothing else, and grows
-- with the shape, so halving finds it. A week of a thousand calls a day knows it to within 0.1 or 0.2. Two hundred
-- metrics' worth of an ordinary shape are added, because what is judged lies twice as far out as what is measured.
-- NULL for what is no smooth tail: a cache's misses, a power law and a cut-off at a time-out are outside -0.4 to 0.85.
-- Where durations come in steps so coarse that two of the three are one, only the ordinary shape is left.
CREATE OR REPLACE FUNCTION pggit.tail_shape(
    p_residuals double precision [], p_shares double precision [], p_sample_count double precision
)
RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    c_ordinary CONSTANT double precision := 0.4;
    c_weight CONSTANT double precision := 200;
    c_lowest CONSTANT double precision := -0.4;
    c_highest CONSTANT double precision := 0.85;
    v_above double precision := p_shares[3] * p_sample_count;
    v_first double precision := -ln(p_shares[1]);
    v_second double precision := -ln(p_shares[2]);
    v_third double precision := -ln(p_shares[3]);
    v_low double precision := c_lowest;
    v_high double precision := c_highest;
    v_middle double precision;
    v_ratio double precision;
BEGIN
    -- Also where a residual is NULL.
    IF (p_residuals[1] < p_residuals[3]) IS NOT TRUE THEN
        RETURN NULL;
    END IF;
    IF p_residuals[2] <= p_residuals[1] OR p_residuals[2] >= p_residuals[3] THEN
        RETURN c_ordinary;
    END IF;
    v_ratio := (p_residuals[3] - p_residuals[2]) / (p_residuals[2] - p_residuals[1]);
    FOR v_step IN 1..12 LOOP
        v_middle := (v_low + v_high) / 2;
        IF pggit.tail_growth(v_third, v_middle) - pggit.tail_growth(v_second, v_middle)
            < v_ratio * (pggit.tail_growth(v_second, v_middle) - pggit.tail_growth(v_first, v_middle))
        THEN
            v_low := v_middle;
        ELSE
            v_high := v_middle;
        END IF;
    END LOOP;
    IF v_low = c_lowest OR v_high = c_highest THEN
        RETURN NULL;
    END IF;
    RETURN (v_above * v_middle + c_weight * c_ordinary) / (v_above + c_weight);
END
$$;

COMMENT ON FUNCTION pggit.tail_shape(double precision [], double precision [], double precision) IS
'How a tail thins out, from residuals that about a quarter, 5 % and 1 % of the metrics exceed and these shares; NULL where it is not one smooth tail.';

REVOKE EXECUTE ON FUNCTION pggit.tail_shape(double precision [], double precision [], double precision) FROM PUBLIC;
