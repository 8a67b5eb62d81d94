-- What: looks for what is wrong with the alerting itself, tells the operators what changed, and returns what it told.
-- Parameters: thresholds (depth, percent, counts; seconds for lengths of time), jobs and slots (what should be done).
-- Index: alert_notification_queue_due, alert_notification_log_sent_at, scheduled_job_run_pkey.
SELECT
    checked.stage,
    checked.kind,
    checked.subject,
    checked.severity,
    checked.message,
    cardinality(checked.told) AS told
FROM pggit.self_check(
    p_queue_depth => :'queue_depth'::integer,
    p_queue_hold => make_interval(secs => :'queue_hold'::double precision),
    p_oldest_due => make_interval(secs => :'oldest_due'::double precision),
    p_success_percent => :'success_percent'::integer,
    p_success_minimum => :'success_minimum'::integer,
    p_job_failures => :'job_failures'::integer,
    p_worker_silence => make_interval(secs => :'worker_silence'::double precision),
    p_worker_forgotten => make_interval(secs => :'worker_forgotten'::double precision),
    p_hold => make_interval(secs => :'hold'::double precision),
    p_jobs => :'jobs'::text [],
    p_slots => :'slots'::timestamptz [],
    p_repeat => make_interval(secs => :'repeat'::double precision),
    p_clear => make_interval(secs => :'clear'::double precision),
    p_destination_paused => make_interval(secs => :'destination_paused'::double precision)
) AS checked;
