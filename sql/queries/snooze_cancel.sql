-- End a window; see the function.
-- Parameters: snooze_id bigint, reason text
-- Index: alert_snooze_pkey
SELECT pggit.cancel_snooze(:'snooze_id'::bigint, :'reason'::text) AS cancelled;
