-- Take the escalation steps that are due, for those who only want to know how many were told: people at psql, and
-- daemons of a release that does not count what was put off.
CREATE OR REPLACE FUNCTION pggit.escalate_unacknowledged(p_limit integer DEFAULT 100)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
BEGIN
    RETURN (SELECT s.queued FROM pggit.take_escalation_steps(p_limit) AS s);
END
$$;

COMMENT ON FUNCTION pggit.escalate_unacknowledged(integer) IS
'Tells the next setting of each chain whose CRITICAL alert nobody acknowledged in time; returns how many were queued. '
'The daemon does it by itself; calling it from psql is safe at any time.';

REVOKE EXECUTE ON FUNCTION pggit.escalate_unacknowledged(integer) FROM PUBLIC;
