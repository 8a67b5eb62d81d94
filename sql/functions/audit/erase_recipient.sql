-- Forget a person's mail address: out of every setting, and masked wherever a text that was kept may hold it.
-- Settings that lose their last recipient stay, and say so by their usual warning; what is queued for them fails.
-- The audit keeps who asked and how much was touched, without the address. Queue rows are locked in the order in which
-- acks lock them, so the two can't block each other. Reads queue and log from end to end: a rare, slow, thorough thing.
CREATE OR REPLACE FUNCTION pggit.erase_recipient(p_address text)
RETURNS TABLE (relation text, touched bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_address text := lower(btrim(p_address));
    v_digest text;
    v_touched jsonb := jsonb '{}';
BEGIN
    IF v_address IS NULL OR v_address !~ '^[^@[:space:],;<>"\\]+@[^@[:space:],;<>"\\]+$' THEN
        RAISE EXCEPTION 'p_address is something else, it must be one mail address'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give one address, such as ''ops@example.com''.';
    END IF;
    -- The name a recipient has in the queue's list of those who need no further mail.
    v_digest := left(encode(sha256(convert_to(v_address, 'UTF8')), 'hex'), 16);

    relation := 'alert_notification_settings';
    UPDATE pggit.alert_notification_settings AS s
    SET
        config = pggit.config_without_address(s.config, v_address),
        name = pggit.without_address(s.name, v_address)
    WHERE pggit.config_without_address(s.config, v_address) IS DISTINCT FROM s.config
        OR pggit.holds_address(s.name, v_address);
    GET DIAGNOSTICS touched = ROW_COUNT;
    v_touched := v_touched || jsonb_build_object(relation, touched);
    RETURN NEXT;

    relation := 'alert_notification_settings, other keys of config: mend by hand';
    SELECT count(*) INTO touched
    FROM pggit.alert_notification_settings AS s
    WHERE pggit.holds_address(s.config::text, v_address);
    v_touched := v_touched || jsonb_build_object(relation, touched);
    RETURN NEXT;

    relation := 'alert_notification_queue';
    WITH held AS MATERIALIZED (
        SELECT q.queue_id
        FROM pggit.alert_notification_queue AS q
        WHERE pggit.holds_address(
            concat_ws(' ', q.error_message, q.message, q.recipient, q.alert::text, q.metadata::text), v_address
        )
            OR v_digest = ANY (q.settled)
        ORDER BY q.queue_id
        FOR UPDATE OF q
    )

    UPDATE pggit.alert_notification_queue AS q
    SET
        error_message = pggit.without_address(q.error_message, v_address),
        message = pggit.without_address(q.message, v_address),
        recipient = pggit.without_address(q.recipient, v_address),
        alert = pggit.without_address(q.alert::text, v_address)::jsonb,
        metadata = pggit.without_address(q.metadata::text, v_address)::jsonb,
        settled = array_remove(q.settled, v_digest)
    WHERE q.queue_id = ANY (ARRAY(SELECT held.queue_id FROM held));
    GET DIAGNOSTICS touched = ROW_COUNT;
    v_touched := v_touched || jsonb_build_object(relation, touched);
    RETURN NEXT;

    relation := 'alert_notification_log';
    UPDATE pggit.alert_notification_log AS l
    SET
        error_message = pggit.without_address(l.error_message, v_address),
        recipient = pggit.without_address(l.recipient, v_address),
        worker = pggit.without_address(l.worker, v_address)
    WHERE pggit.holds_address(concat_ws(' ', l.error_message, l.recipient, l.worker), v_address);
    GET DIAGNOSTICS touched = ROW_COUNT;
    v_touched := v_touched || jsonb_build_object(relation, touched);
    RETURN NEXT;

    relation := 'alert_destination';
    UPDATE pggit.alert_destination AS d
    SET
        last_error = pggit.without_address(d.last_error, v_address),
        open_reason = pggit.without_address(d.open_reason, v_address),
        recipient = pggit.without_address(d.recipient, v_address)
    WHERE pggit.holds_address(concat_ws(' ', d.last_error, d.open_reason, d.recipient), v_address);
    GET DIAGNOSTICS touched = ROW_COUNT;
    v_touched := v_touched || jsonb_build_object(relation, touched);
    RETURN NEXT;

    relation := 'notification_settings_audit';
    UPDATE pggit.notification_settings_audit AS a
    SET
        before = pggit.without_address(a.before::text, v_address)::jsonb,
        after = pggit.without_address(a.after::text, v_address)::jsonb
    WHERE pggit.holds_address(concat_ws(' ', a.before::text, a.after::text), v_address);
    GET DIAGNOSTICS touched = ROW_COUNT;
    v_touched := v_touched || jsonb_build_object(relation, touched);
    RETURN NEXT;

    INSERT INTO pggit.notification_settings_audit
    (action, session_user_name, current_user_name, application_name, after)
    VALUES (
        'ERASE', session_user,
        CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role') END,
        left(current_setting('application_name'), 200), v_touched
    );
END
$$;

COMMENT ON FUNCTION pggit.erase_recipient(text) IS
'Takes a mail address out of every setting and masks it in queue, log, destinations and audit; one row for each table with how many rows were touched. Audited without the address.';

REVOKE EXECUTE ON FUNCTION pggit.erase_recipient(text) FROM PUBLIC;
