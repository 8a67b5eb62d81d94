-- Back from the scale ln(microseconds), within what a bigint holds: its logarithm is 43.7 at most.
CREATE OR REPLACE FUNCTION pggit.latency_of_log(p_log double precision)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT CASE WHEN p_log IS NOT NULL THEN exp(least(43, greatest(0, p_log)))::bigint END
$$;

COMMENT ON FUNCTION pggit.latency_of_log(double precision) IS
'Microseconds for a logarithm of them, one at least; NULL for NULL.';

REVOKE EXECUTE ON FUNCTION pggit.latency_of_log(double precision) FROM PUBLIC;
