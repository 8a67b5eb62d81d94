-- What alerts of a setting must share to travel in one message: the values of its group_by, in that order.
CREATE OR REPLACE FUNCTION pggit.notification_group_key(
    p_group_by text [],
    p_alert_id bigint,
    p_operation_type text,
    p_alert_type text,
    p_severity text,
    p_branch text,
    p_user_name text
)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT left(coalesce(string_agg(left(CASE g.field
    WHEN 'operation_type' THEN p_operation_type
    WHEN 'alert_type' THEN p_alert_type
    WHEN 'severity' THEN p_severity
    WHEN 'branch' THEN p_branch
    WHEN 'user_name' THEN p_user_name
    WHEN 'alert_id' THEN p_alert_id::text
    WHEN 'all' THEN '*'
END, 200), '/' ORDER BY g.place), ''), 800)
FROM unnest(CASE WHEN p_group_by = '{}' THEN ARRAY['operation_type', 'alert_type'] ELSE p_group_by END)
    WITH ORDINALITY AS g (field, place)
$$;

COMMENT ON FUNCTION pggit.notification_group_key(text [], bigint, text, text, text, text, text) IS
'The group an alert belongs to under a setting''s group_by; fields that are not known, or not filled, add nothing.';

REVOKE EXECUTE ON FUNCTION pggit.notification_group_key(text [], bigint, text, text, text, text, text) FROM PUBLIC;
