-- Whether what was last told of a condition reached nobody: it failed, or waits at a destination that has broken since,
-- and nothing of it was sent or is on its way. What reached one of several was heard.
CREATE OR REPLACE FUNCTION pggit.condition_went_unheard(
    p_condition_id bigint, p_notified_at timestamptz, p_told integer []
)
RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
WITH waiting AS MATERIALIZED (
    SELECT coalesce(d.opened_at IS NOT NULL OR d.paused_until > now() + interval '1 minute', FALSE) AS is_stuck
    FROM pggit.alert_notification_queue AS q
    LEFT JOIN pggit.alert_destination AS d ON q.destination_key = d.destination_key
    WHERE q.status = 'pending'
        AND q.setting_id = ANY (p_told)
        AND q.group_key = 'pggit-alertd/SYSTEM'
        AND q.event = 'triggered'
        AND q.alert ->> 'dedup' = 'condition-' || p_condition_id
),

failed AS MATERIALIZED (
    SELECT q.queue_id
    FROM pggit.alert_notification_queue AS q
    WHERE q.status = 'failed'
        AND q.processed_at >= p_notified_at
        AND q.created_at >= p_notified_at
        AND q.event = 'triggered'
        AND q.alert ->> 'dedup' = 'condition-' || p_condition_id
)

-- What was sent is looked for last, because there may be much of it.
SELECT CASE
    WHEN EXISTS (SELECT FROM waiting WHERE NOT waiting.is_stuck) THEN FALSE
    WHEN EXISTS (SELECT FROM waiting) OR EXISTS (SELECT FROM failed) THEN NOT EXISTS (
        SELECT FROM pggit.alert_notification_queue AS q
        WHERE q.status = 'sent'
            AND q.processed_at >= p_notified_at
            AND q.created_at >= p_notified_at
            AND q.event = 'triggered'
            AND q.alert ->> 'dedup' = 'condition-' || p_condition_id
    )
    ELSE FALSE
END
$$;

COMMENT ON FUNCTION pggit.condition_went_unheard(bigint, timestamptz, integer []) IS
'Whether what was last told of a condition failed or is stuck at every destination; used by self_check.';

REVOKE EXECUTE ON FUNCTION pggit.condition_went_unheard(bigint, timestamptz, integer []) FROM PUBLIC;
