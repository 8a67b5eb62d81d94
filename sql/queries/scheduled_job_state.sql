-- What: every job with its latest run, its last success (numeric, as extra_float_digits may cut doubles to days), and
--   the database's own clock, which decides what is due.
-- Parameters: none.
-- Index: scheduled_job_run_pkey, read backwards: one row per job for the latest run, usually one for the success.
SELECT
    job.job,
    job.schedule,
    job.enabled,
    job.grace,
    job.updated_at AS since,
    clock_timestamp() AS now,
    latest.slot,
    latest.status,
    latest.attempt,
    latest.claim_no,
    latest.claimed_by,
    latest.next_attempt_at,
    extract(EPOCH FROM success.finished_at) AS last_success
FROM pggit.scheduled_job AS job
LEFT JOIN LATERAL (
    SELECT
        run.slot,
        run.status,
        run.attempt,
        run.claim_no,
        run.claimed_by,
        run.next_attempt_at
    FROM pggit.scheduled_job_run AS run
    WHERE run.job = job.job
    ORDER BY run.slot DESC
    LIMIT 1
) AS latest ON TRUE
LEFT JOIN LATERAL (
    SELECT run.finished_at
    FROM pggit.scheduled_job_run AS run
    WHERE run.job = job.job AND run.status = 'succeeded'
    ORDER BY run.slot DESC
    LIMIT 1
) AS success ON TRUE
ORDER BY job.job;
