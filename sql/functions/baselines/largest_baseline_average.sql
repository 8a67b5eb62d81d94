-- pgGit declares mean and stddev numeric(12,2), which ends at 2.8 hours; the tables that we create hold any duration.
CREATE OR REPLACE FUNCTION pggit.largest_baseline_average()
RETURNS numeric
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
    SELECT min((repeat('9', digits.before) || '.' || repeat('9', digits.behind))::numeric)
    FROM pg_catalog.pg_attribute AS a
    CROSS JOIN LATERAL (
        SELECT
            ((a.atttypmod - 4) >> 16 & 65535) - ((a.atttypmod - 4) & 2047) AS before,
            (a.atttypmod - 4) & 2047 AS behind
    ) AS digits
    WHERE a.attrelid = 'pggit.performance_baselines'::regclass
        AND a.attname IN ('mean_microseconds', 'stddev_microseconds')
        AND a.atttypmod >= 4
$$;

COMMENT ON FUNCTION pggit.largest_baseline_average() IS
'The largest mean and stddev, in microseconds, that the columns of performance_baselines hold; NULL if they hold any.';

REVOKE EXECUTE ON FUNCTION pggit.largest_baseline_average() FROM PUBLIC;
