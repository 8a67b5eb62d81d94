-- A shift that is added, changed or taken away says at once whom its setting reaches, also for what waits already.
CREATE OR REPLACE FUNCTION pggit.follow_oncall_shift()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM pggit.follow_moved_endpoints(OLD.setting_id, OLD.destination_key);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM pggit.follow_moved_endpoints(NEW.setting_id);
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION pggit.follow_oncall_shift() IS
'Trigger: moves what waits for a setting when its on-call shifts change.';

CREATE OR REPLACE TRIGGER follow_oncall_shift
AFTER INSERT OR UPDATE OR DELETE ON pggit.oncall_shift
FOR EACH ROW EXECUTE FUNCTION pggit.follow_oncall_shift();

REVOKE EXECUTE ON FUNCTION pggit.follow_oncall_shift() FROM PUBLIC;
