-- What: writes what came of a run, if the fence still matches; no row: somebody else has it. Sent twice, no harm.
-- Parameters: job, slot, claim_no, worker, status, result (json or null), error_message, retry_in (seconds or null).
-- Index: scheduled_job_run_pkey.
UPDATE pggit.scheduled_job_run AS run
SET
    status = :'status'::text,
    next_attempt_at = clock_timestamp() + make_interval(secs => :'retry_in'::double precision),
    finished_at = clock_timestamp(),
    duration_ms = extract(EPOCH FROM clock_timestamp() - run.started_at) * 1000,
    result = :'result'::jsonb,
    error_message = coalesce(:'error_message'::text, run.error_message)
WHERE
    run.job = :'job'::text
    AND run.slot = :'slot'::timestamptz
    AND run.claim_no = :'claim_no'::integer
    AND run.claimed_by = :'worker'::text
RETURNING run.duration_ms;
