-- Start the chains whose first setting has just been told of a CRITICAL alert: one run per episode and chain.
-- Also where that notification failed at once: whom it can't reach won't acknowledge it either.
-- Another transaction that is starting the same chain is waited for a moment, no longer: it will have started it.
CREATE OR REPLACE FUNCTION pggit.start_alert_escalations(p_alert_ids bigint [])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
SET lock_timeout = '800ms'
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pggit.alert_escalation_step) THEN
        RETURN;
    END IF;
    INSERT INTO pggit.alert_escalation (episode_id, chain, alert_id, position, setting_id, due_at)
    SELECT DISTINCT ON (m.episode_id, origin.chain)
        m.episode_id, origin.chain, q.alert_id, origin.position, origin.setting_id, now() + next.wait
    FROM (
        SELECT DISTINCT ON (s.chain) s.chain, s.position, s.setting_id
        FROM pggit.alert_escalation_step AS s
        ORDER BY s.chain, s.position
    ) AS origin
    CROSS JOIN LATERAL (
        SELECT s.wait
        FROM pggit.alert_escalation_step AS s
        WHERE s.chain = origin.chain AND s.position > origin.position
        ORDER BY s.position
        LIMIT 1
    ) AS next
    INNER JOIN pggit.alert_notification_queue AS q
        ON q.alert_id = ANY (p_alert_ids) AND q.event = 'triggered' AND origin.setting_id = q.setting_id
    INNER JOIN pggit.alert_episode_member AS m ON q.alert_id = m.alert_id
    INNER JOIN pggit.alert_episode AS ep ON m.episode_id = ep.episode_id
    LEFT JOIN pggit.performance_alerts AS a ON q.alert_id = a.alert_id
    WHERE q.alert ->> 'severity' = 'CRITICAL'
        AND ep.closed_at IS NULL
        AND ep.acknowledged_at IS NULL
        AND a.is_acknowledged IS NOT TRUE
    ORDER BY m.episode_id, origin.chain, q.alert_id
    ON CONFLICT DO NOTHING;
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    RAISE LOG 'escalation is started by the transaction that holds it: %', SQLERRM;
END
$$;

COMMENT ON FUNCTION pggit.start_alert_escalations(bigint []) IS
'Starts escalation chains for CRITICAL alerts that were just routed; used by queue_alert_notifications.';

REVOKE EXECUTE ON FUNCTION pggit.start_alert_escalations(bigint []) FROM PUBLIC;
