-- Send failed notifications once more; see the function.
-- Parameters: queue_ids bigint[]
-- Index: alert_notification_queue_pkey
SELECT r.queue_id, r.replayed, r.problem
FROM pggit.replay_notifications(:'queue_ids'::bigint []) AS r;
