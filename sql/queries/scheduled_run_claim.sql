-- What: takes a slot for one lease: a new one, or one whose lease ran out or whose next try is due. No row: not ours.
-- Parameters: job, slot, worker, max_attempts. Run in one transaction after scheduled_job_lock.
-- Index: scheduled_job_run_pkey; scheduled_job_run_one_open guards against a run beside an open one.
INSERT INTO pggit.scheduled_job_run AS run (
    job, slot, status, attempt, claim_no, claimed_by, next_attempt_at, started_at
)
SELECT
    job.job,
    :'slot'::timestamptz,
    'running',
    1,
    1,
    :'worker'::text,
    clock_timestamp() + job.lease,
    clock_timestamp()
FROM pggit.scheduled_job AS job
WHERE
    job.job = :'job'::text
    AND job.enabled
    AND :'slot'::timestamptz >= job.updated_at
    AND clock_timestamp() - :'slot'::timestamptz <= job.grace
    AND NOT EXISTS (
        SELECT FROM pggit.scheduled_job_run AS other
        WHERE
            other.job = job.job
            AND (
                other.slot > :'slot'::timestamptz
                OR (other.slot < :'slot'::timestamptz AND other.next_attempt_at IS NOT NULL)
            )
    )
ON CONFLICT (job, slot) DO UPDATE
SET
    status = 'running',
    attempt = run.attempt + 1,
    claim_no = run.claim_no + 1,
    claimed_by = excluded.claimed_by,
    next_attempt_at = excluded.next_attempt_at,
    started_at = excluded.started_at,
    finished_at = NULL,
    duration_ms = NULL,
    result = NULL,
    error_message = CASE
        WHEN run.status = 'running' AND run.claimed_by IS NOT NULL
            THEN format('attempt %s died: %s was not heard of within its lease', run.attempt, run.claimed_by)
        ELSE run.error_message
    END
WHERE
    run.next_attempt_at <= clock_timestamp()
    AND run.attempt < :'max_attempts'::integer
RETURNING
    run.claim_no,
    run.attempt,
    extract(EPOCH FROM run.next_attempt_at - run.started_at)::double precision AS lease_seconds,
    run.error_message;
