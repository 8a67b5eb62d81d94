-- Refuse callers who may not even read alerts. Functions that run as their owner are open to the application roles of
-- weeks 1 and 2, which have no grant of ours, and to nobody with less.
CREATE OR REPLACE FUNCTION pggit.require_alert_reader()
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_caller text := CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role') END;
BEGIN
    IF NOT has_table_privilege(v_caller, 'pggit.performance_alerts', 'SELECT') THEN
        RAISE EXCEPTION 'role % may not read pggit.performance_alerts, so it may not page for them either', v_caller
            USING ERRCODE = 'insufficient_privilege', HINT = 'Grant pggit_alertd_operator to roles that need this.';
    END IF;
END
$$;

COMMENT ON FUNCTION pggit.require_alert_reader() IS
'Raises insufficient_privilege unless the session''s role may read performance_alerts.';

REVOKE EXECUTE ON FUNCTION pggit.require_alert_reader() FROM PUBLIC;
