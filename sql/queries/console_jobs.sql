-- What: every scheduled job with its latest run.
-- Parameters: none.
-- Index: scheduled_job_run_pkey, read backwards: one row for each job.
SELECT
    job.job,
    job.description,
    job.schedule,
    job.enabled,
    latest.slot,
    latest.status,
    latest.attempt,
    latest.started_at,
    latest.finished_at,
    latest.next_attempt_at,
    latest.duration_ms,
    latest.error_message
FROM pggit.scheduled_job AS job
LEFT JOIN LATERAL (
    SELECT run.*
    FROM pggit.scheduled_job_run AS run
    WHERE run.job = job.job
    ORDER BY run.slot DESC
    LIMIT 1
) AS latest ON TRUE
ORDER BY job.job;
