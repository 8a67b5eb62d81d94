-- Decide that failed notifications are not to be sent any more. The rows stay until retention, no longer counted as
-- dead letters, and the log says who decided it and why. What another session has locked is passed by and said.
CREATE OR REPLACE FUNCTION pggit.discard_notifications(p_queue_ids bigint [], p_reason text)
RETURNS TABLE (queue_id bigint, discarded boolean, problem text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    v_discarded bigint[];
BEGIN
    IF coalesce(p_reason, '') !~ '[^[:space:]]' THEN
        RAISE EXCEPTION 'p_reason is empty, it must say why'
            USING ERRCODE = 'invalid_parameter_value',
            HINT = 'It is kept in the delivery log.';
    END IF;

    WITH locked AS MATERIALIZED (
        SELECT q.queue_id
        FROM pggit.alert_notification_queue AS q
        WHERE q.queue_id = ANY (p_queue_ids) AND q.status = 'failed' AND q.discarded_at IS NULL
        ORDER BY q.queue_id
        FOR UPDATE OF q SKIP LOCKED
    ),

    gone AS (
        UPDATE pggit.alert_notification_queue AS q
        SET discarded_at = now()
        WHERE q.queue_id = ANY (ARRAY(SELECT locked.queue_id FROM locked))
        RETURNING q.*
    ),

    logged AS (
        INSERT INTO pggit.alert_notification_log (
            alert_id, queue_id, setting_id, event, channel, recipient, destination_key, status, reason, error_message,
            worker
        )
        SELECT
            g.alert_id, g.queue_id, g.setting_id, g.event, g.channel, g.recipient, g.destination_key, 'suppressed',
            'discarded', left(btrim(p_reason), 500), session_user
        FROM gone AS g
    )

    SELECT coalesce(array_agg(gone.queue_id), '{}') INTO v_discarded FROM gone;

    RETURN QUERY
    SELECT
        wanted.id,
        wanted.id = ANY (v_discarded),
        CASE
            WHEN wanted.id = ANY (v_discarded) THEN NULL
            WHEN q.queue_id IS NULL THEN format('there is no notification %s', coalesce(wanted.id::text, 'NULL'))
            WHEN q.status <> 'failed' THEN format('notification %s is %s, not failed', wanted.id, q.status)
            WHEN q.discarded_at IS NOT NULL THEN format('notification %s was discarded already', wanted.id)
            ELSE format('notification %s is in use by another session; try it again', wanted.id)
        END
    FROM (SELECT DISTINCT u.id FROM unnest(p_queue_ids) AS u (id)) AS wanted
    LEFT JOIN pggit.alert_notification_queue AS q ON wanted.id = q.queue_id
    ORDER BY wanted.id;
END
$$;

COMMENT ON FUNCTION pggit.discard_notifications(bigint [], text) IS
'Takes failed notifications off the dead letters, with a reason that the log keeps; one row for each, with the problem of those that stay.';

REVOKE EXECUTE ON FUNCTION pggit.discard_notifications(bigint [], text) FROM PUBLIC;
