-- How many replicas gave a sign of life a moment ago and have not ended since.
-- Parameters: seconds double precision
-- Index: none; there is one row for each replica of the last weeks.
SELECT count(*) AS workers
FROM pggit.alertd_worker AS w
WHERE w.stopped_at IS NULL AND w.last_beat_at > now() - make_interval(secs => :'seconds'::double precision);
