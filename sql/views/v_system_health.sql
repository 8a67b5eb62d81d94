-- How the alerting itself is, in one row: what waits, what was delivered in the last hour, who works, how jobs went.

CREATE OR REPLACE VIEW pggit.v_system_health AS
WITH waiting AS (
    SELECT
        count(*) FILTER (WHERE q.next_attempt_at < 'infinity') AS depth,
        count(*) FILTER (WHERE q.next_attempt_at = 'infinity') AS held,
        min(q.next_attempt_at) FILTER (WHERE q.next_attempt_at <= now()) AS oldest_due_at
    FROM pggit.alert_notification_queue AS q
    WHERE q.status = 'pending'
),

dead AS (
    SELECT count(*) AS letters
    FROM pggit.alert_notification_queue AS q
    WHERE q.status = 'failed' AND q.discarded_at IS NULL
),

outbox AS (
    SELECT count(*) AS depth, min(o.occurred_at) AS oldest_at
    FROM pggit.alert_outbox AS o
),

finished AS (
    SELECT e.deliveries, e.sent FROM pggit.ended_deliveries('1 hour') AS e
),

destination AS (
    SELECT
        count(*) FILTER (WHERE d.opened_at IS NOT NULL) AS open,
        count(*) FILTER (WHERE d.paused_until > now()) AS paused
    FROM pggit.alert_destination AS d
),

worker AS (
    SELECT
        count(*) FILTER (WHERE w.last_beat_at > now() - interval '90 seconds') AS alive,
        max(w.last_beat_at) AS last_beat_at
    FROM pggit.alertd_worker AS w
    WHERE w.stopped_at IS NULL
),

job AS (
    SELECT jsonb_object_agg(j.job, jsonb_build_object(
        'enabled', j.enabled,
        'last_status', latest.status,
        'last_slot', latest.slot,
        'last_success_at', success.finished_at
    )) AS jobs
    FROM pggit.scheduled_job AS j
    LEFT JOIN LATERAL (
        SELECT run.status, run.slot
        FROM pggit.scheduled_job_run AS run
        WHERE run.job = j.job
        ORDER BY run.slot DESC
        LIMIT 1
    ) AS latest ON TRUE
    LEFT JOIN LATERAL (
        SELECT run.finished_at
        FROM pggit.scheduled_job_run AS run
        WHERE run.job = j.job AND run.status = 'succeeded'
        ORDER BY run.slot DESC
        LIMIT 1
    ) AS success ON TRUE
),

condition AS (
    SELECT coalesce(array_agg(c.kind || coalesce(' ' || nullif(c.subject, ''), '') ORDER BY c.since), '{}') AS open
    FROM pggit.alertd_condition AS c
    WHERE c.resolved_at IS NULL
)

SELECT
    waiting.depth AS queue_depth,
    waiting.held AS queue_held,
    coalesce(now() - waiting.oldest_due_at, interval '0') AS oldest_due,
    outbox.depth AS outbox_depth,
    coalesce(now() - outbox.oldest_at, interval '0') AS oldest_unrouted,
    finished.deliveries AS deliveries_last_hour,
    round(100.0 * finished.sent / nullif(finished.deliveries, 0), 2) AS success_percent_last_hour,
    dead.letters AS dead_letters,
    destination.open AS destinations_open,
    destination.paused AS destinations_paused,
    worker.alive AS workers_alive,
    worker.last_beat_at AS last_worker_beat_at,
    coalesce(job.jobs, '{}') AS jobs,
    condition.open AS open_conditions
FROM waiting
CROSS JOIN dead
CROSS JOIN outbox
CROSS JOIN finished
CROSS JOIN destination
CROSS JOIN worker
CROSS JOIN job
CROSS JOIN condition;

COMMENT ON VIEW pggit.v_system_health IS
'How the alerting itself is, in one row; success_percent_last_hour is NULL if nothing was delivered or given up.';
