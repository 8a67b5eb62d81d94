-- A window says who muted what and why, so it stays as it was written. It may be cancelled, once, and expanded; and
-- deleted only when it is over.
CREATE OR REPLACE FUNCTION pggit.keep_snooze_history()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pggit, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.cancelled_at IS NULL AND (OLD.ends_at > now() OR OLD.schedule IS NOT NULL) THEN
            RAISE EXCEPTION 'window % is not over, so it can''t be deleted', OLD.snooze_id
                USING ERRCODE = 'restrict_violation', HINT = format('SELECT pggit.cancel_snooze(%s);', OLD.snooze_id);
        END IF;
        RETURN OLD;
    END IF;
    IF OLD.cancelled_at IS NOT NULL
        OR to_jsonb(OLD) - '{cancelled_at,cancelled_by,cancel_reason,expanded_until,problem}'::text []
        <> to_jsonb(NEW) - '{cancelled_at,cancelled_by,cancel_reason,expanded_until,problem}'::text []
    THEN
        RAISE EXCEPTION 'window % stays as it was written', OLD.snooze_id
            USING ERRCODE = 'restrict_violation', HINT = 'Make a new one with pggit.snooze_alerts, then cancel this one.';
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION pggit.keep_snooze_history() IS
'Trigger: windows are cancelled, never rewritten, and deleted only when they are over.';

CREATE OR REPLACE TRIGGER keep_snooze_history
BEFORE UPDATE OR DELETE ON pggit.alert_snooze
FOR EACH ROW EXECUTE FUNCTION pggit.keep_snooze_history();

REVOKE EXECUTE ON FUNCTION pggit.keep_snooze_history() FROM PUBLIC;
