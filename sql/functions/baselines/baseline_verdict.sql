-- The rules in whole microseconds as numeric, so that exactly 5 % and exactly twice are exact. What is noise is no leap
-- either: the p99 of ten metrics is the slowest two, and doubles by chance.
CREATE OR REPLACE FUNCTION pggit.baseline_verdict(
    p_old_p99 bigint,
    p_new_p99 bigint,
    p_force_recalc boolean,
    p_is_noise boolean DEFAULT FALSE,
    p_reference_p99 bigint DEFAULT NULL
)
RETURNS text
LANGUAGE sql
IMMUTABLE
AS $$
    SELECT CASE
        WHEN p_new_p99 IS NULL THEN NULL
        WHEN p_old_p99 IS NULL THEN 'create'
        WHEN p_force_recalc THEN 'replace'
        WHEN 20 * abs(p_new_p99::numeric - p_old_p99) <= p_old_p99 THEN 'keep'
        WHEN p_is_noise THEN 'keep'
        WHEN p_new_p99 > 2 * p_old_p99::numeric OR 2 * p_new_p99::numeric < p_old_p99 THEN 'hold'
        WHEN p_new_p99 > 2 * p_reference_p99::numeric OR 2 * p_new_p99::numeric < p_reference_p99 THEN 'hold'
        ELSE 'replace'
    END
$$;

COMMENT ON FUNCTION pggit.baseline_verdict(bigint, bigint, boolean, boolean, bigint) IS
'What a recalculation does with a new p99: create (there was none), keep (5 % or less, or noise), replace (more than 5 %, or forced), hold (more than 2x or less than half of the old one or of the reference: a human decides). NULL without a new p99.';

REVOKE EXECUTE ON FUNCTION pggit.baseline_verdict(bigint, bigint, boolean, boolean, bigint) FROM PUBLIC;
