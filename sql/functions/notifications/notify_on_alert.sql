-- Route one alert now, for people who live in psql. Idempotent: what is queued already is not queued again.
-- The outbox row is locked first. A router that has it is waited for, a moment; a router that comes later passes by. In
-- the other order the two could wait for each other, or the router for as long as the caller's transaction stays open.
CREATE OR REPLACE FUNCTION pggit.notify_on_alert(p_alert_id bigint)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_waiting_since timestamptz;
    v_occurred_at timestamptz;
    v_queued integer;
    v_unfinished bigint[];
BEGIN
    PERFORM pggit.require_alert_reader();
    SELECT o.occurred_at INTO v_waiting_since
    FROM pggit.alert_outbox AS o
    WHERE o.alert_id = p_alert_id AND o.event = 'triggered'
    FOR UPDATE OF o;

    SELECT coalesce(v_waiting_since, a.created_at::timestamptz) INTO v_occurred_at
    FROM pggit.performance_alerts AS a
    WHERE a.alert_id = p_alert_id;
    IF NOT FOUND THEN
        RAISE NOTICE 'there is no alert %; nothing was queued', coalesce(p_alert_id::text, 'NULL');
        RETURN;
    END IF;

    SELECT r.queued, r.unfinished INTO v_queued, v_unfinished
    FROM pggit.queue_alert_notifications(ARRAY[p_alert_id], ARRAY['triggered'], ARRAY[v_occurred_at]) AS r;
    IF cardinality(v_unfinished) = 0 THEN
        DELETE FROM pggit.alert_outbox AS o WHERE o.alert_id = p_alert_id AND o.event = 'triggered';
    END IF;
    IF v_queued > 0 THEN
        PERFORM pg_notify('pggit_alert', '');
    END IF;
END
$$;

COMMENT ON FUNCTION pggit.notify_on_alert(bigint) IS
'Queues the notifications of one alert, one per matching enabled setting; repeating it adds none. '
'An unknown alert or NULL queues nothing and says so in a NOTICE.';
