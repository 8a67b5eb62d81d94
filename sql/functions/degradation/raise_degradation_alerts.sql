-- Scans all tracked operations and raises an alert for each degradation that has not been told yet.
--
-- A degradation is told once. One that is found began before it was last seen is the same one, however many hours it
-- goes on and even if some scans in between missed it. It is told again when calls have become worse_percent slower
-- than when it was told; and what began after it was last seen is a new one. So recovery needs no proof of its own
-- here: who recovers and gets slower again begins anew.
--
-- Operations without a history are left out: an ordinary day's course would alert for each of them.
-- The alert carries a metric of median duration since the change; without one (they were deleted) there is no alert.
CREATE OR REPLACE FUNCTION pggit.raise_degradation_alerts(p_as_of timestamp DEFAULT NULL)
RETURNS TABLE (judged integer, insufficient integer, degraded integer, told integer)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    c_ended CONSTANT interval := interval '6 hours';
    v_as_of timestamp := coalesce(p_as_of, localtimestamp);
    v_operations text [];
    v_percents numeric [];
    v_zscores numeric [];
    v_began timestamp [];
BEGIN
    PERFORM pggit.require_degradation_arguments(24, 20, 7, 4, p_as_of);
    -- Two at once would both find it untold.
    PERFORM pg_advisory_xact_lock(hashtextextended('pggit.raise_degradation_alerts', 0));

    SELECT
        count(*) FILTER (WHERE s.severity <> 'INSUFFICIENT_DATA'),
        count(*) FILTER (WHERE s.severity = 'INSUFFICIENT_DATA'),
        count(*) FILTER (WHERE s.kind IN ('level', 'tail')),
        array_agg(s.operation_type) FILTER (WHERE s.kind IN ('level', 'tail')),
        array_agg(s.percent_change) FILTER (WHERE s.kind IN ('level', 'tail')),
        array_agg(s.zscore) FILTER (WHERE s.kind IN ('level', 'tail')),
        array_agg(s.began_at) FILTER (WHERE s.kind IN ('level', 'tail'))
    INTO judged, insufficient, degraded, v_operations, v_percents, v_zscores, v_began
    FROM pggit.degradation_scan(NULL, 24, NULL, 7, NULL, v_as_of) AS s;

    WITH found AS MATERIALIZED (
        SELECT
            f.*,
            coalesce(own.enabled, common.enabled, TRUE) AS enabled,
            coalesce(own.critical_percent, common.critical_percent, 100) AS critical_percent,
            known.operation_type IS NULL
            OR f.began_at > known.last_seen_at
            OR 1 + f.percent_change / 100
            >= (1 + known.alerted_percent / 100) * (1 + coalesce(own.worse_percent, common.worse_percent, 50) / 100)
            AS untold
        FROM unnest(v_operations, v_percents, v_zscores, v_began)
        AS f (operation_type, percent_change, zscore, began_at)
        LEFT JOIN pggit.degradation_setting AS own ON f.operation_type = own.operation_type
        LEFT JOIN pggit.degradation_setting AS common ON common.operation_type = '*'
        LEFT JOIN pggit.degradation_state AS known ON f.operation_type = known.operation_type
    ),

    pair AS MATERIALIZED (
        SELECT c.op_a, c.op_b
        FROM pggit.detect_correlated_degradation(p_as_of => v_as_of) AS c
        WHERE EXISTS (SELECT FROM found WHERE found.enabled AND found.untold)
    ),

    alert AS (
        INSERT INTO pggit.performance_alerts AS a (
            metric_id, operation_type, alert_type, severity, actual_duration_microseconds, violation_multiplier
        )
        SELECT
            typical.metric_id,
            found.operation_type,
            'DEGRADATION',
            CASE WHEN found.percent_change >= found.critical_percent THEN 'CRITICAL' ELSE 'WARNING' END,
            typical.duration_microseconds,
            -- pgGit's column is numeric(6,2).
            least(greatest(round(1 + found.percent_change / 100, 2), 0), 9999.99)
        FROM found
        CROSS JOIN LATERAL pggit.typical_metric(
            found.operation_type, found.began_at, v_as_of + interval '1 microsecond'
        ) AS typical
        WHERE found.enabled AND found.untold
        ORDER BY found.operation_type
        RETURNING a.alert_id, a.operation_type
    ),

    explained AS (
        INSERT INTO pggit.alert_finding (
            alert_id, operation_type, alert_type, zscore, percent_change, began_at, together
        )
        SELECT
            alert.alert_id,
            alert.operation_type,
            'DEGRADATION',
            found.zscore,
            found.percent_change,
            found.began_at,
            ARRAY(
                SELECT CASE WHEN pair.op_a = alert.operation_type THEN pair.op_b ELSE pair.op_a END AS partner
                FROM pair
                WHERE alert.operation_type IN (pair.op_a, pair.op_b)
                ORDER BY partner
            )
        FROM alert
        INNER JOIN found ON alert.operation_type = found.operation_type
    ),

    noted AS (
        INSERT INTO pggit.degradation_state AS known (
            operation_type, alert_id, began_at, alerted_percent, percent_change, last_seen_at
        )
        SELECT
            alert.operation_type,
            alert.alert_id,
            found.began_at,
            found.percent_change,
            found.percent_change,
            v_as_of
        FROM alert
        INNER JOIN found ON alert.operation_type = found.operation_type
        ON CONFLICT ON CONSTRAINT degradation_state_pkey DO UPDATE
        SET
            alert_id = excluded.alert_id,
            began_at = CASE
                WHEN excluded.began_at > known.last_seen_at THEN excluded.began_at ELSE known.began_at
            END,
            alerted_percent = excluded.alerted_percent,
            percent_change = excluded.percent_change,
            last_seen_at = excluded.last_seen_at,
            ended_at = NULL
        RETURNING known.operation_type
    ),

    seen AS (
        UPDATE pggit.degradation_state AS known
        SET percent_change = found.percent_change, last_seen_at = v_as_of, ended_at = NULL
        FROM found
        WHERE known.operation_type = found.operation_type AND NOT found.untold AND known.last_seen_at <= v_as_of
    ),

    ended AS (
        UPDATE pggit.degradation_state AS known
        SET ended_at = known.last_seen_at
        WHERE known.ended_at IS NULL
            AND known.last_seen_at <= v_as_of - c_ended
            AND NOT EXISTS (SELECT FROM found WHERE found.operation_type = known.operation_type)
    )

    SELECT count(*)::integer INTO told FROM noted;
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION pggit.raise_degradation_alerts(timestamp) IS
'Raises DEGRADATION alerts for what was not told yet; returns how many operations were judged, could not be, are degraded, and were told now.';

REVOKE EXECUTE ON FUNCTION pggit.raise_degradation_alerts(timestamp) FROM PUBLIC;
