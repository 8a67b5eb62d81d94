-- The alerts among these that exist and belong to no episode yet, each once, with what an episode records of them.
-- Without SET, so that it is planned as a part of the statement that calls it; every name in it has its schema.
-- The writer's session zone and hand-made rows can put an alert anywhere in time; nothing happened in the future.
CREATE OR REPLACE FUNCTION pggit.fresh_episode_members(p_alert_ids bigint [], p_occurred_at timestamptz [])
RETURNS TABLE (
    alert_id bigint,
    operation_type text,
    alert_type text,
    occurred_at timestamptz,
    metric_id bigint,
    factor numeric
)
LANGUAGE sql STABLE
AS $$
SELECT
    a.alert_id,
    a.operation_type,
    a.alert_type,
    CASE WHEN e.occurred_at BETWEEN '1970-01-01 00:00:00Z' AND now() THEN e.occurred_at ELSE now() END,
    a.metric_id,
    coalesce(
        a.actual_duration_microseconds / nullif(a.baseline_p99_microseconds, 0)::numeric,
        CASE WHEN a.violation_multiplier < 'Infinity' THEN a.violation_multiplier END
    )
FROM (
    SELECT DISTINCT ON (given.alert_id) given.alert_id, given.occurred_at
    FROM unnest(p_alert_ids, p_occurred_at) AS given (alert_id, occurred_at)
    ORDER BY given.alert_id, given.occurred_at
) AS e
INNER JOIN pggit.performance_alerts AS a ON e.alert_id = a.alert_id
WHERE NOT EXISTS (SELECT FROM pggit.alert_episode_member AS m WHERE m.alert_id = e.alert_id)
$$;

COMMENT ON FUNCTION pggit.fresh_episode_members(bigint [], timestamptz []) IS
'Alerts that have no episode yet; used by assign_alert_episodes and open_alert_episodes.';

REVOKE EXECUTE ON FUNCTION pggit.fresh_episode_members(bigint [], timestamptz []) FROM PUBLIC;
