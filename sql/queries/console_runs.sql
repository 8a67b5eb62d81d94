-- What: the newest 50 runs of each job, newest first, 101 in all.
-- Parameters: job text or NULL for every job.
-- Index: scheduled_job_run_pkey, read backwards for each job.
SELECT
    run.job,
    run.slot,
    run.status,
    run.attempt,
    run.claimed_by,
    run.started_at,
    run.finished_at,
    run.next_attempt_at,
    run.duration_ms,
    run.result::text AS result,
    run.error_message
FROM pggit.scheduled_job AS job
CROSS JOIN LATERAL (
    SELECT each_run.*
    FROM pggit.scheduled_job_run AS each_run
    WHERE each_run.job = job.job
    ORDER BY each_run.slot DESC
    LIMIT 50
) AS run
WHERE :'job'::text IS NULL OR job.job = :'job'::text
ORDER BY run.slot DESC, run.job ASC
LIMIT 101;
