-- Send several failed notifications once more, and say of each what became of it. What another session has locked is
-- passed by and said, so that two people at once, or a person and the retention, never wait for each other.
-- One whose setting is disabled is replayed, and `problem` says that it waits for the setting all the same.
-- Hand in a few hundred at a time: each call is one transaction, and its rows are locked until it ends.
CREATE OR REPLACE FUNCTION pggit.replay_notifications(p_queue_ids bigint [])
RETURNS TABLE (queue_id bigint, replayed boolean, problem text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_disabled integer[] := ARRAY(
        SELECT s.setting_id FROM pggit.alert_notification_settings AS s WHERE s.enabled IS NOT TRUE
    );
    v_locked bigint[];
    v_parked bigint[];
    v_parked_for integer[];
BEGIN
    SELECT
        coalesce(array_agg(held.queue_id), '{}'),
        array_agg(held.queue_id ORDER BY held.queue_id) FILTER (WHERE held.setting_id = ANY (v_disabled)),
        array_agg(held.setting_id ORDER BY held.queue_id) FILTER (WHERE held.setting_id = ANY (v_disabled))
    INTO v_locked, v_parked, v_parked_for
    FROM (
        SELECT q.queue_id, q.setting_id
        FROM pggit.alert_notification_queue AS q
        WHERE q.queue_id = ANY (p_queue_ids)
        ORDER BY q.queue_id
        FOR UPDATE OF q SKIP LOCKED
    ) AS held;
    FOR queue_id IN
        SELECT DISTINCT wanted.id FROM unnest(p_queue_ids) AS wanted (id) ORDER BY wanted.id
    LOOP
        problem := pggit.replay_problem(queue_id);
        IF problem IS NULL AND queue_id <> ALL (v_locked) THEN
            problem := format('notification %s is in use by another session; try it again', queue_id);
        END IF;
        replayed := problem IS NULL AND pggit.replay_notification(queue_id);
        IF replayed AND queue_id = ANY (v_parked) THEN
            problem := format(
                'notification %s waits: setting %s is disabled, and it is sent when that is enabled',
                queue_id, v_parked_for[array_position(v_parked, queue_id)]
            );
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

COMMENT ON FUNCTION pggit.replay_notifications(bigint []) IS
'Makes failed notifications due again; one row for each, with the problem of those that can''t be sent, or not yet.';

REVOKE EXECUTE ON FUNCTION pggit.replay_notifications(bigint []) FROM PUBLIC;
