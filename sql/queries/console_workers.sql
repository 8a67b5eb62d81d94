-- What: replicas that have given a sign of life within a day; alive means within three beats of 30 s.
-- Parameters: none.
-- Index: none; there are as many rows as replicas that ever ran.
SELECT
    w.worker,
    w.hostname,
    w.version,
    w.started_at,
    w.last_beat_at,
    w.last_beat_at >= now() - interval '90 seconds' AS alive
FROM pggit.alertd_worker AS w
WHERE w.last_beat_at >= now() - interval '1 day'
ORDER BY w.last_beat_at DESC, w.worker ASC
LIMIT 50;
