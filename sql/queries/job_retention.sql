-- What: removes one batch of what is older than the limits.
-- Parameters: days, audit_days, batch.
-- Index: alert_notification_queue_finished; the other tables are small.
SELECT
    purged.relation,
    purged.deleted
FROM pggit.purge_notifications(make_interval(days => :'days'::integer), :'batch'::integer) AS purged
UNION ALL
SELECT
    'notification_settings_audit' AS relation,
    pggit.purge_settings_audit(make_interval(days => :'audit_days'::integer), :'batch'::integer) AS deleted;
