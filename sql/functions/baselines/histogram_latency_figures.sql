-- The same figures as exact_latency_figures from the stored histograms, so that a week of millions of metrics costs
-- what a week of thousands does. Whole days are read as one row each, up to the last hour that is stored. The first day
-- is only in part in the window: hours are added, or taken off the whole day, whichever are fewer. Raw rows, through
-- the index on recorded_at, are the rest of the first hour and what is not stored yet.
-- Percentiles lie between two ranks as percentile_cont's do, and each rank's bucket is within 1 % of its metric; so the
-- percentile is. min, max, mean and stddev come from the rows' own minima, maxima and sums. Counts are doubles, exact
-- up to 2^53, because sums of bigint are numeric and three times as slow.
-- With p_until the last day is in the window only in part, too: its hours are added, and raw rows after them. So it is
-- when the clock was set back (summer time ends): the hours that lie ahead are part of their day, but read as raw rows.
CREATE OR REPLACE FUNCTION pggit.histogram_latency_figures(
    p_since timestamp,
    p_operation_type text DEFAULT NULL,
    p_until timestamp DEFAULT NULL
)
RETURNS TABLE (
    operation_type text,
    sample_count bigint,
    shortest double precision,
    longest double precision,
    percentiles double precision [],
    p99_bounds double precision [],
    mean double precision,
    spread double precision
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pggit, pg_temp
SET plan_cache_mode = force_custom_plan
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    v_stored_to timestamp := least(
        coalesce(pggit.histograms_stored_to(), '-infinity'), date_trunc('hour', p_until)
    );
    v_first_hour timestamp := date_trunc('hour', p_since)
        + CASE WHEN p_since = date_trunc('hour', p_since) THEN interval '0' ELSE interval '1 hour' END;
    v_first_day date := v_first_hour::date;
    v_last_day date := CASE
        WHEN p_until IS NULL AND NOT EXISTS (
            SELECT FROM pggit.performance_metric_histogram AS ahead WHERE ahead.hour_start >= v_stored_to
        ) THEN 'infinity'
        ELSE greatest(v_stored_to, v_first_hour)::date
    END;
    v_takes_off boolean := extract(HOUR FROM v_first_hour) < 12 AND v_first_day < v_last_day;
BEGIN
    RETURN QUERY
    WITH part AS MATERIALIZED (
        -- Whole days; the first one too if its early hours are taken off again.
        SELECT
            stored.operation_type, 1::double precision AS sign, stored.sample_count,
            CASE WHEN stored.day > v_first_day THEN stored.min_microseconds END AS shortest,
            CASE WHEN stored.day > v_first_day THEN stored.max_microseconds END AS longest,
            stored.sum_microseconds, stored.sum_squares, stored.buckets, stored.counts
        FROM pggit.performance_metric_histogram_day AS stored
        WHERE stored.day >= v_first_day + (NOT v_takes_off)::integer
            AND stored.day < v_stored_to
            AND stored.day < v_last_day
            AND (p_operation_type IS NULL OR stored.operation_type = p_operation_type)
        UNION ALL
        SELECT
            stored.operation_type,
            CASE WHEN v_takes_off THEN -1 ELSE 1 END::double precision,
            stored.sample_count, NULL, NULL, stored.sum_microseconds, stored.sum_squares, stored.buckets, stored.counts
        FROM pggit.performance_metric_histogram AS stored
        WHERE stored.hour_start >= CASE WHEN v_takes_off THEN v_first_day::timestamp ELSE v_first_hour END
            AND stored.hour_start < CASE WHEN v_takes_off THEN v_first_hour ELSE (v_first_day + 1)::timestamp END
            AND stored.hour_start < v_stored_to
            AND (p_operation_type IS NULL OR stored.operation_type = p_operation_type)
        UNION ALL
        SELECT
            stored.operation_type, 1, stored.sample_count, stored.min_microseconds, stored.max_microseconds,
            stored.sum_microseconds, stored.sum_squares, stored.buckets, stored.counts
        FROM pggit.performance_metric_histogram AS stored
        WHERE stored.hour_start >= v_last_day
            AND stored.hour_start >= v_first_day + 1
            AND stored.hour_start < v_stored_to
            AND (p_operation_type IS NULL OR stored.operation_type = p_operation_type)
    ),

    raw AS MATERIALIZED (
        SELECT
            metric.operation_type,
            pggit.latency_bucket(metric.duration_microseconds) AS bucket,
            count(*)::double precision AS metrics,
            min(metric.duration_microseconds) AS shortest,
            max(metric.duration_microseconds) AS longest,
            sum(metric.duration_microseconds::double precision) AS total,
            sum(
                metric.duration_microseconds::double precision * metric.duration_microseconds::double precision
            ) AS squares
        FROM pggit.performance_metrics AS metric
        WHERE metric.recorded_at >= p_since
            AND (metric.recorded_at < v_first_hour OR metric.recorded_at >= v_stored_to)
            AND (p_until IS NULL OR metric.recorded_at <= p_until)
            AND (p_operation_type IS NULL OR metric.operation_type = p_operation_type)
        GROUP BY metric.operation_type, bucket
    ),

    -- The first day's minima and maxima can't be had by taking hours off.
    extreme AS (
        SELECT stored.operation_type, min(stored.min_microseconds) AS shortest, max(stored.max_microseconds) AS longest
        FROM pggit.performance_metric_histogram AS stored
        WHERE stored.hour_start >= v_first_hour
            AND stored.hour_start < v_first_day + 1
            AND stored.hour_start < v_stored_to
            AND (p_operation_type IS NULL OR stored.operation_type = p_operation_type)
        GROUP BY stored.operation_type
    ),

    summed AS (
        SELECT
            piece.operation_type,
            min(piece.shortest)::double precision AS shortest,
            max(piece.longest)::double precision AS longest,
            sum(piece.total) AS total,
            sum(piece.squares) AS squares
        FROM (
            SELECT
                part.operation_type, part.shortest, part.longest,
                part.sign * part.sum_microseconds AS total, part.sign * part.sum_squares AS squares
            FROM part
            UNION ALL
            SELECT raw.operation_type, raw.shortest, raw.longest, raw.total, raw.squares FROM raw
            UNION ALL
            SELECT extreme.operation_type, extreme.shortest, extreme.longest, 0, 0 FROM extreme
        ) AS piece
        GROUP BY piece.operation_type
    ),

    bucket AS (
        SELECT piece.operation_type, piece.bucket, sum(piece.metrics) AS metrics
        FROM (
            SELECT part.operation_type, pair.bucket, part.sign * pair.metrics AS metrics
            FROM part
            CROSS JOIN LATERAL unnest(part.buckets, part.counts) AS pair (bucket, metrics)
            UNION ALL
            SELECT raw.operation_type, raw.bucket, raw.metrics FROM raw
        ) AS piece
        GROUP BY piece.operation_type, piece.bucket
        HAVING sum(piece.metrics) > 0
    ),

    -- ranks[i] metrics lie in buckets[i] and below, so the metric of rank k is in the bucket behind the ranks below k.
    shape AS (
        SELECT
            running.operation_type,
            array_agg(running.bucket ORDER BY running.bucket) AS buckets,
            array_agg(running.rank ORDER BY running.bucket) AS ranks
        FROM (
            SELECT
                bucket.operation_type,
                bucket.bucket::integer AS bucket,
                (sum(bucket.metrics) OVER (PARTITION BY bucket.operation_type ORDER BY bucket.bucket))::bigint AS rank
            FROM bucket
        ) AS running
        GROUP BY running.operation_type
    )

    SELECT
        shape.operation_type,
        size.n,
        summed.shortest,
        summed.longest,
        ARRAY(
            SELECT greatest(least(below.value + (above.value - below.value) * (place.rank - floor(place.rank)), summed.longest), summed.shortest)
            FROM unnest(ARRAY[0.5, 0.75, 0.9, 0.95, 0.99]::double precision []) WITH ORDINALITY AS wanted (fraction, number)
            CROSS JOIN LATERAL (SELECT wanted.fraction * (size.n - 1)) AS place (rank)
            CROSS JOIN LATERAL (
                SELECT pggit.latency_of_bucket(shape.buckets[width_bucket(floor(place.rank)::bigint, shape.ranks) + 1])
            ) AS below (value)
            CROSS JOIN LATERAL (
                SELECT pggit.latency_of_bucket(shape.buckets[width_bucket(ceil(place.rank)::bigint, shape.ranks) + 1])
            ) AS above (value)
            ORDER BY wanted.number
        ),
        ARRAY[
            exp(pggit.latency_bucket_width() * (shape.buckets[width_bucket(
                greatest(floor(0.99 * size.n - 1.96 * sqrt(0.0099 * size.n)), 1)::bigint - 1, shape.ranks
            ) + 1] - 1)),
            exp(pggit.latency_bucket_width() * shape.buckets[width_bucket(
                least(ceil(0.99 * size.n + 1.96 * sqrt(0.0099 * size.n)), size.n)::bigint - 1, shape.ranks
            ) + 1])
        ],
        greatest(least(summed.total / size.n, summed.longest), summed.shortest),
        CASE WHEN size.n > 1 THEN least(
            sqrt(greatest(summed.squares - summed.total ^ 2 / size.n, 0) / (size.n - 1)), summed.longest - summed.shortest
        ) END
    FROM shape
    INNER JOIN summed ON shape.operation_type = summed.operation_type
    CROSS JOIN LATERAL (SELECT shape.ranks[cardinality(shape.ranks)]) AS size (n);
END
$$;

COMMENT ON FUNCTION pggit.histogram_latency_figures(timestamp, text, timestamp) IS
'Figures of the metrics recorded since p_since and up to p_until (no end), of one operation or all, from histograms: percentiles within 1 % of percentile_cont (or a microsecond), min, max and mean exact.';

REVOKE EXECUTE ON FUNCTION pggit.histogram_latency_figures(timestamp, text, timestamp) FROM PUBLIC;
