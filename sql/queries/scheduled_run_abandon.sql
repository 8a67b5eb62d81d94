-- What: closes an open run that may not be tried again: out of attempts, out of its grace, or its job switched off.
-- Parameters: job, slot, claim_no (the one that was seen), error_message (used when no attempt left a message).
-- Index: scheduled_job_run_pkey.
UPDATE pggit.scheduled_job_run AS run
SET
    status = 'failed',
    claim_no = run.claim_no + 1,
    next_attempt_at = NULL,
    finished_at = coalesce(run.finished_at, clock_timestamp()),
    error_message = CASE
        WHEN run.status = 'failed' THEN coalesce(run.error_message, :'error_message'::text)
        ELSE :'error_message'::text
    END
WHERE
    run.job = :'job'::text
    AND run.slot = :'slot'::timestamptz
    AND run.claim_no = :'claim_no'::integer
    AND run.next_attempt_at <= clock_timestamp()
RETURNING run.status;
