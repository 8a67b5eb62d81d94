-- Take failed notifications off the dead letters; see the function.
-- Parameters: queue_ids bigint[], reason text
-- Index: alert_notification_queue_pkey
SELECT d.queue_id, d.discarded, d.problem
FROM pggit.discard_notifications(:'queue_ids'::bigint [], :'reason'::text) AS d;
