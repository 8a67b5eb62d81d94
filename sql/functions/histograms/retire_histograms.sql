-- Remove the histograms of metrics that somebody has deleted: everything before the hour of the oldest metric there is,
-- and operations that have no metric at all. That is what retention leaves behind; a deletion in the middle is noticed
-- when its hours are refreshed by name. The oldest hour may have lost a part, so it is named to be made afresh.
CREATE OR REPLACE FUNCTION pggit.retire_histograms(p_oldest_hour timestamp)
RETURNS timestamp
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_deleted bigint;
BEGIN
    DELETE FROM pggit.performance_metric_histogram AS h
    WHERE p_oldest_hour IS NULL OR h.hour_start < p_oldest_hour;
    GET DIAGNOSTICS v_deleted = ROW_COUNT;
    DELETE FROM pggit.performance_metric_histogram_day AS d
    WHERE p_oldest_hour IS NULL OR d.day < p_oldest_hour::date;

    WITH measured AS MATERIALIZED (
        SELECT DISTINCT d.operation_type
        FROM pggit.performance_metric_histogram_day AS d
    ),

    vanished AS MATERIALIZED (
        SELECT measured.operation_type
        FROM measured
        WHERE NOT EXISTS (
            SELECT FROM pggit.performance_metrics AS m
            WHERE m.operation_type = measured.operation_type
        )
    ),

    hour AS (
        DELETE FROM pggit.performance_metric_histogram AS h
        USING vanished
        WHERE h.operation_type = vanished.operation_type
    ),

    profile AS (
        DELETE FROM pggit.performance_latency_profile AS p
        USING vanished
        WHERE p.operation_type = vanished.operation_type
    )

    DELETE FROM pggit.performance_metric_histogram_day AS d
    USING vanished
    WHERE d.operation_type = vanished.operation_type;

    RETURN CASE WHEN v_deleted > 0 THEN p_oldest_hour END;
END
$$;

COMMENT ON FUNCTION pggit.retire_histograms(timestamp) IS
'Removes histograms without metrics; returns the oldest hour if it may have lost metrics too, else NULL. For refresh_performance_histograms.';

REVOKE EXECUTE ON FUNCTION pggit.retire_histograms(timestamp) FROM PUBLIC;
