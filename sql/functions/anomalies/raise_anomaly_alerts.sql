-- Turn the unusual metrics of a span of time into episodes and alerts, in one statement.
-- An episode is a run of unusual metrics of one operation without a pause of episode_gap. What touches an episode that
-- is known, from a scan before, belongs to it and raises nothing, for a day; so a scan that looks at the same metrics
-- again, or at their neighbors, changes nothing but the episode's end and count. A new one raises one alert, about its
-- worst metric, unless the operation has had its alerts_per_hour: then the episode is kept without.
-- What the whitelist covers is in no episode; it is kept with the entry that covers it, and counted by entry: `metrics`
-- seen in this span, `fresh` of them for the first time.
-- The caller holds lock_anomaly_alerts.
CREATE OR REPLACE FUNCTION pggit.raise_anomaly_alerts(p_from timestamp, p_to timestamp, p_probe boolean)
RETURNS TABLE (
    unusual bigint, expected bigint, episodes bigint, alerts bigint, over_cap bigint, whitelisted_by jsonb
)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pggit, pg_temp
SET jit = off
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH found AS MATERIALIZED (
        SELECT
            f.*,
            pggit.whitelist_entry(f.operation_type, f.recorded_at, f.duration_microseconds) AS whitelist_id
        FROM pggit.find_anomalies(pggit.watched_operations(), p_from, p_to, p_probe) AS f
    ),

    held_back AS (
        INSERT INTO pggit.whitelisted_metric (
            metric_id, whitelist_id, recorded_at, duration_microseconds, operation_type, reason
        )
        SELECT
            found.metric_id, found.whitelist_id, found.recorded_at, found.duration_microseconds, found.operation_type,
            entry.reason
        FROM found
        INNER JOIN pggit.anomaly_whitelist AS entry ON found.whitelist_id = entry.whitelist_id
        ON CONFLICT DO NOTHING
        RETURNING whitelisted_metric.whitelist_id
    ),

    entry_count AS (
        SELECT seen.whitelist_id, sum(seen.metrics) AS metrics, sum(seen.fresh) AS fresh
        FROM (
            SELECT found.whitelist_id, count(*) AS metrics, 0 AS fresh
            FROM found
            WHERE found.whitelist_id IS NOT NULL
            GROUP BY found.whitelist_id
            UNION ALL
            SELECT held_back.whitelist_id, 0, count(*)
            FROM held_back
            GROUP BY held_back.whitelist_id
        ) AS seen
        GROUP BY seen.whitelist_id
    ),

    setting AS MATERIALIZED (
        SELECT s.operation_type, s.alerts_per_hour, s.episode_gap
        FROM pggit.anomaly_settings(ARRAY(SELECT DISTINCT found.operation_type FROM found)) AS s
    ),

    numbered AS (
        SELECT
            stepped.*,
            sum(stepped.is_first) OVER (
                PARTITION BY stepped.operation_type ORDER BY stepped.recorded_at, stepped.metric_id
            ) AS run
        FROM (
            SELECT
                found.*,
                setting.episode_gap,
                setting.alerts_per_hour,
                coalesce(
                    found.recorded_at - lag(found.recorded_at) OVER (
                        PARTITION BY found.operation_type ORDER BY found.recorded_at, found.metric_id
                    ) > setting.episode_gap, TRUE
                )::integer AS is_first
            FROM found
            INNER JOIN setting USING (operation_type)
            WHERE found.whitelist_id IS NULL
        ) AS stepped
    ),

    run AS MATERIALIZED (
        SELECT
            n.operation_type,
            n.run,
            min(n.recorded_at) AS began_at,
            max(n.recorded_at) AS last_at,
            count(*) AS metrics,
            max(n.zscore) AS worst_zscore,
            max(n.duration_microseconds) AS worst_microseconds,
            array_agg(n.recorded_at) AS times,
            (array_agg(n.metric_id ORDER BY n.zscore DESC, n.recorded_at, n.metric_id))[1] AS worst_metric_id,
            min(n.episode_gap) AS episode_gap,
            min(n.alerts_per_hour) AS alerts_per_hour
        FROM numbered AS n
        GROUP BY n.operation_type, n.run
    ),

    placed AS MATERIALIZED (
        SELECT run.*, known.began_at AS known_began_at
        FROM run
        LEFT JOIN LATERAL (
            SELECT e.began_at
            FROM pggit.anomaly_episode AS e
            WHERE e.operation_type = run.operation_type
                AND e.began_at BETWEEN run.began_at - interval '24 hours' AND run.last_at + run.episode_gap
                AND e.last_at >= run.began_at - run.episode_gap
            ORDER BY e.began_at DESC
            LIMIT 1
        ) AS known ON TRUE
    ),

    prolonged AS (
        UPDATE pggit.anomaly_episode AS e
        SET
            last_at = greatest(e.last_at, more.last_at),
            metrics = e.metrics + more.fresh,
            worst_zscore = greatest(e.worst_zscore, more.worst_zscore),
            worst_microseconds = greatest(e.worst_microseconds, more.worst_microseconds)
        FROM (
            SELECT
                p.operation_type,
                p.known_began_at,
                max(p.last_at) AS last_at,
                max(p.worst_zscore) AS worst_zscore,
                max(p.worst_microseconds) AS worst_microseconds,
                sum((
                    SELECT count(*) FROM unnest(p.times) AS t (at)
                    WHERE t.at > (
                        SELECT k.last_at FROM pggit.anomaly_episode AS k
                        WHERE k.operation_type = p.operation_type AND k.began_at = p.known_began_at
                    )
                )) AS fresh
            FROM placed AS p
            WHERE p.known_began_at IS NOT NULL
            GROUP BY p.operation_type, p.known_began_at
        ) AS more
        WHERE e.operation_type = more.operation_type
            AND e.began_at = more.known_began_at
            AND (e.last_at, e.worst_zscore, e.worst_microseconds)
            IS DISTINCT FROM (
                greatest(e.last_at, more.last_at), greatest(e.worst_zscore, more.worst_zscore),
                greatest(e.worst_microseconds, more.worst_microseconds)
            )
    ),

    novel AS MATERIALIZED (
        SELECT
            p.*,
            row_number() OVER (PARTITION BY p.operation_type ORDER BY p.began_at)
            + (
                SELECT count(*) FROM pggit.anomaly_episode AS e
                WHERE e.operation_type = p.operation_type
                    AND e.outcome = 'alerted'
                    AND e.found_at > clock_timestamp() - interval '1 hour'
            ) <= p.alerts_per_hour AS is_told
        FROM placed AS p
        WHERE p.known_began_at IS NULL
    ),

    alert AS (
        INSERT INTO pggit.performance_alerts (
            metric_id, baseline_id, operation_type, alert_type, severity, baseline_p99_microseconds,
            actual_duration_microseconds, violation_multiplier, branch_id, user_name
        )
        SELECT
            worst.metric_id,
            baseline.baseline_id,
            worst.operation_type,
            'ANOMALY',
            CASE WHEN worst.is_critical THEN 'CRITICAL' ELSE 'WARNING' END,
            baseline.p99_microseconds,
            worst.duration_microseconds,
            pggit.violation_multiplier(worst.duration_microseconds, worst.typical_microseconds),
            worst.branch_id,
            worst.user_name
        FROM novel
        INNER JOIN found AS worst ON novel.worst_metric_id = worst.metric_id
        LEFT JOIN LATERAL pggit.baseline_of_metric(worst.operation_type, worst.branch_id) AS baseline ON TRUE
        WHERE novel.is_told
        ORDER BY novel.began_at, novel.operation_type
        RETURNING performance_alerts.alert_id, performance_alerts.metric_id
    ),

    finding AS (
        INSERT INTO pggit.alert_finding (
            alert_id, operation_type, alert_type, zscore, expected_low_microseconds, expected_high_microseconds,
            percent_change, began_at
        )
        SELECT
            alert.alert_id,
            worst.operation_type,
            'ANOMALY',
            round(worst.zscore, 2),
            worst.low_microseconds,
            worst.high_microseconds,
            round(100.0 * (worst.duration_microseconds - worst.typical_microseconds) / greatest(worst.typical_microseconds, 1), 1),
            novel.began_at
        FROM alert
        INNER JOIN found AS worst USING (metric_id)
        INNER JOIN novel ON worst.metric_id = novel.worst_metric_id
    ),

    begun AS (
        INSERT INTO pggit.anomaly_episode (
            operation_type, began_at, last_at, metrics, worst_zscore, worst_microseconds, alert_id, outcome
        )
        SELECT
            novel.operation_type, novel.began_at, novel.last_at, novel.metrics, novel.worst_zscore,
            novel.worst_microseconds, alert.alert_id, CASE WHEN novel.is_told THEN 'alerted' ELSE 'over_cap' END
        FROM novel
        LEFT JOIN alert ON novel.worst_metric_id = alert.metric_id
    )

    SELECT
        (SELECT count(*) FROM found WHERE found.whitelist_id IS NULL),
        (SELECT count(*) FROM found WHERE found.whitelist_id IS NOT NULL),
        (SELECT count(*) FROM novel),
        (SELECT count(*) FROM alert),
        (SELECT count(*) FROM novel WHERE NOT novel.is_told),
        (
            SELECT coalesce(jsonb_agg(
                jsonb_build_object(
                    'whitelist_id', c.whitelist_id, 'reason', left(entry.reason, 200), 'metrics', c.metrics,
                    'fresh', c.fresh
                )
                ORDER BY c.whitelist_id
            ), '[]')
            FROM entry_count AS c
            INNER JOIN pggit.anomaly_whitelist AS entry ON c.whitelist_id = entry.whitelist_id
        );
END
$$;

COMMENT ON FUNCTION pggit.raise_anomaly_alerts(timestamp, timestamp, boolean) IS
'Raises one alert for each new episode of unusual metrics between two times, and counts what it saw; for scan_anomalies.';

REVOKE EXECUTE ON FUNCTION pggit.raise_anomaly_alerts(timestamp, timestamp, boolean) FROM PUBLIC;
