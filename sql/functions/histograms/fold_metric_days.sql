-- Merge the hourly histograms of whole days into one per operation and day; days without an hour go.
CREATE OR REPLACE FUNCTION pggit.fold_metric_days(p_first date, p_last date)
RETURNS integer
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pggit, pg_temp
SET jit = off
SET work_mem = '32MB'
AS $$
WITH hourly AS MATERIALIZED (
    SELECT
        h.*,
        h.hour_start::date AS day
    FROM pggit.performance_metric_histogram AS h
    WHERE h.hour_start >= p_first AND h.hour_start < p_last + 1
),

bucket AS (
    SELECT
        h.operation_type,
        h.day,
        u.bucket,
        sum(u.metrics)::bigint AS metrics
    FROM hourly AS h
    CROSS JOIN LATERAL unnest(h.buckets, h.counts) AS u (bucket, metrics)
    GROUP BY h.operation_type, h.day, u.bucket
),

shape AS (
    SELECT
        b.operation_type,
        b.day,
        array_agg(b.bucket ORDER BY b.bucket) AS buckets,
        array_agg(b.metrics ORDER BY b.bucket) AS counts
    FROM bucket AS b
    GROUP BY b.operation_type, b.day
),

summed AS (
    SELECT
        h.operation_type,
        h.day,
        sum(h.sample_count)::bigint AS sample_count,
        min(h.min_microseconds) AS min_microseconds,
        max(h.max_microseconds) AS max_microseconds,
        sum(h.sum_microseconds) AS sum_microseconds,
        sum(h.sum_squares) AS sum_squares
    FROM hourly AS h
    GROUP BY h.operation_type, h.day
),

folded AS MATERIALIZED (
    SELECT
        summed.*,
        shape.buckets,
        shape.counts
    FROM summed
    INNER JOIN shape USING (operation_type, day)
),

written AS (
    INSERT INTO pggit.performance_metric_histogram_day AS known (
        operation_type, day, sample_count, min_microseconds, max_microseconds, sum_microseconds, sum_squares,
        buckets, counts
    )
    SELECT f.* FROM folded AS f
    ORDER BY f.operation_type, f.day
    ON CONFLICT ON CONSTRAINT performance_metric_histogram_day_pkey DO UPDATE
    SET
        sample_count = excluded.sample_count,
        min_microseconds = excluded.min_microseconds,
        max_microseconds = excluded.max_microseconds,
        sum_microseconds = excluded.sum_microseconds,
        sum_squares = excluded.sum_squares,
        buckets = excluded.buckets,
        counts = excluded.counts,
        refreshed_at = clock_timestamp()
    WHERE (known.min_microseconds, known.max_microseconds, known.buckets, known.counts)
        IS DISTINCT FROM (excluded.min_microseconds, excluded.max_microseconds, excluded.buckets, excluded.counts)
),

emptied AS (
    DELETE FROM pggit.performance_metric_histogram_day AS known
    WHERE known.day BETWEEN p_first AND p_last
        AND NOT EXISTS (
            SELECT FROM folded AS f
            WHERE f.operation_type = known.operation_type AND f.day = known.day
        )
)

SELECT count(*)::integer FROM folded
$$;

COMMENT ON FUNCTION pggit.fold_metric_days(date, date) IS
'Makes the daily histograms from p_first to p_last afresh from the hourly ones; returns how many. For refresh_performance_histograms.';

REVOKE EXECUTE ON FUNCTION pggit.fold_metric_days(date, date) FROM PUBLIC;
