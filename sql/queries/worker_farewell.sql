-- Say that this replica ends in order, so that its silence means nothing.
-- Parameters: worker text
-- Index: alertd_worker_pkey
UPDATE pggit.alertd_worker AS w
SET stopped_at = now(), last_beat_at = now()
WHERE w.worker = :'worker'::text;
