-- No row means sound, so one that is not there can't be no row: a mistyped id would pass for a good baseline.
CREATE OR REPLACE FUNCTION pggit.check_baseline_quality(p_baseline_id bigint)
RETURNS SETOF text
LANGUAGE sql
STABLE
AS $$
    SELECT CASE
        WHEN p_baseline_id IS NULL THEN 'there is no baseline NULL: p_baseline_id names one of pggit.performance_baselines'
        ELSE format('there is no baseline %s', p_baseline_id)
    END
    WHERE NOT EXISTS (
        SELECT FROM pggit.performance_baselines AS baseline WHERE baseline.baseline_id = p_baseline_id
    )
    UNION ALL
    SELECT problem
    FROM pggit.performance_baselines AS baseline
    CROSS JOIN LATERAL pggit.baseline_problems(baseline) AS problem
    WHERE baseline.baseline_id = p_baseline_id
    UNION ALL
    SELECT format('active beside baseline %s of the same operation and branch', other.baseline_id)
    FROM pggit.performance_baselines AS baseline
    INNER JOIN pggit.performance_baselines AS other
        ON baseline.operation_type = other.operation_type
            AND baseline.branch_id IS NOT DISTINCT FROM other.branch_id
            AND baseline.baseline_id <> other.baseline_id
    WHERE baseline.baseline_id = p_baseline_id AND baseline.is_active AND other.is_active
$$;

COMMENT ON FUNCTION pggit.check_baseline_quality(bigint) IS
'What is wrong with a stored baseline, one line per problem; no row if it is sound. A baseline that does not exist, or NULL, is one problem, so that no row always means sound.';

REVOKE ALL ON FUNCTION pggit.check_baseline_quality(bigint) FROM PUBLIC;
