-- Dead letters that match every filter given, newest first, with their age.
-- Parameters: since_seconds double precision; channel, setting, destination, reason, severity, operation text;
-- limit bigint; each NULL for no such filter
-- Index: alert_notification_queue_dead, walked backwards; see the function.
SELECT
    d.queue_id,
    d.died_at,
    d.alert_id,
    d.event,
    d.severity,
    d.operation_type,
    d.alert_type,
    d.channel,
    d.recipient,
    d.setting_id,
    d.setting_name,
    d.destination_key,
    d.reason,
    d.attempts,
    d.error_message,
    pggit.duration_text(now() - d.died_at) AS age
FROM pggit.dead_letters(
    now() - make_interval(secs => :'since_seconds'::double precision), :'channel'::text, :'setting'::text,
    :'destination'::text, :'reason'::text, :'severity'::text, :'operation'::text, :'limit'::bigint
) AS d;
