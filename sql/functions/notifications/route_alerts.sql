-- Route what waits in the outbox, oldest id first, in one transaction; replicas share the work by SKIP LOCKED.
-- An outbox row is deleted only when its alert is routed and its severity stored. One that waits for the latter only,
-- because somebody has the alert locked, steps behind the unrouted ones: a bulk UPDATE left open must not starve them.
-- Should one alert's data make routing fail, the others are routed without it.
CREATE OR REPLACE FUNCTION pggit.route_alerts(
    p_limit integer DEFAULT 500,
    p_horizon_critical interval DEFAULT '24 hours',
    p_horizon interval DEFAULT '4 hours',
    p_notify boolean DEFAULT TRUE
)
RETURNS TABLE (
    alerts_routed integer, notifications_queued integer, notifications_refused integer, notifications_suppressed jsonb
)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_alert_ids bigint[];
    v_events text[];
    v_occurred_at timestamptz[];
    v_again_ids bigint[];
    v_again_events text[];
    v_again_occurred_at timestamptz[];
    v_unfinished bigint[];
BEGIN
    IF p_limit IS NULL OR p_limit < 1 THEN
        RAISE EXCEPTION 'p_limit is %, it must be one at least', coalesce(p_limit::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT * FROM pggit.route_alerts(500);';
    END IF;
    notifications_queued := 0;
    notifications_refused := 0;
    notifications_suppressed := '{}';

    SELECT array_agg(o.alert_id), array_agg(o.event), array_agg(o.occurred_at)
    INTO v_alert_ids, v_events, v_occurred_at
    FROM (
        SELECT w.alert_id, w.event, w.occurred_at
        FROM pggit.alert_outbox AS w
        WHERE w.routed_at IS NULL
        ORDER BY w.alert_id, w.event
        LIMIT p_limit
        FOR UPDATE OF w SKIP LOCKED
    ) AS o;
    alerts_routed := coalesce(cardinality(v_alert_ids), 0);

    IF alerts_routed < p_limit THEN
        SELECT array_agg(o.alert_id), array_agg(o.event), array_agg(o.occurred_at)
        INTO v_again_ids, v_again_events, v_again_occurred_at
        FROM (
            SELECT w.alert_id, w.event, w.occurred_at
            FROM pggit.alert_outbox AS w
            WHERE w.routed_at < now() - interval '1 second'
            LIMIT p_limit - alerts_routed
            FOR UPDATE OF w SKIP LOCKED
        ) AS o;
        v_alert_ids := v_alert_ids || v_again_ids;
        v_events := v_events || v_again_events;
        v_occurred_at := v_occurred_at || v_again_occurred_at;
    END IF;

    IF v_alert_ids IS NOT NULL THEN
        BEGIN
            SELECT r.queued, r.refused, r.unfinished, r.suppressed
            INTO notifications_queued, notifications_refused, v_unfinished, notifications_suppressed
            FROM pggit.queue_alert_notifications(v_alert_ids, v_events, v_occurred_at, p_horizon_critical, p_horizon) AS r;
        EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded OR raise_exception THEN
            SELECT r.queued, r.refused, r.unfinished, r.suppressed
            INTO notifications_queued, notifications_refused, v_unfinished, notifications_suppressed
            FROM pggit.queue_alerts_one_by_one(v_alert_ids, v_events, v_occurred_at, p_horizon_critical, p_horizon) AS r;
        END;

        DELETE FROM pggit.alert_outbox AS o
        USING unnest(v_alert_ids, v_events) AS routed (alert_id, event)
        WHERE o.alert_id = routed.alert_id AND o.event = routed.event AND o.alert_id <> ALL (v_unfinished);
        IF cardinality(v_unfinished) > 0 THEN
            UPDATE pggit.alert_outbox AS o
            SET routed_at = now()
            FROM unnest(v_alert_ids, v_events) AS routed (alert_id, event)
            WHERE o.alert_id = routed.alert_id AND o.event = routed.event AND o.alert_id = ANY (v_unfinished);
        END IF;

        IF p_notify AND notifications_queued > 0 THEN
            PERFORM pg_notify('pggit_alert', '');
        END IF;
    END IF;
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION pggit.route_alerts(integer, interval, interval, boolean) IS
'Routes up to p_limit alert events from alert_outbox to the queue; returns how many alerts and notifications, and what was suppressed by reason. '
'The daemon calls it; calling it from psql is safe at any time.';

REVOKE EXECUTE ON FUNCTION pggit.route_alerts(integer, interval, interval, boolean) FROM PUBLIC;
