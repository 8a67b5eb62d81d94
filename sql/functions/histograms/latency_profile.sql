-- What is usual for an operation in a span of time: the median of each hour of the day, and the shape of the tail.
-- All on the scale ln(microseconds), from histograms. docs/design/statistics.md has the reasons; in short:
-- * The center of an hour counts once the hour was seen on three days; it is drawn towards the median of all hours as
--   if twelve more metrics lay there. Centers are rounded to whole buckets, so that residuals fall on buckets as well.
-- * Above q95, and again above q99, the tail falls off exponentially, by the mean excess. The mean excess is the median
--   of the days', so one bad day can't make slow calls normal; with fewer than three good days, that of all together.
-- * q95, q99 and q99865 are the upper ends of their buckets, so that share95 is exactly the share above q95: with few
--   distinct values it may be far from 5 %.
CREATE OR REPLACE FUNCTION pggit.latency_profile(p_operation_type text, p_from timestamp, p_to timestamp)
RETURNS SETOF pggit.performance_latency_profile
LANGUAGE sql STABLE
SET search_path = pg_catalog, pggit, pg_temp
SET work_mem = '32MB'
AS $$
WITH hourly AS MATERIALIZED (
    SELECT
        h.operation_type,
        extract(HOUR FROM h.hour_start)::integer AS hour_of_day,
        ceil(extract(EPOCH FROM p_to - h.hour_start) / 86400)::integer AS days_ago,
        h.buckets,
        h.counts
    FROM pggit.latency_hours(p_operation_type, p_from, p_to) AS h
),

hour_bucket AS MATERIALIZED (
    SELECT
        h.operation_type,
        h.hour_of_day,
        u.bucket,
        sum(u.metrics)::double precision AS metrics
    FROM hourly AS h
    CROSS JOIN LATERAL unnest(h.buckets, h.counts) AS u (bucket, metrics)
    GROUP BY h.operation_type, h.hour_of_day, u.bucket
),

hour_median AS (
    SELECT
        running.operation_type,
        running.hour_of_day,
        max(running.total) AS metrics,
        min(running.bucket) FILTER (WHERE running.so_far >= 0.5 * running.total) AS bucket
    FROM (
        SELECT
            b.*,
            sum(b.metrics) OVER (
                PARTITION BY b.operation_type, b.hour_of_day ORDER BY b.bucket ROWS UNBOUNDED PRECEDING
            ) AS so_far,
            sum(b.metrics) OVER (PARTITION BY b.operation_type, b.hour_of_day) AS total
        FROM hour_bucket AS b
    ) AS running
    GROUP BY running.operation_type, running.hour_of_day
),

operation_bucket AS (
    SELECT
        b.operation_type,
        b.bucket,
        sum(b.metrics) AS metrics
    FROM hour_bucket AS b
    GROUP BY b.operation_type, b.bucket
),

operation_median AS (
    SELECT
        running.operation_type,
        min(running.bucket) FILTER (WHERE running.so_far >= 0.5 * running.total) AS bucket
    FROM (
        SELECT
            b.*,
            sum(b.metrics) OVER (
                PARTITION BY b.operation_type ORDER BY b.bucket ROWS UNBOUNDED PRECEDING
            ) AS so_far,
            sum(b.metrics) OVER (PARTITION BY b.operation_type) AS total
        FROM operation_bucket AS b
    ) AS running
    GROUP BY running.operation_type
),

hour_days AS (
    SELECT
        h.operation_type,
        h.hour_of_day,
        count(DISTINCT h.days_ago) AS days
    FROM hourly AS h
    GROUP BY h.operation_type, h.hour_of_day
),

center AS MATERIALIZED (
    SELECT
        o.operation_type,
        clock.hour_of_day,
        coalesce(
            CASE
                WHEN hour_days.days >= 3
                    THEN round((hour_median.metrics * hour_median.bucket + 12 * o.bucket) / (hour_median.metrics + 12))
            END,
            o.bucket
        )::integer AS bucket
    FROM operation_median AS o
    CROSS JOIN generate_series(0, 23) AS clock (hour_of_day)
    LEFT JOIN hour_median
        ON o.operation_type = hour_median.operation_type AND clock.hour_of_day = hour_median.hour_of_day
    LEFT JOIN hour_days
        ON o.operation_type = hour_days.operation_type AND clock.hour_of_day = hour_days.hour_of_day
),

