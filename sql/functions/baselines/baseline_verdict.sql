-- The rules in whole microseconds as numeric, so that exactly 5 % and exactly twice are exact.
CREATE OR REPLACE FUNCTION pggit.baseline_verdict(p_old_p99 bigint, p_new_p99 bigint, p_force_recalc boolean)
RETURNS text
LANGUAGE sql
IMMUTABLE
AS $$
    SELECT CASE
        WHEN p_new_p99 IS NULL THEN NULL
        WHEN p_old_p99 IS NULL THEN 'create'
        WHEN p_force_recalc THEN 'replace'
        WHEN 20 * abs(p_new_p99::numeric - p_old_p99) <= p_old_p99 THEN 'keep'
        WHEN p_new_p99 > 2 * p_old_p99::numeric OR 2 * p_new_p99::numeric < p_old_p99 THEN 'hold'
        ELSE 'replace'
    END
$$;

COMMENT ON FUNCTION pggit.baseline_verdict(bigint, bigint, boolean) IS
'What a recalculation does with a new p99: create (there was none), keep (5 % or less), replace (more than 5 %, or forced), hold (more than 2x or less than half: a human decides). NULL without a new p99.';
