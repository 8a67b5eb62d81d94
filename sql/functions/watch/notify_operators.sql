-- Tell the operators something about the daemon itself, now and once. Lasting conditions are self_check's business.
CREATE OR REPLACE FUNCTION pggit.notify_operators(
    p_condition text,
    p_severity text,
    p_message text,
    p_not_destination text DEFAULT NULL,
    p_dedup text DEFAULT NULL
)
RETURNS integer []
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_severity text := upper(btrim(p_severity));
BEGIN
    IF v_severity IS NULL OR v_severity NOT IN ('CRITICAL', 'WARNING', 'INFO') THEN
        RAISE EXCEPTION 'p_severity is %, it must be CRITICAL, WARNING or INFO', coalesce(quote_literal(left(p_severity, 40)), 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF p_condition IS NULL OR btrim(p_condition) = '' OR p_message IS NULL OR btrim(p_message) = '' THEN
        RAISE EXCEPTION 'p_condition and p_message must say something'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN pggit.queue_system_notification(
        pggit.operator_settings(v_severity, p_not_destination), 'triggered', p_condition, v_severity, p_message, p_dedup
    );
END
$$;

COMMENT ON FUNCTION pggit.notify_operators(text, text, text, text, text) IS
'Queues a SYSTEM notification for those who are told about the daemon, but not through p_not_destination; returns the settings told, empty if there is nobody.';

REVOKE EXECUTE ON FUNCTION pggit.notify_operators(text, text, text, text, text) FROM PUBLIC;