-- Half a bucket, because a bucket's number names its upper end.
residual AS MATERIALIZED (
    SELECT
        h.operation_type,
        h.days_ago,
        (u.bucket - center.bucket - 0.5::double precision) * pggit.latency_bucket_width() AS residual,
        sum(u.metrics)::double precision AS metrics
    FROM hourly AS h
    INNER JOIN center ON h.operation_type = center.operation_type AND h.hour_of_day = center.hour_of_day
    CROSS JOIN LATERAL unnest(h.buckets, h.counts) AS u (bucket, metrics)
    GROUP BY h.operation_type, h.days_ago, u.bucket - center.bucket
),

quantile AS MATERIALIZED (
    SELECT
        running.operation_type,
        max(running.total) AS total,
        min(running.residual) FILTER (WHERE running.so_far >= 0.5 * running.total) AS q50,
        min(running.residual) FILTER (WHERE running.so_far >= 0.75 * running.total) AS q75,
        min(running.upper_end) FILTER (WHERE running.so_far >= 0.95 * running.total) AS q95,
        min(running.upper_end) FILTER (WHERE running.so_far >= 0.99 * running.total) AS q99,
        min(running.upper_end) FILTER (WHERE running.so_far >= 0.99865 * running.total) AS q99865
    FROM (
        SELECT
            r.operation_type,
            r.residual,
            r.residual + 0.5 * pggit.latency_bucket_width() AS upper_end,
            sum(r.metrics) OVER (PARTITION BY r.operation_type ORDER BY r.residual ROWS UNBOUNDED PRECEDING) AS so_far,
            sum(r.metrics) OVER (PARTITION BY r.operation_type) AS total
        FROM residual AS r
    ) AS running
    GROUP BY running.operation_type
),

day_tail AS (
    SELECT
        r.operation_type,
        r.days_ago,
        sum(r.metrics) AS metrics,
        coalesce(sum(r.metrics) FILTER (WHERE r.residual > q.q95), 0) AS above95,
        sum(r.metrics * (r.residual - q.q95)) FILTER (WHERE r.residual > q.q95) AS excess95,
        coalesce(sum(r.metrics) FILTER (WHERE r.residual > q.q99), 0) AS above99,
        sum(r.metrics * (r.residual - q.q99)) FILTER (WHERE r.residual > q.q99) AS excess99
    FROM residual AS r
    INNER JOIN quantile AS q USING (operation_type)
    GROUP BY r.operation_type, r.days_ago
),

-- A day has its say about q95 with five metrics above it, and about q99 with three hundred in all.
tail AS (
    SELECT
        d.operation_type,
        count(*)::integer AS days,
        sum(d.above95) / sum(d.metrics) AS share95,
        sum(d.above99) / sum(d.metrics) AS share99,
        sum(d.excess95) / nullif(sum(d.above95), 0) AS pooled95,
        sum(d.excess99) / nullif(sum(d.above99), 0) AS pooled99,
        count(*) FILTER (WHERE d.above95 >= 5) AS days95,
        count(*) FILTER (WHERE d.metrics >= 300) AS days99,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY d.excess95 / nullif(d.above95, 0))
        FILTER (WHERE d.above95 >= 5) AS median95,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY coalesce(d.excess99 / nullif(d.above99, 0), 0))
        FILTER (WHERE d.metrics >= 300) AS median99
    FROM day_tail AS d
    GROUP BY d.operation_type
)

SELECT
    q.operation_type,
    p_to,
    q.total::bigint,
    tail.days,
    (
        SELECT array_agg(center.bucket * pggit.latency_bucket_width() ORDER BY center.hour_of_day)
        FROM center
        WHERE center.operation_type = q.operation_type
    ),
    q.q50,
    greatest(1.4826 * (q.q75 - q.q50), 0.02),
    q.q95,
    greatest(CASE WHEN tail.days95 >= 3 THEN tail.median95 ELSE tail.pooled95 END, 0.02),
    greatest(tail.share95, 0.5 / q.total),
    q.q99,
    greatest(CASE WHEN tail.days99 >= 3 THEN tail.median99 ELSE tail.pooled99 END, 0.02),
    greatest(tail.share99, 0.5 / q.total),
    CASE WHEN q.total >= 2000 THEN q.q99865 END,
    clock_timestamp()
FROM quantile AS q
INNER JOIN tail USING (operation_type)
$$;

COMMENT ON FUNCTION pggit.latency_profile(text, timestamp, timestamp) IS
'What was usual between two times for one operation, or for each for NULL; no row where nothing was measured.';

REVOKE EXECUTE ON FUNCTION pggit.latency_profile(text, timestamp, timestamp) FROM PUBLIC;
