-- What could travel in one message with a notification: due, unclaimed rows of its setting, group, lane and episode.
-- Without SET, so that it is planned as a part of the statement that calls it; every name in it has its schema.
CREATE OR REPLACE FUNCTION pggit.due_companions(
    p_queue_id bigint,
    p_setting_id integer,
    p_group_key text,
    p_channel text,
    p_urgency smallint,
    p_destination_key text,
    p_settled text [],
    p_episode text
)
RETURNS TABLE (queue_id bigint, place tid)
LANGUAGE sql STABLE
AS $$
SELECT n.queue_id, n.ctid
FROM pggit.alert_notification_queue AS n
WHERE n.status = 'pending'
    AND n.setting_id = p_setting_id
    AND n.group_key = p_group_key
    AND n.channel = p_channel
    AND n.urgency = p_urgency
    AND n.destination_key = p_destination_key
    AND n.next_attempt_at <= now()
    AND n.claimed_by IS NULL
    AND n.lost_count = 0
    AND n.give_up_at > now()
    AND n.settled = p_settled
    AND n.alert ->> 'episode' IS NOT DISTINCT FROM p_episode
    AND (n.event = 'triggered' OR p_episode IS NOT NULL)
    AND n.queue_id <> p_queue_id
$$;

COMMENT ON FUNCTION pggit.due_companions(bigint, integer, text, text, smallint, text, text [], text) IS
'Notifications that may travel in one message with the named one; used by claiming.';

REVOKE EXECUTE ON FUNCTION pggit.due_companions(bigint, integer, text, text, smallint, text, text [], text) FROM PUBLIC;
