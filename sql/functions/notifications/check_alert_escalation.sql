-- Escalate one alert if it is due, and return the severity it then has.
-- The row lock makes concurrent callers take turns, so one of them escalates. An alert that becomes CRITICAL after it
-- was routed is routed again: settings for its new severity hear of it, and nobody hears twice (unique per setting).
-- DO UPDATE rather than DO NOTHING: a router that is just routing the old severity is waited for, a moment, and the
-- alert then goes back to the outbox.
CREATE OR REPLACE FUNCTION pggit.check_alert_escalation(
    p_alert_id bigint,
    p_threshold integer DEFAULT 3,
    p_window interval DEFAULT '1 hour'
)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_alert pggit.performance_alerts;
BEGIN
    PERFORM pggit.require_alert_reader();
    IF p_threshold IS NULL OR p_threshold < 1 THEN
        RAISE EXCEPTION 'p_threshold is %, it must be one at least', coalesce(p_threshold::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The default is 3 alerts.';
    END IF;
    IF p_window IS NULL OR p_window < interval '0' THEN
        RAISE EXCEPTION 'p_window is %, it must not be negative', coalesce(p_window::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The default is 1 hour.';
    END IF;
    SELECT a.* INTO v_alert
    FROM pggit.performance_alerts AS a
    WHERE a.alert_id = p_alert_id
    FOR NO KEY UPDATE OF a;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF v_alert.severity IS DISTINCT FROM 'CRITICAL' AND (
        pggit.threshold_is_critical(
            v_alert.operation_type, v_alert.alert_type, v_alert.actual_duration_microseconds,
            v_alert.baseline_p99_microseconds
        )
        OR pggit.alert_escalation_due(
            v_alert.alert_id, v_alert.operation_type, v_alert.alert_type, v_alert.created_at, p_threshold, p_window
        )
    ) THEN
        v_alert.severity := 'CRITICAL';
        UPDATE pggit.performance_alerts AS a SET severity = v_alert.severity WHERE a.alert_id = p_alert_id;
        INSERT INTO pggit.alert_outbox (alert_id, occurred_at)
        VALUES (p_alert_id, v_alert.created_at::timestamptz)
        ON CONFLICT (alert_id, event) DO UPDATE SET routed_at = NULL;
        PERFORM pg_notify('pggit_alert', '');
    END IF;
    RETURN coalesce(v_alert.severity, 'WARNING');
END
$$;

COMMENT ON FUNCTION pggit.check_alert_escalation(bigint, integer, interval) IS
'Makes an alert CRITICAL if p_threshold earlier ones of the same operation and type lie within p_window before it, or if '
'its duration is so many times its p99 as alert_severity_rule says; returns the severity it has afterwards, NULL for an '
'unknown alert.';
