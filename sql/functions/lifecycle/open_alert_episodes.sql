-- Open an episode for each operation and type among the alerts that have none, and make the alerts its members.
-- 'shared': whoever opens one for the same operation at the same time is waited for, and its episode is joined; rows
-- are taken in one order, so openers can't wait for each other in a ring. 'apart': an episode nobody else joins.
CREATE OR REPLACE FUNCTION pggit.open_alert_episodes(p_alert_ids bigint [], p_occurred_at timestamptz [], p_kind text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pggit, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    WITH fresh AS MATERIALIZED (
        SELECT f.* FROM pggit.fresh_episode_members(p_alert_ids, p_occurred_at) AS f
    ),

    opened AS (
        INSERT INTO pggit.alert_episode AS ep (operation_type, alert_type, first_alert_id, started_at, apart)
        SELECT run.operation_type, run.alert_type, run.alert_id, run.occurred_at, p_kind = 'apart'
        FROM (
            SELECT DISTINCT ON (fresh.operation_type, fresh.alert_type) fresh.*
            FROM fresh
            ORDER BY fresh.operation_type, fresh.alert_type, fresh.occurred_at, fresh.alert_id
        ) AS run
        ORDER BY run.operation_type, run.alert_type
        ON CONFLICT (operation_type, alert_type) WHERE closed_at IS NULL AND NOT apart
        DO UPDATE SET started_at = least(ep.started_at, excluded.started_at)
        RETURNING ep.episode_id, ep.operation_type, ep.alert_type
    )

    INSERT INTO pggit.alert_episode_member (alert_id, episode_id, occurred_at, metric_id, factor)
    SELECT fresh.alert_id, opened.episode_id, fresh.occurred_at, fresh.metric_id, fresh.factor
    FROM fresh
    INNER JOIN opened ON fresh.operation_type = opened.operation_type AND fresh.alert_type = opened.alert_type
    ORDER BY fresh.alert_id
    ON CONFLICT DO NOTHING;
END
$$;

COMMENT ON FUNCTION pggit.open_alert_episodes(bigint [], timestamptz [], text) IS
'Opens episodes for alerts that have none; used by assign_alert_episodes.';

REVOKE EXECUTE ON FUNCTION pggit.open_alert_episodes(bigint [], timestamptz [], text) FROM PUBLIC;
