-- Park what waits for a disabled setting, and free what waits for one that is enabled again.
-- The share lock on the setting makes this and an UPDATE of `enabled` take turns, so a row can't stay parked by a race.
-- Rows somebody has locked are left: whoever holds one sees the setting's state before it sends.
CREATE OR REPLACE FUNCTION pggit.hold_disabled_notifications(p_setting_ids integer [])
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_moved integer;
BEGIN
    WITH setting AS MATERIALIZED (
        SELECT s.setting_id, coalesce(s.enabled, FALSE) AS enabled
        FROM pggit.alert_notification_settings AS s
        WHERE s.setting_id = ANY (p_setting_ids)
        ORDER BY s.setting_id
        FOR SHARE OF s
    ),

    waiting AS MATERIALIZED (
        SELECT q.queue_id
        FROM pggit.alert_notification_queue AS q
        INNER JOIN setting ON q.setting_id = setting.setting_id
        WHERE q.status = 'pending' AND q.claimed_by IS NULL AND (q.next_attempt_at = 'infinity') = setting.enabled
        ORDER BY q.queue_id
        FOR UPDATE OF q SKIP LOCKED
    )

    UPDATE pggit.alert_notification_queue AS q
    SET
        next_attempt_at = CASE WHEN q.next_attempt_at = 'infinity' THEN now() ELSE 'infinity' END,
        -- The time a row was held is not held against it: freed, it has its whole horizon again.
        give_up_at = CASE
            WHEN q.next_attempt_at = 'infinity' THEN greatest(q.give_up_at, now() + (q.give_up_at - q.created_at))
            ELSE q.give_up_at
        END
    WHERE q.queue_id = ANY (ARRAY(SELECT waiting.queue_id FROM waiting));
    GET DIAGNOSTICS v_moved = ROW_COUNT;
    RETURN v_moved;
END
$$;

COMMENT ON FUNCTION pggit.hold_disabled_notifications(integer []) IS
'Parks pending rows of disabled settings and frees those of enabled ones; returns how many moved.';

REVOKE EXECUTE ON FUNCTION pggit.hold_disabled_notifications(integer []) FROM PUBLIC;
