-- How many times longer than usual, as performance_alerts can hold it: on pgGit the column is numeric(6,2).
CREATE OR REPLACE FUNCTION pggit.violation_multiplier(p_microseconds bigint, p_typical_microseconds bigint)
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT least(round(p_microseconds::numeric / greatest(p_typical_microseconds, 1), 2), 9999.99)
WHERE p_microseconds IS NOT NULL AND p_typical_microseconds IS NOT NULL
$$;

COMMENT ON FUNCTION pggit.violation_multiplier(bigint, bigint) IS
'Duration divided by what is typical, 9999.99 at most; NULL where either is unknown.';

REVOKE EXECUTE ON FUNCTION pggit.violation_multiplier(bigint, bigint) FROM PUBLIC;
