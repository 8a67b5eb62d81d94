-- Independent parts give 1 / sum of weights. The part that hours have in common with their neighbors does not shrink
-- like that: with memory m, n hours are worth n (1 - m) / (1 + m), and never less than one.
CREATE OR REPLACE FUNCTION pggit.weighted_mean_variance(
    p_weight double precision,
    p_weight_squares double precision,
    p_between_hours double precision,
    p_memory double precision
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT
    1 / p_weight + p_between_hours * (
        least((1 + p_memory) / (1 - p_memory) * (p_weight_squares / (p_weight * p_weight)), 1)
        - least(p_weight_squares / (p_weight * p_weight), 1)
    )
$$;

COMMENT ON FUNCTION pggit.weighted_mean_variance(double precision, double precision, double precision, double precision) IS
'Variance of a weighted mean of hours that remember one another; weight and weight_squares are sums over the hours.';

REVOKE EXECUTE ON FUNCTION pggit.weighted_mean_variance(
    double precision, double precision, double precision, double precision
) FROM PUBLIC;
