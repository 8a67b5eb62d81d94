-- Accepted, and said: who writes the row is there to read it.
CREATE OR REPLACE FUNCTION pggit.warn_of_idle_settings()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_problem text;
BEGIN
    IF TG_TABLE_NAME = 'anomaly_whitelist' THEN
        v_problem := format('entry %s of anomaly_whitelist: ', new.whitelist_id) || pggit.idle_whitelist_problem(new);
    ELSE
        v_problem := format('row %s of anomaly_detection_settings: ', left(new.operation_type, 200))
            || pggit.idle_setting_problem(new.operation_type);
    END IF;
    IF v_problem IS NOT NULL THEN
        RAISE WARNING '%', v_problem USING HINT = 'SELECT * FROM pggit.idle_anomaly_settings() lists such rows.';
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION pggit.warn_of_idle_settings() IS
'Trigger: warns of a row of anomaly_detection_settings or anomaly_whitelist that counts for nothing; it is stored.';

REVOKE EXECUTE ON FUNCTION pggit.warn_of_idle_settings() FROM PUBLIC;

CREATE OR REPLACE TRIGGER warn_of_idle_settings
AFTER INSERT OR UPDATE ON pggit.anomaly_detection_settings
FOR EACH ROW EXECUTE FUNCTION pggit.warn_of_idle_settings();

CREATE OR REPLACE TRIGGER warn_of_idle_settings
AFTER INSERT OR UPDATE ON pggit.anomaly_whitelist
FOR EACH ROW EXECUTE FUNCTION pggit.warn_of_idle_settings();
