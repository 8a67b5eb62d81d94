-- Fold the metrics of whole hours into one histogram per operation and hour. What is there already is replaced where it
-- differs, so that hours without late rows cost no write; what has no metric any more goes.
CREATE OR REPLACE FUNCTION pggit.fold_metric_hours(p_from timestamp, p_to timestamp)
RETURNS integer
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pggit, pg_temp
SET jit = off
SET work_mem = '32MB'
AS $$
WITH bucket AS (
    SELECT
        m.operation_type,
        date_trunc('hour', m.recorded_at) AS hour_start,
        pggit.latency_bucket(m.duration_microseconds) AS bucket,
        count(*)::integer AS metrics,
        min(m.duration_microseconds) AS shortest,
        max(m.duration_microseconds) AS longest,
        sum(m.duration_microseconds::double precision) AS total,
        sum(m.duration_microseconds::double precision * m.duration_microseconds::double precision) AS squares
    FROM pggit.performance_metrics AS m
    WHERE m.recorded_at >= p_from AND m.recorded_at < p_to
    GROUP BY m.operation_type, hour_start, bucket
),

folded AS MATERIALIZED (
    SELECT
        b.operation_type,
        b.hour_start,
        sum(b.metrics)::integer AS sample_count,
        min(b.shortest) AS min_microseconds,
        max(b.longest) AS max_microseconds,
        sum(b.total) AS sum_microseconds,
        sum(b.squares) AS sum_squares,
        array_agg(b.bucket ORDER BY b.bucket) AS buckets,
        array_agg(b.metrics ORDER BY b.bucket) AS counts
    FROM bucket AS b
    GROUP BY b.operation_type, b.hour_start
),

written AS (
    INSERT INTO pggit.performance_metric_histogram AS known (
        operation_type, hour_start, sample_count, min_microseconds, max_microseconds, sum_microseconds, sum_squares,
        buckets, counts
    )
    SELECT f.* FROM folded AS f
    ORDER BY f.operation_type, f.hour_start
    ON CONFLICT ON CONSTRAINT performance_metric_histogram_pkey DO UPDATE
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
    DELETE FROM pggit.performance_metric_histogram AS known
    WHERE known.hour_start >= p_from AND known.hour_start < p_to
        AND NOT EXISTS (
            SELECT FROM folded AS f
            WHERE f.operation_type = known.operation_type AND f.hour_start = known.hour_start
        )
)

SELECT count(*)::integer FROM folded
$$;

COMMENT ON FUNCTION pggit.fold_metric_hours(timestamp, timestamp) IS
'Makes the hourly histograms of [p_from, p_to) afresh, both on the hour; returns how many. For refresh_performance_histograms.';

REVOKE EXECUTE ON FUNCTION pggit.fold_metric_hours(timestamp, timestamp) FROM PUBLIC;
