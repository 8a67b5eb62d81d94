-- What: hands a run back unfinished, with its attempt, to be taken again by anybody after the delay.
-- Parameters: job, slot, claim_no, worker, delay (seconds), error_message.
-- Index: scheduled_job_run_pkey.
UPDATE pggit.scheduled_job_run AS run
SET
    attempt = greatest(run.attempt - 1, 0),
    claimed_by = NULL,
    next_attempt_at = clock_timestamp() + make_interval(secs => :'delay'::double precision),
    error_message = :'error_message'::text
WHERE
    run.job = :'job'::text
    AND run.slot = :'slot'::timestamptz
    AND run.claim_no = :'claim_no'::integer
    AND run.claimed_by = :'worker'::text
    AND run.status = 'running'
RETURNING run.attempt;
