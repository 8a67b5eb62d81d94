CREATE OR REPLACE FUNCTION pggit.baseline_problems(p_baseline pggit.performance_baselines)
RETURNS SETOF text
LANGUAGE sql
STABLE
AS $$
    -- A mean that is as large as its column can hold may stand for a larger one, so it says nothing.
    SELECT problem
    FROM (
        VALUES
        (
            coalesce(
                (p_baseline).p50_microseconds <= (p_baseline).p75_microseconds
                AND (p_baseline).p75_microseconds <= (p_baseline).p90_microseconds
                AND (p_baseline).p90_microseconds <= (p_baseline).p95_microseconds
                AND (p_baseline).p95_microseconds <= (p_baseline).p99_microseconds, FALSE
            ),
            'percentiles are not in order: '
            || concat_ws(
                ', ', (p_baseline).p50_microseconds, (p_baseline).p75_microseconds, (p_baseline).p90_microseconds,
                (p_baseline).p95_microseconds, (p_baseline).p99_microseconds
            )
        ),
        (
            coalesce((p_baseline).min_microseconds > 0, FALSE),
            format('min is %s, it must be above 0', (p_baseline).min_microseconds)
        ),
        (
            coalesce((p_baseline).min_microseconds <= (p_baseline).p50_microseconds, FALSE),
            format('min %s is above p50 %s', (p_baseline).min_microseconds, (p_baseline).p50_microseconds)
        ),
        (
            coalesce((p_baseline).p99_microseconds <= (p_baseline).max_microseconds, FALSE),
            format('p99 %s is above max %s', (p_baseline).p99_microseconds, (p_baseline).max_microseconds)
        ),
        (
            coalesce((p_baseline).sample_count >= 1, FALSE),
            format('sample_count is %s, it must be one at least', (p_baseline).sample_count)
        ),
        (
            (p_baseline).sample_count IS DISTINCT FROM 1
            OR (
                (p_baseline).min_microseconds = (p_baseline).max_microseconds
                AND (p_baseline).stddev_microseconds IS NULL
            ),
            'sample_count is 1, but the figures are of more than one sample'
        ),
        (
            coalesce(
                (p_baseline).mean_microseconds >= pggit.largest_baseline_average() AND (p_baseline).mean_microseconds <> 'NaN'
                OR (p_baseline).mean_microseconds
                BETWEEN (p_baseline).min_microseconds AND (p_baseline).max_microseconds, FALSE
            ),
            format(
                'mean %s is not between min %s and max %s', (p_baseline).mean_microseconds,
                (p_baseline).min_microseconds, (p_baseline).max_microseconds
            )
        ),
        (
            (p_baseline).stddev_microseconds IS NULL
            OR (
                (p_baseline).stddev_microseconds <> 'NaN' AND (p_baseline).stddev_microseconds
                BETWEEN 0 AND (p_baseline).max_microseconds - (p_baseline).min_microseconds
            ),
            format('stddev %s is not between 0 and max - min', (p_baseline).stddev_microseconds)
        ),
        (
            coalesce((p_baseline).alert_threshold_multiplier, 1) > 0,
            format('alert_threshold_multiplier is %s, it must be above 0', (p_baseline).alert_threshold_multiplier)
        )
    ) AS rule (holds, problem)
    WHERE rule.holds IS NOT TRUE
$$;

COMMENT ON FUNCTION pggit.baseline_problems(pggit.performance_baselines) IS
'What is wrong with the figures of a baseline, one line per problem; no row if they are sound.';

REVOKE EXECUTE ON FUNCTION pggit.baseline_problems(pggit.performance_baselines) FROM PUBLIC;
