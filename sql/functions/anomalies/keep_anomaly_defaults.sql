-- The row '*' is what every operation without a row of its own goes by: without it, nothing would be looked for, and
-- nobody would be told.
CREATE OR REPLACE FUNCTION pggit.keep_anomaly_defaults()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pggit, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'the row ''*'' of anomaly_detection_settings holds the defaults and must stay'
        USING ERRCODE = 'restrict_violation',
            HINT = 'To switch detection off: UPDATE pggit.anomaly_detection_settings SET enabled = FALSE WHERE operation_type = ''*'';';
END
$$;

COMMENT ON FUNCTION pggit.keep_anomaly_defaults() IS
'Trigger: refuses to delete or rename the row of defaults.';

CREATE OR REPLACE TRIGGER keep_anomaly_defaults
BEFORE DELETE ON pggit.anomaly_detection_settings
FOR EACH ROW WHEN (old.operation_type = '*')
EXECUTE FUNCTION pggit.keep_anomaly_defaults();

CREATE OR REPLACE TRIGGER keep_renamed_anomaly_defaults
BEFORE UPDATE ON pggit.anomaly_detection_settings
FOR EACH ROW WHEN (old.operation_type = '*' AND new.operation_type IS DISTINCT FROM '*')
EXECUTE FUNCTION pggit.keep_anomaly_defaults();

REVOKE EXECUTE ON FUNCTION pggit.keep_anomaly_defaults() FROM PUBLIC;
