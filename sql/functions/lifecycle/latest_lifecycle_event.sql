-- What was said last when an alert was acknowledged or resolved.
CREATE OR REPLACE FUNCTION pggit.latest_lifecycle_event(p_alert_id bigint, p_event text)
RETURNS TABLE (actor text, note text, role_name text, occurred_at timestamptz)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pggit, pg_temp
ROWS 1
AS $$
SELECT
    nullif(btrim(l.actor), '') AS actor,
    nullif(btrim(l.note), '') AS note,
    l.role_name,
    l.occurred_at
FROM pggit.alert_lifecycle_event AS l
WHERE l.alert_id = p_alert_id AND l.event = p_event
ORDER BY l.lifecycle_event_id DESC
LIMIT 1
$$;

COMMENT ON FUNCTION pggit.latest_lifecycle_event(bigint, text) IS
'Who acknowledged or resolved an alert last, as which role, and with what words; no row if nobody did.';

REVOKE EXECUTE ON FUNCTION pggit.latest_lifecycle_event(bigint, text) FROM PUBLIC;
