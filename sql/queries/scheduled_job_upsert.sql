-- What: makes a job known, or brings its schedule up to date; a changed schedule starts afresh (updated_at).
-- Parameters: job, schedule (cron text), grace and lease (seconds, used for a new job only), description.
-- Index: scheduled_job_pkey.
INSERT INTO pggit.scheduled_job AS known (job, schedule, grace, lease, description, created_at, updated_at)
VALUES (
    :'job'::text,
    :'schedule'::text,
    make_interval(secs => :'grace'::double precision),
    make_interval(secs => :'lease'::double precision),
    :'description'::text,
    clock_timestamp(),
    clock_timestamp()
)
ON CONFLICT (job) DO UPDATE
SET
    schedule = excluded.schedule,
    description = excluded.description,
    updated_at = CASE
        WHEN known.schedule IS DISTINCT FROM excluded.schedule THEN clock_timestamp() ELSE known.updated_at
    END
WHERE
    (known.schedule, known.description) IS DISTINCT FROM (excluded.schedule, excluded.description);
