-- What: closes the older run that nobody works on any more, because a newer slot of its job takes its place.
-- Parameters: job, slot (the newer one), error_message (used when the run's worker vanished).
-- Index: scheduled_job_run_one_open.
UPDATE pggit.scheduled_job_run AS run
SET
    status = 'failed',
    claim_no = run.claim_no + 1,
    next_attempt_at = NULL,
    finished_at = coalesce(run.finished_at, clock_timestamp()),
    error_message = CASE WHEN run.status = 'running' THEN :'error_message'::text ELSE run.error_message END
WHERE
    run.job = :'job'::text
    AND run.next_attempt_at IS NOT NULL
    AND run.slot < :'slot'::timestamptz
    AND (run.status = 'failed' OR run.next_attempt_at <= clock_timestamp())
RETURNING run.slot;
