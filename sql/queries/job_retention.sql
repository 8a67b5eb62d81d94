-- What: removes one batch of what is older than the limit.
-- Parameters: days, batch.
-- Index: alert_notification_queue_finished.
SELECT
    purged.relation,
    purged.deleted
FROM pggit.purge_notifications(make_interval(days => :'days'::integer), :'batch'::integer) AS purged;
