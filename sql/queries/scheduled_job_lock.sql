-- What: lets one claim of a job at a time through, so that it sees what the one before did. No row: off, or held by
-- another replica or by somebody's open transaction; never waited for, because the loop has other jobs to look after.
-- Parameters: job.
-- Index: scheduled_job_pkey.
SELECT job.job
FROM pggit.scheduled_job AS job
WHERE job.job = :'job'::text AND job.enabled
FOR NO KEY UPDATE SKIP LOCKED;
