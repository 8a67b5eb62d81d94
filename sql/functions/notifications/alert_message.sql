-- One line that says what happened. Alerts without a baseline get text without holes.
CREATE OR REPLACE FUNCTION pggit.alert_message(
    p_operation_type text,
    p_alert_type text,
    p_duration_microseconds bigint,
    p_baseline_microseconds bigint,
    p_factor numeric
)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
SELECT 'ALERT: ' || coalesce(left(p_operation_type, 200), 'unknown operation') || CASE
    WHEN p_alert_type = 'THRESHOLD_EXCEEDED' AND p_factor IS NOT NULL
        THEN ' exceeded baseline by ' || round(p_factor, 1)::text || 'x'
    WHEN p_alert_type = 'THRESHOLD_EXCEEDED' THEN ' exceeded its threshold'
    WHEN p_alert_type = 'ANOMALY' THEN ' behaves unusually'
    WHEN p_alert_type = 'DEGRADATION' THEN ' is getting slower'
    ELSE ' needs attention'
END || coalesce(' (' || nullif(concat_ws(
    ' vs ', pggit.milliseconds_text(p_duration_microseconds), 'baseline ' || pggit.milliseconds_text(p_baseline_microseconds)
), '') || ')', '')
$$;

COMMENT ON FUNCTION pggit.alert_message(text, text, bigint, bigint, numeric) IS
'One line of text for an alert; durations in microseconds, factor is duration / baseline.';

REVOKE EXECUTE ON FUNCTION pggit.alert_message(text, text, bigint, bigint, numeric) FROM PUBLIC;
