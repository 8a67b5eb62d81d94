-- What: which of these claimed notifications can't be changed now, because somebody's transaction holds their
-- row or, for a digest, that of one it speaks for. Nothing is waited for; what is free is held for this statement only.
-- Parameters: queue_ids bigint[]; worker text
-- Index: alert_notification_queue_pkey, alert_notification_queue_led
WITH mine AS MATERIALIZED (
    SELECT q.queue_id, q.queue_id AS asked
    FROM pggit.alert_notification_queue AS q
    WHERE q.queue_id = ANY(:'queue_ids'::bigint [])
    UNION ALL
    SELECT q.queue_id, q.leader_id AS asked
    FROM pggit.alert_notification_queue AS q
    WHERE q.leader_id = ANY(:'queue_ids'::bigint []) AND q.claimed_by = :'worker'::text
),

free AS MATERIALIZED (
    SELECT q.queue_id
    FROM pggit.alert_notification_queue AS q
    WHERE q.queue_id = ANY(ARRAY(SELECT mine.queue_id FROM mine))
    FOR NO KEY UPDATE OF q SKIP LOCKED
)

SELECT DISTINCT mine.asked
FROM mine
WHERE mine.queue_id NOT IN (SELECT free.queue_id FROM free);
