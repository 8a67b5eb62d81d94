-- What is wrong with the alerting right now, judged afresh from queue, log, schedule, workers and destinations.
-- `hold` is how long a condition must last before anybody is told: what heals by itself in a minute is no news.
-- Cron expressions can't be read in SQL, so the daemon names each job's last slot that should be done by now in
-- p_jobs and p_slots; without them no job counts as overdue.
CREATE OR REPLACE FUNCTION pggit.current_conditions(
    p_queue_depth integer DEFAULT 500,
    p_queue_hold interval DEFAULT '30 minutes',
    p_oldest_due interval DEFAULT '5 minutes',
    p_success_percent numeric DEFAULT 95,
    p_success_minimum integer DEFAULT 20,
    p_job_failures integer DEFAULT 3,
    p_worker_silence interval DEFAULT '3 minutes',
    p_worker_forgotten interval DEFAULT '24 hours',
    p_hold interval DEFAULT '1 minute',
    p_jobs text [] DEFAULT '{}',
    p_slots timestamptz [] DEFAULT '{}',
    p_destination_paused interval DEFAULT '15 minutes'
)
RETURNS TABLE (
    kind text, subject text, severity text, detail text, since timestamptz, hold interval, destination_key text
)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pggit, pg_temp
SET timezone = 'UTC'
AS $$
WITH waiting AS (
    SELECT count(*) AS depth
    FROM pggit.alert_notification_queue AS q
    WHERE q.status = 'pending' AND q.next_attempt_at < 'infinity'
),

-- What waits for a destination that is open or paused is told by that destination.
overdue AS (
    SELECT count(*) AS depth, min(q.next_attempt_at) AS oldest
    FROM pggit.alert_notification_queue AS q
    WHERE q.status = 'pending'
        AND q.next_attempt_at < now() - p_oldest_due
        AND NOT EXISTS (
            SELECT FROM pggit.alert_destination AS d
            WHERE d.destination_key = q.destination_key AND (d.opened_at IS NOT NULL OR d.paused_until > now())
        )
),

-- A row that is routed already waits only for somebody's lock on the alert; its notifications are on their way.
unrouted AS (
    SELECT count(*) AS depth, min(o.occurred_at) AS oldest
    FROM pggit.alert_outbox AS o
    WHERE o.routed_at IS NULL AND o.occurred_at < now() - p_oldest_due
),

finished AS (
    SELECT e.deliveries, e.sent FROM pggit.ended_deliveries('1 hour') AS e
),

-- self_check is left out: while it can judge, it runs.
job AS (
    SELECT
        j.job,
        latest.status,
        latest.slot,
        latest.next_attempt_at IS NULL AS is_final,
        latest.error_message,
        failures.attempts,
        due.slot AS due_slot,
        due.slot >= j.updated_at AND coalesce(success.finished_at < due.slot, TRUE) AS is_overdue
    FROM pggit.scheduled_job AS j
    LEFT JOIN LATERAL (
        SELECT run.status, run.slot, run.next_attempt_at, run.error_message
        FROM pggit.scheduled_job_run AS run
        WHERE run.job = j.job
        ORDER BY run.slot DESC
        LIMIT 1
    ) AS latest ON TRUE
    LEFT JOIN LATERAL (
        SELECT run.slot, run.finished_at
        FROM pggit.scheduled_job_run AS run
        WHERE run.job = j.job AND run.status = 'succeeded'
        ORDER BY run.slot DESC
        LIMIT 1
    ) AS success ON TRUE
    LEFT JOIN LATERAL (
        SELECT sum(run.attempt - (run.status = 'running')::integer) AS attempts
        FROM pggit.scheduled_job_run AS run
        WHERE run.job = j.job AND run.status IN ('failed', 'running') AND run.slot > coalesce(success.slot, '-infinity')
    ) AS failures ON TRUE
    LEFT JOIN unnest(p_jobs, p_slots) AS due (job, slot) ON j.job = due.job
    WHERE j.enabled AND j.job <> 'self_check'
)

SELECT
    'queue_depth', '', 'WARNING',
    format('%s notifications wait to be sent, more than %s', waiting.depth, p_queue_depth),
    NULL::timestamptz, p_queue_hold, NULL::text
FROM waiting
WHERE waiting.depth > p_queue_depth
UNION ALL
SELECT
    'queue_age', '', 'CRITICAL',
    format(
        '%s notifications are due and not sent, the oldest for %s', overdue.depth, pggit.duration_text(now() - overdue.oldest)
    ),
    overdue.oldest, p_hold, NULL
