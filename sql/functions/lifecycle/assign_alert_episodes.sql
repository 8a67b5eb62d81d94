-- Put each alert that is being routed into the open episode of its operation and type, or open one.
-- Joining adds a row and share-locks the episode's key, so any number of routers join one episode side by side. Only
-- the first alert of a run has to agree with others, through the unique index, and with whoever is closing the old
-- episode; that is waited for 800 ms. A transaction that somebody left open in psql must not hold up pages for longer:
-- what then still has no episode gets one of its own, apart, at the price of an incident of its own. 800 ms is also
-- less than the usual deadlock_timeout, so a ring of such waits ends here and harms nobody else.
CREATE OR REPLACE FUNCTION pggit.assign_alert_episodes(p_alert_ids bigint [], p_occurred_at timestamptz [])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
SET lock_timeout = '800ms'
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_silence interval := coalesce((SELECT p.silence_after FROM pggit.alert_lifecycle_policy AS p), '24 hours');
    v_missing bigint;
    v_open boolean;
    v_stale bigint[];
BEGIN
    WITH fresh AS MATERIALIZED (
        SELECT f.* FROM pggit.fresh_episode_members(p_alert_ids, p_occurred_at) AS f
    ),

    run AS MATERIALIZED (
        SELECT fresh.operation_type, fresh.alert_type, min(fresh.occurred_at) AS started_at
        FROM fresh
        GROUP BY fresh.operation_type, fresh.alert_type
    ),

    running AS MATERIALIZED (
        SELECT ep.episode_id, ep.operation_type, ep.alert_type
        FROM pggit.alert_episode AS ep
        WHERE ep.closed_at IS NULL
            AND NOT ep.apart
            AND (ep.operation_type, ep.alert_type) IN (SELECT run.operation_type, run.alert_type FROM run)
        FOR KEY SHARE OF ep SKIP LOCKED
    ),

    alive AS MATERIALIZED (
        SELECT running.*
        FROM running
        INNER JOIN run ON running.operation_type = run.operation_type AND running.alert_type = run.alert_type
        CROSS JOIN LATERAL (
            SELECT m.occurred_at
            FROM pggit.alert_episode_member AS m
            WHERE m.episode_id = running.episode_id
            ORDER BY m.occurred_at DESC
            LIMIT 1
        ) AS latest
        WHERE latest.occurred_at >= run.started_at - v_silence
    ),

    joined AS (
        INSERT INTO pggit.alert_episode_member (alert_id, episode_id, occurred_at, metric_id, factor)
        SELECT fresh.alert_id, alive.episode_id, fresh.occurred_at, fresh.metric_id, fresh.factor
        FROM fresh
        INNER JOIN alive ON fresh.operation_type = alive.operation_type AND fresh.alert_type = alive.alert_type
        ORDER BY fresh.alert_id
        ON CONFLICT DO NOTHING
        RETURNING alert_id
    )

    SELECT
        (SELECT count(*) FROM fresh) - (SELECT count(*) FROM joined),
        EXISTS (
            SELECT FROM run
            INNER JOIN pggit.alert_episode AS ep
                ON run.operation_type = ep.operation_type AND run.alert_type = ep.alert_type
            WHERE ep.closed_at IS NULL AND NOT ep.apart
        )
    INTO v_missing, v_open;
    IF v_missing = 0 THEN
        RETURN;
    END IF;

    BEGIN
        IF v_open THEN
            v_stale := ARRAY(
                SELECT DISTINCT ep.episode_id
                FROM pggit.fresh_episode_members(p_alert_ids, p_occurred_at) AS f
                INNER JOIN pggit.alert_episode AS ep ON f.operation_type = ep.operation_type AND f.alert_type = ep.alert_type
                WHERE ep.closed_at IS NULL
                    AND NOT ep.apart
                    AND NOT EXISTS (
                        SELECT FROM pggit.alert_episode_member AS m
                        WHERE m.episode_id = ep.episode_id AND m.occurred_at > now() - v_silence
                    )
            );
            PERFORM pggit.close_alert_episodes(v_stale, 'silent', now() - v_silence, NULL, NULL);
        END IF;
        PERFORM pggit.open_alert_episodes(p_alert_ids, p_occurred_at, 'shared');
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
        PERFORM pggit.open_alert_episodes(p_alert_ids, p_occurred_at, 'apart');
    END;
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    RAISE LOG 'alerts are routed without an episode: %', SQLERRM;
END
$$;

COMMENT ON FUNCTION pggit.assign_alert_episodes(bigint [], timestamptz []) IS
'Gives each of these alerts the episode it belongs to; an alert that has one keeps it. Used by routing.';

REVOKE EXECUTE ON FUNCTION pggit.assign_alert_episodes(bigint [], timestamptz []) FROM PUBLIC;
