-- Send what still fires of the alerts whose window has ended, and say which windows are open now; see the function.
-- Parameters: still, horizon_critical, horizon double precision (seconds)
-- Index: alert_muted_due, alert_snooze_occurrence_open, alert_snooze_new
SELECT
    r.released,
    r.refused,
    r.suppressed,
    w.active,
    w.lapse_seconds,
    (
        SELECT count(*) > 0 FROM pggit.alert_snooze AS s
        WHERE s.schedule IS NOT NULL AND s.expanded_until IS NULL AND s.problem IS NULL AND s.cancelled_at IS NULL
    ) AS unexpanded
FROM pggit.release_muted_alerts(
    make_interval(secs => :'still'::double precision),
    make_interval(secs => :'horizon_critical'::double precision),
    make_interval(secs => :'horizon'::double precision)
) AS r
CROSS JOIN (
    SELECT
        count(DISTINCT a.snooze_id) AS active,
        extract(EPOCH FROM min(a.ends_at) - now())::double precision AS lapse_seconds
    FROM pggit.v_active_snoozes AS a
) AS w;