FROM overdue
WHERE overdue.depth > 0
UNION ALL
SELECT
    'outbox', '', 'CRITICAL',
    format('%s alerts are not routed, the oldest for %s', unrouted.depth, pggit.duration_text(now() - unrouted.oldest)),
    unrouted.oldest, p_hold, NULL
FROM unrouted
WHERE unrouted.depth > 0
UNION ALL
SELECT
    'delivery_success', '', 'CRITICAL',
    format(
        '%s of %s notifications of the last hour were delivered (%s %%), less than %s %%',
        finished.sent, finished.deliveries, trunc(100.0 * finished.sent / finished.deliveries, 1), p_success_percent
    ),
    NULL, p_hold, NULL
FROM finished
WHERE finished.deliveries >= greatest(p_success_minimum, 1)
    AND 100.0 * finished.sent < p_success_percent * finished.deliveries
UNION ALL
SELECT
    'destination_open', d.destination_key, 'CRITICAL',
    format('nothing is sent to %s %s: %s', d.channel, d.recipient, coalesce(
        nullif(left(d.open_reason, 200), ''), nullif(left(d.last_error, 200), ''), 'it fails again and again'
    )),
    d.opened_at, p_hold, d.destination_key
FROM pggit.alert_destination AS d
WHERE d.opened_at IS NOT NULL
UNION ALL
-- What counts is how long nothing gets there, as announced: who is asked to wait for hours need not wait to know.
SELECT
    'destination_paused', d.destination_key, 'CRITICAL',
    format(
        'nothing is sent to %s %s until %s UTC, a pause of %s in all: it asked us to wait', d.channel, d.recipient,
        to_char(d.paused_until, 'YYYY-MM-DD HH24:MI'), pggit.duration_text(d.paused_until - d.paused_since)
    ),
    d.paused_since, interval '0', d.destination_key
FROM pggit.alert_destination AS d
WHERE d.opened_at IS NULL AND d.paused_until > now() AND d.paused_until - d.paused_since > p_destination_paused
UNION ALL
-- Until the setting is mended, a message of it reaches everybody again, or a day has passed.
SELECT
    'recipient_refused', refused.setting_id::text, 'WARNING',
    format(
        'not everybody whom setting %s names gets its messages (%s %s): %s', refused.setting_id, refused.channel,
        refused.recipient, coalesce(left(refused.error_message, 300), 'some were refused')
    ),
    refused.sent_at, p_hold, NULL
FROM (
    SELECT DISTINCT ON (l.setting_id) l.setting_id, l.channel, l.recipient, l.error_message, l.sent_at
    FROM pggit.alert_notification_log AS l
    WHERE l.status = 'sent' AND l.reason = 'refused_recipient' AND l.sent_at > now() - interval '1 day'
    ORDER BY l.setting_id, l.sent_at DESC, l.log_id
) AS refused
INNER JOIN pggit.alert_notification_settings AS s ON refused.setting_id = s.setting_id
WHERE s.enabled
    AND NOT EXISTS (
        SELECT FROM pggit.notification_settings_audit AS a
        WHERE a.setting_id = refused.setting_id AND a.changed_at > refused.sent_at
            AND EXISTS (SELECT FROM unnest(a.changed) AS part (name) WHERE part.name LIKE 'config%')
    )
    AND NOT EXISTS (
        SELECT FROM pggit.alert_notification_log AS later
        WHERE later.setting_id = refused.setting_id AND later.sent_at > refused.sent_at
            AND later.status = 'sent' AND later.reason IS NULL
    )
UNION ALL
SELECT
    'oncall_shift', o.shift_id::text, 'CRITICAL',
    format(
        'the on-call shift %s of setting %s%s can''t be used: %s; %s', o.shift_id, o.setting_id,
        ', until ' || to_char(o.ends_at, 'YYYY-MM-DD HH24:MI') || ' UTC,', o.problem,
        CASE
            WHEN pggit.notification_setting_problem(o.notification_channel, e.config) IS NOT NULL
                THEN 'the setting has no other config that works, so it reaches nobody'
            WHEN e.shift_id IS NOT NULL THEN format('shift %s stands in: %s', e.shift_id, e.recipient)
            ELSE format('the setting''s own config stands in: %s', e.recipient)
        END
    ),
    o.starts_at, p_hold, NULL
