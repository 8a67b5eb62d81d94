-- Give the router what the trigger could not queue; see the function.
-- Parameters: none
-- Index: alert_notification_log_not_queued
SELECT pggit.requeue_missed_alerts() AS requeued;
