-- Retention. One call does one small thing: it drops one whole partition of the log, or removes one batch of rows from
-- each table, so that locks are held for milliseconds. Call it until every count is zero.
CREATE OR REPLACE FUNCTION pggit.purge_notifications(
    p_older_than interval DEFAULT '90 days',
    p_batch integer DEFAULT 10000
)
RETURNS TABLE (relation text, deleted bigint)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO, MDY'
SET lock_timeout = '500ms'
AS $$
DECLARE
    v_cutoff timestamptz;
    v_partition text;
BEGIN
    IF p_older_than IS NULL OR p_older_than < interval '1 day' THEN
        RAISE EXCEPTION 'p_older_than is %, it must be one day at least', coalesce(p_older_than::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF p_batch IS NULL OR p_batch < 1 THEN
        RAISE EXCEPTION 'p_batch is %, it must be one at least', coalesce(p_batch::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    v_cutoff := now() - p_older_than;

    -- Dropping locks the whole log for an instant. Whoever reads it for longer than the lock_timeout wins: the
    -- partition is tried again by the next call. Nothing else is locked by us here, so no deadlock can come of it.
    FOR v_partition IN
        SELECT part.relname
        FROM pg_inherits AS child
        INNER JOIN pg_class AS part ON child.inhrelid = part.oid
        CROSS JOIN LATERAL regexp_match(pg_get_expr(part.relpartbound, part.oid), $re$TO \('([^']+)'\)$re$) AS upper_bound
        WHERE child.inhparent = 'pggit.alert_notification_log'::regclass
            AND part.relnamespace = 'pggit'::regnamespace
            AND upper_bound[1]::timestamptz <= v_cutoff
        ORDER BY upper_bound[1]::timestamptz
    LOOP
        BEGIN
            EXECUTE format('DROP TABLE pggit.%I', v_partition);
            relation := v_partition;
            deleted := 1;
            RETURN NEXT;
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            RAISE NOTICE 'pggit.% is in use; it is dropped by a later call', v_partition;
            EXIT;
        END;
    END LOOP;

    -- SKIP LOCKED throughout: a row that somebody replays or reads for update is left to a later call.
    relation := 'alert_notification_queue';
    DELETE FROM pggit.alert_notification_queue AS queue
    WHERE queue.queue_id = ANY (ARRAY(
        SELECT old.queue_id FROM pggit.alert_notification_queue AS old
        WHERE old.status IN ('sent', 'failed')
            AND (old.processed_at < v_cutoff OR (old.processed_at IS NULL AND old.created_at < v_cutoff))
        LIMIT p_batch FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN NEXT;

    relation := 'alert_notification_log_default';
    DELETE FROM pggit.alert_notification_log_default AS log
    WHERE log.ctid = ANY (ARRAY(
        SELECT old.ctid FROM pggit.alert_notification_log_default AS old
        WHERE old.sent_at < v_cutoff
        LIMIT p_batch FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN NEXT;

    relation := 'performance_baseline_history';
    DELETE FROM pggit.performance_baseline_history AS history
    WHERE history.history_id = ANY (ARRAY(
        SELECT old.history_id FROM pggit.performance_baseline_history AS old
        WHERE old.calculated_at < v_cutoff AND NOT (old.status IN ('held', 'shadow') AND old.decided_at IS NULL)
        LIMIT p_batch FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN NEXT;

    relation := 'alert_finding';
    DELETE FROM pggit.alert_finding AS finding
    WHERE finding.ctid = ANY (ARRAY(
        SELECT old.ctid FROM pggit.alert_finding AS old
        WHERE old.found_at < v_cutoff
        LIMIT p_batch FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN NEXT;

    relation := 'baseline_rollout_day';
    DELETE FROM pggit.baseline_rollout_day AS trial
    WHERE trial.ctid = ANY (ARRAY(
        SELECT old.ctid FROM pggit.baseline_rollout_day AS old
        WHERE old.day < v_cutoff::date
        LIMIT p_batch FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN NEXT;

    relation := 'scheduled_job_run';
    DELETE FROM pggit.scheduled_job_run AS run
    WHERE run.ctid = ANY (ARRAY(
        SELECT old.ctid FROM pggit.scheduled_job_run AS old
        WHERE old.slot < CASE
                -- What runs several times an hour would fill the table: a list, range or step in the minute's field.
                WHEN EXISTS (
                    SELECT FROM pggit.scheduled_job AS job
                    WHERE job.job = old.job AND split_part(job.schedule, ' ', 1) ~ '[*,/-]'
                ) THEN greatest(v_cutoff, now() - interval '7 days')
                ELSE v_cutoff
            END
            AND old.next_attempt_at IS NULL
        LIMIT p_batch FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN NEXT;

    -- An episode that never ends sheds its old alerts; one that has ended goes when it has none left.
    relation := 'alert_episode_member';
    DELETE FROM pggit.alert_episode_member AS member
    WHERE member.alert_id = ANY (ARRAY(
        SELECT old.alert_id
        FROM pggit.alert_episode AS episode
        CROSS JOIN LATERAL (
            SELECT m.alert_id FROM pggit.alert_episode_member AS m
            WHERE m.episode_id = episode.episode_id AND m.occurred_at < v_cutoff
            ORDER BY m.occurred_at LIMIT p_batch FOR UPDATE SKIP LOCKED
        ) AS old
        LIMIT p_batch
    ));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN NEXT;

    relation := 'alert_escalation';
    DELETE FROM pggit.alert_escalation AS run
    WHERE run.ctid = ANY (ARRAY(
        SELECT old.ctid FROM pggit.alert_escalation AS old
        WHERE old.due_at IS NULL AND old.stepped_at < v_cutoff
        LIMIT p_batch FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN NEXT;

    relation := 'alert_episode';
    DELETE FROM pggit.alert_episode AS episode
    WHERE episode.episode_id = ANY (ARRAY(
        SELECT old.episode_id FROM pggit.alert_episode AS old
        WHERE old.closed_at < v_cutoff
            AND NOT EXISTS (SELECT FROM pggit.alert_episode_member AS m WHERE m.episode_id = old.episode_id)
        LIMIT p_batch FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN NEXT;

    relation := 'alert_lifecycle_event';
    DELETE FROM pggit.alert_lifecycle_event AS event
    WHERE event.lifecycle_event_id = ANY (ARRAY(
        SELECT old.lifecycle_event_id FROM pggit.alert_lifecycle_event AS old
        WHERE old.occurred_at < v_cutoff
        LIMIT p_batch FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN NEXT;

    relation := 'oncall_shift';
    DELETE FROM pggit.oncall_shift AS shift
    WHERE shift.shift_id = ANY (ARRAY(
        SELECT old.shift_id FROM pggit.oncall_shift AS old
        WHERE old.ends_at < v_cutoff
        LIMIT p_batch FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN NEXT;

    relation := 'alert_group';
    DELETE FROM pggit.alert_group AS quiet
    WHERE quiet.ctid = ANY (ARRAY(
        SELECT old.ctid FROM pggit.alert_group AS old
        WHERE old.quiet_until < v_cutoff
        LIMIT p_batch FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN NEXT;

    relation := 'alert_muted';
    DELETE FROM pggit.alert_muted AS muted
    WHERE muted.ctid = ANY (ARRAY(
        SELECT old.ctid FROM pggit.alert_muted AS old
        WHERE old.released_at < v_cutoff
        LIMIT p_batch FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN NEXT;

    relation := 'alert_snooze_occurrence';
    DELETE FROM pggit.alert_snooze_occurrence AS occurrence
    WHERE occurrence.ctid = ANY (ARRAY(
        SELECT old.ctid FROM pggit.alert_snooze_occurrence AS old
        WHERE old.ends_at < v_cutoff AND old.settled_at < v_cutoff
        LIMIT p_batch FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN NEXT;

    relation := 'alert_snooze';
    DELETE FROM pggit.alert_snooze AS snooze
    WHERE snooze.snooze_id = ANY (ARRAY(
        SELECT old.snooze_id FROM pggit.alert_snooze AS old
        WHERE (old.ends_at < v_cutoff OR old.cancelled_at < v_cutoff)
            AND NOT EXISTS (
                SELECT FROM pggit.alert_muted AS waiting
                WHERE waiting.snooze_id = old.snooze_id AND waiting.released_at IS NULL
            )
        LIMIT p_batch FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN NEXT;

    relation := 'alertd_worker';
    DELETE FROM pggit.alertd_worker AS worker
    WHERE worker.worker = ANY (ARRAY(
        SELECT old.worker FROM pggit.alertd_worker AS old
        WHERE old.last_beat_at < v_cutoff
        LIMIT p_batch FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN NEXT;

    -- An endpoint that nothing names any more: its settings are gone, or lead elsewhere.
    relation := 'alert_destination';
    DELETE FROM pggit.alert_destination AS destination
    WHERE destination.destination_key = ANY (ARRAY(
        SELECT old.destination_key FROM pggit.alert_destination AS old
        WHERE greatest(old.last_success_at, old.last_failure_at) < v_cutoff
            AND NOT EXISTS (
                SELECT FROM pggit.alert_notification_settings AS s WHERE s.destination_key = old.destination_key
            )
            AND NOT EXISTS (SELECT FROM pggit.oncall_shift AS o WHERE o.destination_key = old.destination_key)
            AND NOT EXISTS (
                SELECT FROM pggit.alert_notification_queue AS q
                WHERE q.destination_key = old.destination_key AND q.status = 'pending'
            )
        LIMIT p_batch FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN NEXT;

    relation := 'anomaly_episode';
    DELETE FROM pggit.anomaly_episode AS episode
    WHERE episode.ctid = ANY (ARRAY(
        SELECT old.ctid FROM pggit.anomaly_episode AS old
        WHERE old.found_at < v_cutoff
        LIMIT p_batch FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN NEXT;

    relation := 'whitelisted_metric';
    DELETE FROM pggit.whitelisted_metric AS metric
    WHERE metric.metric_id = ANY (ARRAY(
        SELECT old.metric_id FROM pggit.whitelisted_metric AS old
        WHERE old.found_at < v_cutoff
        LIMIT p_batch FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN NEXT;

    relation := 'alertd_condition';
    DELETE FROM pggit.alertd_condition AS condition
    WHERE condition.condition_id = ANY (ARRAY(
        SELECT old.condition_id FROM pggit.alertd_condition AS old
        WHERE old.resolved_at < v_cutoff
        LIMIT p_batch FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN NEXT;
END;
$$;

COMMENT ON FUNCTION pggit.purge_notifications(interval, integer) IS
'Removes what is older than the limit: finished notifications (never pending ones), delivery log, baseline history (candidates that still wait for a decision or are tried stay), days of trials, findings of alerts, scheduled runs (those of jobs that run several times an hour after a week), windows that are over and what they muted, episodes and who acknowledged what, on-call shifts, episodes of unusual metrics and what the whitelist held back, workers not heard of, endpoints that nothing uses any more, conditions that are over. One batch a call; call it until every count is zero.';

REVOKE ALL ON FUNCTION pggit.purge_notifications(interval, integer) FROM PUBLIC;