FROM (
    SELECT
        shift.shift_id, shift.setting_id, shift.starts_at, shift.ends_at, s.notification_channel,
        pggit.notification_setting_problem(s.notification_channel, shift.config) AS problem
    FROM pggit.oncall_shift AS shift
    INNER JOIN pggit.alert_notification_settings AS s ON shift.setting_id = s.setting_id
    WHERE s.enabled AND shift.starts_at <= now() AND shift.ends_at > now()
) AS o
INNER JOIN pggit.effective_notification_config AS e ON o.setting_id = e.setting_id
WHERE o.problem IS NOT NULL
UNION ALL
SELECT
    'recalculation', job.job, 'WARNING',
    CASE
        WHEN job.status = 'failed' AND job.is_final THEN format(
            'the recalculation of baselines of %s UTC failed: %s',
            to_char(job.slot, 'YYYY-MM-DD HH24:MI'), coalesce(left(job.error_message, 300), 'no reason is known')
        )
        ELSE format(
            'baselines were to be recalculated at %s UTC and have not been', to_char(job.due_slot, 'YYYY-MM-DD HH24:MI')
        )
    END,
    CASE WHEN job.status = 'failed' AND job.is_final THEN job.slot ELSE job.due_slot END,
    CASE WHEN job.status = 'failed' AND job.is_final THEN interval '0' ELSE p_hold END,
    NULL
FROM job
WHERE job.job = 'baselines' AND ((job.status = 'failed' AND job.is_final) OR job.is_overdue)
UNION ALL
SELECT
    'job_failing', job.job, 'WARNING',
    format(
        'the job %s failed %s times in a row: %s',
        job.job, job.attempts, coalesce(left(job.error_message, 300), 'no reason is known')
    ),
    NULL, interval '0', NULL
FROM job
WHERE job.job <> 'baselines' AND job.attempts >= p_job_failures
UNION ALL
SELECT
    'job_overdue', job.job, 'WARNING',
    format(
        'the job %s was to run at %s UTC and has not succeeded since',
        job.job, to_char(job.due_slot, 'YYYY-MM-DD HH24:MI')
    ),
    job.due_slot, p_hold, NULL
FROM job
WHERE job.job <> 'baselines' AND job.is_overdue AND coalesce(job.attempts, 0) < p_job_failures
UNION ALL
-- A worker that started on the same machine afterwards has taken the silent one's place.
SELECT
    'worker_silent', w.worker, 'WARNING',
    format(
        'the worker %s gave no sign of life since %s UTC and did not end in order',
        w.worker, to_char(w.last_beat_at, 'YYYY-MM-DD HH24:MI')
    ),
    w.last_beat_at, p_hold, NULL
FROM pggit.alertd_worker AS w
WHERE w.stopped_at IS NULL
    AND w.last_beat_at < now() - p_worker_silence
    AND w.last_beat_at > now() - p_worker_forgotten
    AND NOT EXISTS (
        SELECT FROM pggit.alertd_worker AS successor
        WHERE successor.hostname = w.hostname AND successor.started_at > w.last_beat_at
    )
UNION ALL
-- One condition for each candidate, so that a new one is told although the one before it was.
SELECT
    'baseline_held', format('%s #%s', left(h.operation_type, 200), h.history_id), 'WARNING',
    format(
        'the new baseline of %s%s waits for a decision: p99 %s instead of %s%s; '
        'SELECT pggit.approve_baseline(%s) applies it, SELECT pggit.reject_baseline(%s) keeps the old one',
        left(h.operation_type, 200),
        ' on branch ' || h.branch_id,
        coalesce(pggit.milliseconds_apart(h.new_p99_microseconds, h.old_p99_microseconds), 'unknown'),
        coalesce(pggit.milliseconds_apart(h.old_p99_microseconds, h.new_p99_microseconds), 'none'),
        CASE
            WHEN pggit.baseline_verdict(h.old_p99_microseconds, h.new_p99_microseconds, FALSE) <> 'hold'
                THEN ', and it was ' || pggit.milliseconds_apart(h.reference_p99_microseconds, h.new_p99_microseconds) || ' before it crept'
        END,
        h.history_id, h.history_id
    ),
    h.calculated_at, interval '0', NULL
FROM pggit.performance_baseline_history AS h
WHERE h.status = 'held' AND h.decided_at IS NULL
$$;

COMMENT ON FUNCTION pggit.current_conditions(
    integer, interval, interval, numeric, integer, integer, interval, interval, interval, text [], timestamptz [],
    interval
) IS 'What is wrong with the alerting right now, one row per condition; changes nothing.';

REVOKE EXECUTE ON FUNCTION pggit.current_conditions(
    integer, interval, interval, numeric, integer, integer, interval, interval, interval, text [], timestamptz [],
    interval
) FROM PUBLIC;
