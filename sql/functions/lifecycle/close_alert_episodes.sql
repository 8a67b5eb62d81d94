-- Close episodes and hand the 'resolved' of their last alert to the router; returns how many were closed.
-- The lock on the episode comes first and the look at its members after it, in a statement of its own: an alert that a
-- router added in between is then seen, and the episode stays open. With p_quiet_since, only episodes without a later
-- alert are closed.
CREATE OR REPLACE FUNCTION pggit.close_alert_episodes(
    p_episode_ids bigint [],
    p_reason text,
    p_quiet_since timestamptz,
    p_actor text,
    p_note text
)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_locked bigint[];
    v_closed integer;
BEGIN
    v_locked := ARRAY(
        SELECT ep.episode_id
        FROM pggit.alert_episode AS ep
        WHERE ep.episode_id = ANY (p_episode_ids) AND ep.closed_at IS NULL
        ORDER BY ep.episode_id
        FOR UPDATE OF ep
    );
    IF cardinality(v_locked) = 0 THEN
        RETURN 0;
    END IF;

    WITH run AS MATERIALIZED (
        SELECT ep.episode_id, ep.started_at, count(m.alert_id) AS alerts, max(m.factor) AS worst,
            max(m.occurred_at) AS last_at,
            (array_agg(m.alert_id ORDER BY m.occurred_at DESC, m.alert_id DESC) FILTER (WHERE m.alert_id IS NOT NULL)) [1]
                AS last_alert_id
        FROM pggit.alert_episode AS ep
        LEFT JOIN pggit.alert_episode_member AS m ON ep.episode_id = m.episode_id
        WHERE ep.episode_id = ANY (v_locked)
        GROUP BY ep.episode_id
        HAVING p_quiet_since IS NULL OR coalesce(max(m.occurred_at) <= p_quiet_since, TRUE)
    ),

    closed AS (
        UPDATE pggit.alert_episode AS ep
        SET closed_at = now(), closed_reason = p_reason, closed_by = left(p_actor, 200)
        FROM run
        WHERE ep.episode_id = run.episode_id
        RETURNING ep.episode_id
    ),

    recorded AS (
        INSERT INTO pggit.alert_lifecycle_event (alert_id, event, actor, role_name, note)
        SELECT
            run.last_alert_id, 'resolved', left(p_actor, 200), session_user,
            concat_ws(
                ' ',
                nullif(rtrim(left(p_note, 1000), '. '), '') || '.',
                CASE p_reason
                    WHEN 'recovered' THEN 'Back to normal.'
                    WHEN 'silent' THEN format(
                        'Closed because nothing more was heard for %s, which is no proof of recovery.',
                        pggit.interval_text(now() - run.last_at)
                    )
                END,
                format(
                    'It began at %s: %s in %s%s.',
                    to_char(run.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'),
                    CASE run.alerts WHEN 1 THEN '1 alert' ELSE run.alerts || ' alerts' END,
                    pggit.interval_text(greatest(run.last_at - run.started_at, interval '0')),
                    ', the worst ' || round(run.worst, 1) || ' times the baseline'
                )
            )
        FROM run
        WHERE run.last_alert_id IS NOT NULL
    ),

    published AS (
        INSERT INTO pggit.alert_outbox (alert_id, event)
        SELECT run.last_alert_id, 'resolved'
        FROM run
        WHERE run.last_alert_id IS NOT NULL
        ORDER BY run.last_alert_id
        ON CONFLICT DO NOTHING
    )

    SELECT count(*) INTO v_closed FROM closed;
    IF v_closed > 0 THEN
        PERFORM pg_notify('pggit_alert', '');
    END IF;
    RETURN v_closed;
END
$$;

COMMENT ON FUNCTION pggit.close_alert_episodes(bigint [], text, timestamptz, text, text) IS
'Closes open episodes and publishes their resolution; used by resolve_alert, resolve_recovered_episodes and routing.';

REVOKE EXECUTE ON FUNCTION pggit.close_alert_episodes(bigint [], text, timestamptz, text, text) FROM PUBLIC;
