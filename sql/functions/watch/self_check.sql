-- Compare what is wrong now with what was known to be, and tell what has changed: once when a condition has lasted its
-- hold time, again after p_repeat while it lasts (but for baselines that wait for a human: those are no fault), once
-- when it is over. State and queue rows are one transaction behind
-- one lock, so among any number of replicas, and of calls by hand, each of these is told once.
-- What was told and reached nobody, because the destination broke, is told once to each of those who can be reached
-- now.
-- Nobody is told that something is over of which nobody was told, and p_clear has to pass first: what flickers is one
-- condition. A gap in the checks says nothing about the time between, so an untold condition's hold begins afresh.
CREATE OR REPLACE FUNCTION pggit.self_check(
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
    p_repeat interval DEFAULT '24 hours',
    p_clear interval DEFAULT '2 minutes',
    p_destination_paused interval DEFAULT '15 minutes'
)
RETURNS TABLE (stage text, kind text, subject text, severity text, message text, told integer [])
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    -- Checks are a minute apart, give or take; a hold time that is over but for this much is over.
    c_slack CONSTANT interval := interval '5 seconds';
    c_gap CONSTANT interval := interval '5 minutes';
    v_row pggit.alertd_condition;
    v_told integer[];
    v_hearers integer[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('pggit.self_check', 0));

    WITH found AS MATERIALIZED (
        SELECT c.*
        FROM pggit.current_conditions(
            p_queue_depth, p_queue_hold, p_oldest_due, p_success_percent, p_success_minimum, p_job_failures,
            p_worker_silence, p_worker_forgotten, p_hold, p_jobs, p_slots, p_destination_paused
        ) AS c
    )

    INSERT INTO pggit.alertd_condition AS known
    (kind, subject, severity, detail, destination_key, since, first_seen_at, last_seen_at, hold)
    SELECT f.kind, f.subject, f.severity, f.detail, f.destination_key, coalesce(f.since, now()), now(), now(), f.hold
    FROM found AS f
    ORDER BY f.kind, f.subject
    ON CONFLICT (kind, subject) WHERE resolved_at IS NULL DO UPDATE
        SET
            severity = excluded.severity,
            detail = excluded.detail,
            destination_key = excluded.destination_key,
            hold = excluded.hold,
            first_seen_at = CASE
                WHEN known.notified_at IS NULL AND known.last_seen_at < now() - c_gap THEN now() ELSE known.first_seen_at
            END,
            since = CASE
                WHEN known.notified_at IS NULL AND known.last_seen_at < now() - c_gap THEN excluded.since ELSE known.since
            END,
            last_seen_at = now();

    FOR v_row IN
        SELECT c.* FROM pggit.alertd_condition AS c
        WHERE c.resolved_at IS NULL AND c.last_seen_at < now() AND c.last_seen_at <= now()
            - CASE WHEN c.notified_at IS NULL THEN interval '0' ELSE p_clear - c_slack END
        ORDER BY c.condition_id
    LOOP
        v_told := '{}';
        IF v_row.notified_at IS NOT NULL THEN
            v_told := pggit.queue_system_notification(
                v_row.told, 'resolved', v_row.kind, v_row.severity,
                pggit.condition_message(v_row.kind, v_row.detail, v_row.last_seen_at - v_row.since, 'over'),
                'condition-' || v_row.condition_id
            );
        END IF;
        UPDATE pggit.alertd_condition AS c SET resolved_at = now() WHERE c.condition_id = v_row.condition_id;
        RETURN QUERY SELECT 'over', v_row.kind, v_row.subject, v_row.severity, v_row.detail, v_told;
    END LOOP;

    FOR v_row IN
        SELECT c.* FROM pggit.alertd_condition AS c
        WHERE c.resolved_at IS NULL AND c.last_seen_at = now()
            AND c.first_seen_at <= now() - (c.hold - c_slack)
            AND (
                c.notified_at IS NULL
                OR (c.kind <> 'baseline_held' AND c.notified_at <= now() - (p_repeat - c_slack))
                OR pggit.condition_went_unheard(c.condition_id, c.notified_at, c.told)
            )
        ORDER BY c.condition_id
    LOOP
        v_hearers := pggit.operator_settings(v_row.severity, v_row.destination_key);
        IF v_row.notified_at > now() - (p_repeat - c_slack) THEN
            v_hearers := ARRAY(
                SELECT h.setting_id FROM unnest(v_hearers) AS h (setting_id)
                WHERE h.setting_id <> ALL (v_row.told)
                ORDER BY h.setting_id
            );
        END IF;
        v_told := pggit.queue_system_notification(
            v_hearers, 'triggered', v_row.kind, v_row.severity,
            pggit.condition_message(
                v_row.kind, v_row.detail, now() - v_row.since, CASE WHEN v_row.notified_at IS NULL THEN 'new' ELSE 'still' END
            ),
            'condition-' || v_row.condition_id
        );
        IF cardinality(v_told) > 0 THEN
            UPDATE pggit.alertd_condition AS c
            SET
                notified_at = now(),
                notifications = c.notifications + 1,
                told = ARRAY(SELECT DISTINCT u.setting_id FROM unnest(c.told || v_told) AS u (setting_id) ORDER BY 1)
            WHERE c.condition_id = v_row.condition_id;
            RETURN QUERY SELECT
                CASE WHEN v_row.notified_at IS NULL THEN 'new' ELSE 'still' END,
                v_row.kind, v_row.subject, v_row.severity, v_row.detail, v_told;
        ELSIF v_row.unheard_at IS NULL OR v_row.unheard_at <= now() - p_repeat THEN
            UPDATE pggit.alertd_condition AS c SET unheard_at = now() WHERE c.condition_id = v_row.condition_id;
            RETURN QUERY SELECT 'unheard', v_row.kind, v_row.subject, v_row.severity, v_row.detail, v_told;
        END IF;
    END LOOP;

    -- A run a minute would be most of the schedule's history; a day of them is enough to see that it turns.
    DELETE FROM pggit.scheduled_job_run AS run
    WHERE run.job IN ('self_check', 'anomalies') AND run.slot < now() - interval '1 day' AND run.next_attempt_at IS NULL;
END
$$;

COMMENT ON FUNCTION pggit.self_check(
    integer, interval, interval, numeric, integer, integer, interval, interval, interval, text [], timestamptz [],
    interval, interval, interval
) IS 'Keeps alertd_condition and tells the operators what began, what lasts and what is over; returns what it told.';

REVOKE EXECUTE ON FUNCTION pggit.self_check(
    integer, interval, interval, numeric, integer, integer, interval, interval, interval, text [], timestamptz [],
    interval, interval, interval
) FROM PUBLIC;
