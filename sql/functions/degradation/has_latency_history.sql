-- Twelve hours with calls are what degradation_evidence asks for; ten calls, what a reference does.
CREATE OR REPLACE FUNCTION pggit.has_latency_history(p_operation_type text, p_from timestamp, p_to timestamp)
RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT
    count(*) >= 12
    AND coalesce(sum(of_hour.calls) FILTER (WHERE h.hour_start < date_trunc('day', p_to)), 0) >= 10
FROM pggit.latency_hours(p_operation_type, p_from, p_to) AS h
CROSS JOIN LATERAL (SELECT sum(u.calls) AS calls FROM unnest(h.counts) AS u (calls)) AS of_hour
$$;

COMMENT ON FUNCTION pggit.has_latency_history(text, timestamp, timestamp) IS
'Whether enough is known of an operation from a span of full hours to judge what follows by it.';

REVOKE EXECUTE ON FUNCTION pggit.has_latency_history(text, timestamp, timestamp) FROM PUBLIC;
