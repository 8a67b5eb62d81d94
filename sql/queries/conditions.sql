-- What: the conditions that are there, and those that were over in the last days, the worst and the oldest first.
-- Parameters: days (0: only what is there).
-- Index: alertd_condition_one_open and alertd_condition_over.
SELECT
    c.kind,
    c.subject,
    c.severity,
    c.detail,
    c.since,
    c.last_seen_at,
    c.notified_at,
    c.resolved_at,
    c.notifications,
    extract(EPOCH FROM coalesce(c.resolved_at, now()) - c.since)::double precision AS lasted_seconds
FROM pggit.alertd_condition AS c
WHERE c.resolved_at IS NULL OR c.resolved_at > now() - make_interval(days => :'days'::integer)
ORDER BY (c.resolved_at IS NULL) DESC, array_position(ARRAY['CRITICAL', 'WARNING', 'INFO'], c.severity), c.since;
