-- Say that this replica is alive.
-- Parameters: worker text, hostname text, version text
-- Index: alertd_worker_pkey
INSERT INTO pggit.alertd_worker AS w (worker, hostname, version)
VALUES (:'worker'::text, :'hostname'::text, :'version'::text)
ON CONFLICT (worker) DO UPDATE SET last_beat_at = now(), version = excluded.version, hostname = excluded.hostname;
