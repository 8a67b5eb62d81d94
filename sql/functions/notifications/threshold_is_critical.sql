-- pgGit writes every THRESHOLD_EXCEEDED alert as WARNING, however far beyond; this is where far enough is decided,
-- when the alert is routed, so that its writer pays nothing. The table has a handful of rules, read for threshold
-- alerts only.
CREATE OR REPLACE FUNCTION pggit.threshold_is_critical(
    p_operation_type text,
    p_alert_type text,
    p_duration_microseconds bigint,
    p_p99_microseconds bigint
)
RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
BEGIN
    IF p_alert_type = 'THRESHOLD_EXCEEDED' AND p_p99_microseconds > 0 AND p_duration_microseconds > p_p99_microseconds THEN
        RETURN coalesce(p_duration_microseconds >= p_p99_microseconds * (
            SELECT rule.critical_multiple
            FROM pggit.alert_severity_rule AS rule
            WHERE pggit.glob_matches(p_operation_type, rule.operation_pattern)
            ORDER BY length(rule.operation_pattern) DESC, rule.operation_pattern
            LIMIT 1
        ), FALSE);
    END IF;
    RETURN FALSE;
END
$$;

COMMENT ON FUNCTION pggit.threshold_is_critical(text, text, bigint, bigint) IS
'True if a THRESHOLD_EXCEEDED alert is CRITICAL by its multiple of p99, see alert_severity_rule; false for other types, without a rule, and where a figure is NULL or p99 is 0.';

REVOKE EXECUTE ON FUNCTION pggit.threshold_is_critical(text, text, bigint, bigint) FROM PUBLIC;
