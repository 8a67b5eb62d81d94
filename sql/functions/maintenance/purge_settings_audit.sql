-- Retention of the record of who changed which notification setting. It has a limit of its own, long by default,
-- because it answers questions of audits rather than of operations; it holds no address and no secret.
CREATE OR REPLACE FUNCTION pggit.purge_settings_audit(
    p_older_than interval DEFAULT '1095 days',
    p_batch integer DEFAULT 10000
)
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
SET lock_timeout = '500ms'
AS $$
DECLARE
    v_deleted bigint;
BEGIN
    IF p_older_than IS NULL OR p_older_than < interval '1 day' THEN
        RAISE EXCEPTION 'p_older_than is %, it must be one day at least', coalesce(p_older_than::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF p_batch IS NULL OR p_batch < 1 THEN
        RAISE EXCEPTION 'p_batch is %, it must be one at least', coalesce(p_batch::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    DELETE FROM pggit.notification_settings_audit AS audit
    WHERE audit.audit_id = ANY (ARRAY(
        SELECT old.audit_id FROM pggit.notification_settings_audit AS old
        WHERE old.changed_at < now() - p_older_than
        ORDER BY old.audit_id
        LIMIT p_batch FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS v_deleted = ROW_COUNT;
    RETURN v_deleted;
END;
$$;

COMMENT ON FUNCTION pggit.purge_settings_audit(interval, integer) IS
'Removes one batch of the record of changed notification settings that is older than the limit (three years by default); returns how many. Call it until it returns 0.';

REVOKE ALL ON FUNCTION pggit.purge_settings_audit(interval, integer) FROM PUBLIC;
