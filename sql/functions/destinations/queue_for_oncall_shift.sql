-- What is queued for a setting whose on-call shift is on goes to the shift's endpoint, so it waits there from the
-- start: behind its breaker and its pause, in its lane. Whoever queues knows the setting's own endpoint only.
-- Once a statement, so that it costs a look at an empty index where there are no shifts.
CREATE OR REPLACE FUNCTION pggit.queue_for_oncall_shift()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pggit.oncall_shift AS o WHERE o.starts_at <= now() AND o.ends_at > now()) THEN
        RETURN NULL;
    END IF;
    UPDATE pggit.alert_notification_queue AS q
    SET destination_key = e.destination_key, recipient = e.recipient
    FROM fresh AS f
    INNER JOIN pggit.effective_notification_config AS e ON f.setting_id = e.setting_id
    WHERE q.queue_id = ANY (ARRAY(SELECT fresh.queue_id FROM fresh))
        AND q.queue_id = f.queue_id
        AND q.status = 'pending'
        AND e.shift_id IS NOT NULL
        AND e.destination_key <> q.destination_key;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION pggit.queue_for_oncall_shift() IS
'Trigger: what is queued while an on-call shift is on waits at the shift''s endpoint.';

CREATE OR REPLACE TRIGGER queue_for_oncall_shift
AFTER INSERT ON pggit.alert_notification_queue
REFERENCING NEW TABLE AS fresh
FOR EACH STATEMENT EXECUTE FUNCTION pggit.queue_for_oncall_shift();

REVOKE EXECUTE ON FUNCTION pggit.queue_for_oncall_shift() FROM PUBLIC;
