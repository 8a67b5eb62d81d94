-- Exact, whatever the span: whole hours come from their histograms' sums, the rest from the metrics themselves.
CREATE OR REPLACE FUNCTION pggit.average_latency(p_operation_type text, p_from timestamp, p_to timestamp)
RETURNS numeric
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pggit, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    -- The whole hours inside the span, as far as they are in histograms.
    v_first timestamp := date_trunc('hour', p_from + interval '1 hour' - interval '1 microsecond');
    v_end timestamp;
    v_average numeric;
BEGIN
    SELECT least(date_trunc('hour', p_to), coalesce(max(h.hour_start) + interval '1 hour', '-infinity')) INTO v_end
    FROM pggit.performance_metric_histogram AS h;
    IF v_end < v_first THEN
        v_first := p_to;
        v_end := p_to;
    END IF;

    SELECT (sum(part.total) / nullif(sum(part.calls), 0))::numeric INTO v_average
    FROM (
        SELECT sum(h.sum_microseconds) AS total, sum(h.sample_count)::double precision AS calls
        FROM pggit.performance_metric_histogram AS h
        WHERE h.operation_type = p_operation_type AND h.hour_start >= v_first AND h.hour_start < v_end
        UNION ALL
        SELECT sum(m.duration_microseconds::double precision), count(*)::double precision
        FROM pggit.performance_metrics AS m
        WHERE m.operation_type = p_operation_type AND m.recorded_at >= p_from AND m.recorded_at < v_first
        UNION ALL
        SELECT sum(m.duration_microseconds::double precision), count(*)::double precision
        FROM pggit.performance_metrics AS m
        WHERE m.operation_type = p_operation_type AND m.recorded_at >= v_end AND m.recorded_at < p_to
    ) AS part;
    RETURN v_average;
END
$$;

COMMENT ON FUNCTION pggit.average_latency(text, timestamp, timestamp) IS
'Mean duration in microseconds of the metrics of an operation recorded in [p_from, p_to); NULL if there are none.';

REVOKE EXECUTE ON FUNCTION pggit.average_latency(text, timestamp, timestamp) FROM PUBLIC;
