-- What the detector can say about each operation, so that silence is not taken for health: "insufficient" is not
-- "normal". A range wider than any slowness is said too: twenty times what one call in four hundred takes, as where a
-- tail spans the hits and the rare misses of a cache. One row for each tracked operation, or for the one that is named,
-- known or not.
CREATE OR REPLACE FUNCTION pggit.anomaly_detection_status(
    p_operation_type text DEFAULT NULL,
    p_as_of timestamp DEFAULT NULL
)
RETURNS TABLE (
    operation_type text, status text, sample_count bigint, samples_needed integer, zscore_needed numeric,
    expected_low_ms numeric, expected_high_ms numeric, reason text
)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    v_to timestamp := coalesce(p_as_of, localtimestamp);
    v_from timestamp := v_to - interval '24 hours';
    v_operations text[] := CASE
        WHEN p_operation_type IS NOT NULL THEN ARRAY[p_operation_type]
        ELSE ARRAY(SELECT t.operation_type FROM pggit.performance_operation_types AS t WHERE t.is_tracked)
    END;
BEGIN
    IF NOT isfinite(v_to) THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH judged AS MATERIALIZED (
        SELECT
            l.operation_type,
            l.zscore_needed,
            (l.profile).hour_centers[1 + extract(HOUR FROM v_to)::integer] + l.low_cut AS low,
            (l.profile).hour_centers[1 + extract(HOUR FROM v_to)::integer] + l.cut AS high,
            l.cut - coalesce((l.profile).q9975, (l.profile).q99) > ln(20) AS endless
        FROM pggit.anomaly_limits(v_operations, v_from, v_to) AS l
    )

    SELECT
        s.operation_type,
        verdict.status,
        coalesce(p.sample_count, 0),
        s.min_samples,
        round(judged.zscore_needed::numeric, 2),
        round(pggit.latency_of_log(judged.low) / 1000.0, 3),
        round(pggit.latency_of_log(judged.high) / 1000.0, 3),
        CASE verdict.status
            WHEN 'off' THEN 'switched off in anomaly_detection_settings'
            WHEN 'untracked' THEN 'not scanned: is_tracked is not set in performance_operation_types'
            WHEN 'insufficient' THEN format(
                '%s metrics are known, %s are needed', coalesce(p.sample_count, 0), s.min_samples
            )
            WHEN 'young' THEN format('%s metrics are known: only what is far out is found', p.sample_count)
            WHEN 'watched' THEN CASE
                WHEN judged.endless THEN 'hardly anything can be found: what is expected reaches to over 20 times what one '
                    'call in 400 takes, as where few calls are of a much slower kind; give that kind an operation type of its own'
            END
        END
    FROM pggit.anomaly_settings(v_operations) AS s
    LEFT JOIN pggit.anomaly_profiles(p_operation_type, v_from, v_to, 7) AS p ON s.operation_type = p.operation_type
    LEFT JOIN judged ON s.operation_type = judged.operation_type
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN NOT s.enabled THEN 'off'
            WHEN coalesce(p.sample_count, 0) < s.min_samples THEN 'insufficient'
            WHEN NOT EXISTS (
                SELECT FROM pggit.performance_operation_types AS t
                WHERE t.operation_type = s.operation_type AND t.is_tracked
            ) THEN 'untracked'
            WHEN p.sample_count < 300 THEN 'young'
            ELSE 'watched'
        END AS status
    ) AS verdict
    ORDER BY s.operation_type;
END
$$;

COMMENT ON FUNCTION pggit.anomaly_detection_status(text, timestamp) IS
'For each tracked operation, or the one named: watched, young, insufficient, untracked or off, why, and what duration is expected at this hour.';

REVOKE EXECUTE ON FUNCTION pggit.anomaly_detection_status(text, timestamp) FROM PUBLIC;
