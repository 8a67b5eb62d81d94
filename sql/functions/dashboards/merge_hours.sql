-- Merges summed up by the hour in which they started, straight from the merges. For the timeline's hours that the
-- rollup lacks, and for the rollup itself, which takes only rows whose transaction is older than p_younger_out.
CREATE OR REPLACE FUNCTION pggit.merge_hours(
    p_from timestamp,
    p_to timestamp DEFAULT 'infinity',
    p_younger_out integer DEFAULT NULL
)
RETURNS SETOF pggit.merge_hour_rollup
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
    SELECT
        date_trunc('hour', m.started_at),
        count(*),
        sum(m.merge_base_calculation_us)::double precision,
        count(m.merge_base_calculation_us),
        sum(m.conflict_detection_us)::double precision,
        count(m.conflict_detection_us),
        sum(m.auto_resolution_us)::double precision,
        count(m.auto_resolution_us),
        sum(m.total_merge_us)::double precision,
        percentile_cont(0.99) WITHIN GROUP (ORDER BY m.total_merge_us)
    FROM pggit.merge_performance_metrics AS m
    WHERE m.started_at >= p_from
        AND m.started_at < p_to
        AND (p_younger_out IS NULL OR age(m.xmin) > p_younger_out)
    GROUP BY date_trunc('hour', m.started_at)
$$;

COMMENT ON FUNCTION pggit.merge_hours(timestamp, timestamp, integer) IS
'Merges that started from p_from until before p_to, summed up by hour; p99 is exact. NULL bounds: no rows.';

REVOKE EXECUTE ON FUNCTION pggit.merge_hours(timestamp, timestamp, integer) FROM PUBLIC;
