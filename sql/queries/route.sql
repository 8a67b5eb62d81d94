-- Route what waits in the outbox; see the function.
-- Parameters: limit integer, horizon_critical double precision (seconds), horizon double precision (seconds)
-- Index: alert_outbox_pkey
-- Not synchronous: if a crash of the server undoes it, the outbox row is back and is routed again.
SELECT
    r.alerts_routed, r.notifications_queued, r.notifications_refused, r.notifications_suppressed,
    set_config('synchronous_commit', 'off', TRUE)
FROM pggit.route_alerts(
    :'limit'::integer,
    make_interval(secs => :'horizon_critical'::double precision),
    make_interval(secs => :'horizon'::double precision),
    FALSE
) AS r;
