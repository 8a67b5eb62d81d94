-- Route alert events each in a subtransaction of its own, after one of them made routing them together fail.
-- An event that can't be routed leaves a log row that says why, so nothing is lost: mend the cause, then call
-- notify_on_alert. Only errors that data can cause end here; a lost lock or a full disk goes up to the caller.
CREATE OR REPLACE FUNCTION pggit.queue_alerts_one_by_one(
    p_alert_ids bigint [],
    p_events text [],
    p_occurred_at timestamptz [],
    p_horizon_critical interval DEFAULT '24 hours',
    p_horizon interval DEFAULT '4 hours',
    p_setting_ids integer [] DEFAULT NULL,
    p_notes text [] DEFAULT NULL
)
RETURNS TABLE (queued integer, refused integer, unfinished bigint [], suppressed jsonb)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_queued integer;
    v_refused integer;
    v_unfinished bigint[];
    v_suppressed jsonb;
BEGIN
    queued := 0;
    refused := 0;
    unfinished := '{}';
    suppressed := '{}';
    FOR i IN 1..coalesce(cardinality(p_alert_ids), 0) LOOP
        BEGIN
            SELECT r.queued, r.refused, r.unfinished, r.suppressed
            INTO v_queued, v_refused, v_unfinished, v_suppressed
            FROM pggit.queue_alert_notifications(
                p_alert_ids[i:i], p_events[i:i], p_occurred_at[i:i], p_horizon_critical, p_horizon,
                p_setting_ids[i:i], p_notes[i:i]
            ) AS r;
            queued := queued + v_queued;
            refused := refused + v_refused;
            unfinished := unfinished || v_unfinished;
            SELECT coalesce(jsonb_object_agg(total.reason, total.times), '{}') INTO suppressed
            FROM (
                SELECT part.reason, sum(part.times::bigint) AS times
                FROM (VALUES (suppressed), (v_suppressed)) AS counts (by_reason)
                CROSS JOIN LATERAL jsonb_each_text(counts.by_reason) AS part (reason, times)
                GROUP BY part.reason
            ) AS total;
        EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded OR raise_exception THEN
            refused := refused + 1;
            INSERT INTO pggit.alert_notification_log
            (alert_id, event, channel, recipient, status, reason, error_message)
            VALUES (
                p_alert_ids[i], p_events[i], 'none', '(none)', 'failed', 'internal',
                format('the alert could not be routed: %s (%s)', left(SQLERRM, 500), SQLSTATE)
            );
        END;
    END LOOP;
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION pggit.queue_alerts_one_by_one(
    bigint [], text [], timestamptz [], interval, interval, integer [], text []
) IS
'Routes alert events one by one, so that one that can''t be routed doesn''t hold up the others; used by route_alerts.';

REVOKE EXECUTE ON FUNCTION pggit.queue_alerts_one_by_one(
    bigint [], text [], timestamptz [], interval, interval, integer [], text []
) FROM PUBLIC;
