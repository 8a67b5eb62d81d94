-- The built-in schedule. There is no leader: the primary key (job, slot) makes a run happen once among any number of
-- replicas, and the run row itself carries the lease and the fence (docs/design/schedule.md).

CREATE TABLE pggit.scheduled_job (
    job text NOT NULL,
    schedule text NOT NULL,
    enabled boolean NOT NULL DEFAULT TRUE,
    grace interval NOT NULL,
    lease interval NOT NULL,
    description text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT scheduled_job_pkey PRIMARY KEY (job),
    CONSTRAINT scheduled_job_lease_is_positive CHECK (lease > interval '0'),
    CONSTRAINT scheduled_job_grace_outlasts_lease CHECK (grace > lease)
);

COMMENT ON TABLE pggit.scheduled_job IS
'What the daemon runs by itself, and when. UPDATE … SET enabled = FALSE switches a job to manual.';
COMMENT ON COLUMN pggit.scheduled_job.schedule IS
'Cron expression, five fields, UTC. The daemon writes it from its settings when it starts.';
COMMENT ON COLUMN pggit.scheduled_job.grace IS
'How late a slot may still be started, for the first time or again; an older one is not made up.';
COMMENT ON COLUMN pggit.scheduled_job.lease IS
'How long a run is believed alive. After it any replica takes the run again.';
COMMENT ON COLUMN pggit.scheduled_job.updated_at IS
'When the schedule last changed. Slots before it belong to another schedule and are not made up.';

CREATE TABLE pggit.scheduled_job_run (
    job text NOT NULL,
    slot timestamptz NOT NULL,
    status text NOT NULL DEFAULT 'running',
    attempt integer NOT NULL DEFAULT 0,
    claim_no integer NOT NULL DEFAULT 0,
    claimed_by text,
    next_attempt_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    duration_ms bigint,
    result jsonb,
    error_message text,
    CONSTRAINT scheduled_job_run_pkey PRIMARY KEY (job, slot),
    CONSTRAINT scheduled_job_run_job_fkey FOREIGN KEY (job) REFERENCES pggit.scheduled_job (job) ON DELETE CASCADE,
    CONSTRAINT scheduled_job_run_status_is_known CHECK (status IN ('running', 'succeeded', 'failed')),
    CONSTRAINT scheduled_job_run_attempt_not_negative CHECK (attempt >= 0),
    CONSTRAINT scheduled_job_run_running_has_lease CHECK (status <> 'running' OR next_attempt_at IS NOT NULL),
    CONSTRAINT scheduled_job_run_success_is_final CHECK (status <> 'succeeded' OR next_attempt_at IS NULL)
);

-- Open means: running, or waiting to be tried again. A second run of a job can't start beside an open one.
CREATE UNIQUE INDEX scheduled_job_run_one_open ON pggit.scheduled_job_run (job) WHERE next_attempt_at IS NOT NULL;

COMMENT ON TABLE pggit.scheduled_job_run IS 'One row per job and slot: who ran it, how often, and what came of it.';
COMMENT ON COLUMN pggit.scheduled_job_run.claim_no IS
'The fence: only ever grows. A finish that names an older claim changes nothing.';
COMMENT ON COLUMN pggit.scheduled_job_run.next_attempt_at IS
'Lease expiry of a running row, time of the next try of a failed one, NULL when the row is final.';
COMMENT ON COLUMN pggit.scheduled_job_run.error_message IS
'Why the last attempt that did not succeed did not; kept when a later attempt succeeds.';

INSERT INTO pggit.scheduled_job (job, schedule, grace, lease, description) VALUES
('baselines', '0 2 * * *', '12 hours', '30 minutes', 'Recalculates the baseline of every tracked operation'),
('retention', '30 3 * * *', '12 hours', '1 hour', 'Removes notifications, logs and history older than the limit'),
('partitions', '15 * * * *', '50 minutes', '5 minutes', 'Makes the monthly partitions of the delivery log ahead');
