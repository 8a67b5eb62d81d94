-- Make a window; see the function.
-- Parameters: reason, operation, alert_type, severity, channel, schedule, time_zone text, setting_id integer,
--   duration double precision (seconds), starts_at, ends_at timestamptz, mutes_critical boolean
-- Index: none
SELECT pggit.snooze_alerts(
    p_reason => :'reason'::text,
    p_duration => make_interval(secs => :'duration'::double precision),
    p_operation => :'operation'::text,
    p_alert_type => :'alert_type'::text,
    p_severity => :'severity'::text,
    p_setting_id => :'setting_id'::integer,
    p_channel => :'channel'::text,
    p_from => :'starts_at'::timestamptz,
    p_to => :'ends_at'::timestamptz,
    p_cron => :'schedule'::text,
    p_time_zone => :'time_zone'::text,
    p_mutes_critical => :'mutes_critical'::boolean
) AS snooze_id;
