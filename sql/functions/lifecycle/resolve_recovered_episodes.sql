-- Close the episodes that are over, and publish it: quiet for p_recovery_after and measured as normal since the last
-- alert, or silent for p_silence_after, which proves nothing and says so. Silence alone never counts as recovery.
-- Looks at p_limit open episodes a call, those first that were not looked at for longest. Nothing is locked while it
-- looks; locks are taken at the end, for milliseconds, and an episode somebody has locked is left to the next call.
-- The times given become the policy that routing goes by; NULL keeps what is stored.
CREATE OR REPLACE FUNCTION pggit.resolve_recovered_episodes(
    p_recovery_after interval DEFAULT NULL,
    p_silence_after interval DEFAULT NULL,
    p_limit integer DEFAULT 200
)
RETURNS TABLE (checked integer, recovered integer, silent integer)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
SET lock_timeout = '500ms'
AS $$
DECLARE
    v_policy pggit.alert_lifecycle_policy;
    v_seen bigint[];
    v_recovered bigint[];
    v_silent bigint[];
BEGIN
    IF p_limit IS NULL OR p_limit < 1 THEN
        RAISE EXCEPTION 'p_limit is %, it must be one at least', coalesce(p_limit::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF p_recovery_after < interval '0' THEN
        RAISE EXCEPTION 'p_recovery_after is %, it must not be negative', p_recovery_after
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The default is 15 minutes.';
    END IF;
    IF p_silence_after <= interval '0' THEN
        RAISE EXCEPTION 'p_silence_after is %, it must be more than nothing', p_silence_after
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The default is 24 hours.';
    END IF;
    UPDATE pggit.alert_lifecycle_policy AS p
    SET
        recovery_after = coalesce(p_recovery_after, p.recovery_after),
        silence_after = coalesce(p_silence_after, p.silence_after)
    WHERE p.recovery_after IS DISTINCT FROM coalesce(p_recovery_after, p.recovery_after)
        OR p.silence_after IS DISTINCT FROM coalesce(p_silence_after, p.silence_after);
    SELECT
        coalesce(p_recovery_after, p.recovery_after, '15 minutes') AS recovery_after,
        coalesce(p_silence_after, p.silence_after, '24 hours') AS silence_after
    INTO v_policy.recovery_after, v_policy.silence_after
    FROM (SELECT) AS nothing
    LEFT JOIN pggit.alert_lifecycle_policy AS p ON TRUE;

    WITH seen AS MATERIALIZED (
        SELECT ep.episode_id, ep.operation_type, ep.alert_type, ep.started_at
        FROM pggit.alert_episode AS ep
        WHERE ep.closed_at IS NULL
        ORDER BY ep.checked_at
        LIMIT p_limit
    ),

    quiet AS MATERIALIZED (
        SELECT seen.episode_id, seen.operation_type, seen.alert_type, latest.alert_id, latest.metric_id,
            coalesce(latest.occurred_at, seen.started_at) AS last_at
        FROM seen
        LEFT JOIN LATERAL (
            SELECT m.alert_id, m.metric_id, m.occurred_at
            FROM pggit.alert_episode_member AS m
            WHERE m.episode_id = seen.episode_id
            ORDER BY m.occurred_at DESC, m.alert_id DESC
            LIMIT 1
        ) AS latest ON TRUE
        WHERE coalesce(latest.occurred_at, seen.started_at) <= now() - least(v_policy.recovery_after, v_policy.silence_after)
    ),

    judged AS (
        SELECT quiet.episode_id, quiet.last_at,
            quiet.last_at <= now() - v_policy.recovery_after
            AND pggit.operation_recovered(
                quiet.operation_type, quiet.alert_type, quiet.metric_id, a.baseline_p99_microseconds
            ) AS is_normal
        FROM quiet
        LEFT JOIN pggit.performance_alerts AS a ON quiet.alert_id = a.alert_id
    )

    SELECT
        ARRAY(SELECT seen.episode_id FROM seen),
        coalesce(array_agg(judged.episode_id) FILTER (WHERE judged.is_normal), '{}'),
        coalesce(array_agg(judged.episode_id) FILTER (
            WHERE NOT judged.is_normal AND judged.last_at <= now() - v_policy.silence_after
        ), '{}')
    INTO v_seen, v_recovered, v_silent
    FROM judged;

    checked := cardinality(v_seen);
    UPDATE pggit.alert_episode AS ep
    SET checked_at = clock_timestamp()
    WHERE ep.episode_id = ANY (ARRAY(
        SELECT e.episode_id FROM pggit.alert_episode AS e
        WHERE e.episode_id = ANY (v_seen) FOR NO KEY UPDATE OF e SKIP LOCKED
    ));
    recovered := pggit.close_alert_episodes(
        ARRAY(
            SELECT e.episode_id FROM pggit.alert_episode AS e
            WHERE e.episode_id = ANY (v_recovered) FOR UPDATE OF e SKIP LOCKED
        ),
        'recovered', now() - v_policy.recovery_after, NULL, NULL
    );
    silent := pggit.close_alert_episodes(
        ARRAY(
            SELECT e.episode_id FROM pggit.alert_episode AS e
            WHERE e.episode_id = ANY (v_silent) FOR UPDATE OF e SKIP LOCKED
        ),
        'silent', now() - v_policy.silence_after, NULL, NULL
    );
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION pggit.resolve_recovered_episodes(interval, interval, integer) IS
'Resolves episodes whose operation is back to normal, or of which nothing was heard for long; returns how many. '
'The scheduled job recovery calls it every minute.';

REVOKE EXECUTE ON FUNCTION pggit.resolve_recovered_episodes(interval, interval, integer) FROM PUBLIC;
