-- Say that this replica is alive; one that comes back under its old name has started anew.
-- Parameters: worker text, hostname text, version text
-- Index: alertd_worker_pkey
INSERT INTO pggit.alertd_worker AS w (worker, hostname, version)
VALUES (:'worker'::text, :'hostname'::text, :'version'::text)
ON CONFLICT (worker) DO UPDATE
SET
    last_beat_at = now(),
    version = excluded.version,
    hostname = excluded.hostname,
    started_at = CASE WHEN w.stopped_at IS NULL THEN w.started_at ELSE now() END,
    stopped_at = NULL;
