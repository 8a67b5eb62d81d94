-- The histograms of a span of time: the stored ones, and the raw metrics for hours that are not stored yet.
-- A stored hour counts if it begins before p_to's own hour: what belongs to the time after p_to is never in it.
-- Custom plans, because the test for NULL then leaves the plan and an index serves the operation.
CREATE OR REPLACE FUNCTION pggit.latency_hours(p_operation_type text, p_from timestamp, p_to timestamp)
RETURNS TABLE (operation_type text, hour_start timestamp, buckets smallint [], counts integer [])
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pggit, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    v_stored_to timestamp;
BEGIN
    SELECT max(h.hour_start) + interval '1 hour' INTO v_stored_to
    FROM pggit.performance_metric_histogram AS h;
    IF v_stored_to > p_to THEN
        v_stored_to := date_trunc('hour', p_to);
    END IF;

    RETURN QUERY
    SELECT h.operation_type, h.hour_start, h.buckets, h.counts
    FROM pggit.performance_metric_histogram AS h
    WHERE h.hour_start >= date_trunc('hour', p_from)
        AND h.hour_start < v_stored_to
        AND (p_operation_type IS NULL OR h.operation_type = p_operation_type);

    RETURN QUERY
    WITH bucket AS (
        SELECT
            m.operation_type,
            date_trunc('hour', m.recorded_at) AS hour_start,
            pggit.latency_bucket(m.duration_microseconds) AS bucket,
            count(*)::integer AS metrics
        FROM pggit.performance_metrics AS m
        WHERE m.recorded_at >= greatest(v_stored_to, p_from)
            AND m.recorded_at < p_to
            AND (p_operation_type IS NULL OR m.operation_type = p_operation_type)
        GROUP BY m.operation_type, hour_start, bucket
    )

    SELECT
        b.operation_type,
        b.hour_start,
        array_agg(b.bucket ORDER BY b.bucket),
        array_agg(b.metrics ORDER BY b.bucket)
    FROM bucket AS b
    GROUP BY b.operation_type, b.hour_start;
END
$$;

COMMENT ON FUNCTION pggit.latency_hours(text, timestamp, timestamp) IS
'Hourly latency histograms of one operation, or of all for NULL, from p_from''s hour up to p_to; raw metrics where none are stored yet.';

REVOKE EXECUTE ON FUNCTION pggit.latency_hours(text, timestamp, timestamp) FROM PUBLIC;
