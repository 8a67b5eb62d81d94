-- What: every job with its last success, and how its latest run ended.
-- Parameters: none.
-- Index: scheduled_job_run_pkey, read backwards: one row per job for the latest run, usually one for the success.
SELECT
    job.job,
    job.schedule,
    job.enabled,
    job.grace,
    job.updated_at AS since,
    clock_timestamp() AS now,
    success.finished_at AS last_success,
    latest.status,
    latest.error_message
FROM pggit.scheduled_job AS job
LEFT JOIN LATERAL (
    SELECT
        run.status,
        run.error_message
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
