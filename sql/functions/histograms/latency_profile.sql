-- What is usual for an operation in a span of time: the median of each hour of the day, and the shape of the tail.
-- All on the scale ln(microseconds), from histograms. docs/design/statistics.md has the reasons; in short:
-- * The center of an hour counts once the hour was seen on three days; it is drawn towards the median of all hours as
--   if twelve more metrics lay there. Centers are rounded to whole buckets, so that residuals fall on buckets as well.
-- * Above q95, and again above q99, the tail falls off exponentially, by the mean excess. It is taken from the median
--   excess, which is ln 2 times the mean, so that history's own spikes don't count by their size; and of the days it is
--   the median again, so that one bad day can't make slow calls normal (of all together with fewer than three days).
-- * q95, q99 and q99865 are the upper ends of their buckets, so that share95 is exactly the share above q95: with few
--   distinct values it may be far from 5 %.
CREATE OR REPLACE FUNCTION pggit.latency_profile(p_operation_type text, p_from timestamp, p_to timestamp)
RETURNS SETOF pggit.performance_latency_profile
LANGUAGE sql STABLE
SET search_path = pg_catalog, pggit, pg_temp
SET jit = off
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

day AS (
    SELECT
        r.operation_type,
        r.days_ago,
        sum(r.metrics) AS metrics
    FROM residual AS r
    GROUP BY r.operation_type, r.days_ago
),

excess AS MATERIALIZED (
    SELECT
        r.operation_type,
        r.days_ago,
        tail.percent,
        r.residual - tail.beginning AS excess,
        r.metrics
    FROM residual AS r
    INNER JOIN quantile AS q USING (operation_type)
    CROSS JOIN LATERAL (VALUES (95, q.q95), (99, q.q99)) AS tail (percent, beginning)
    WHERE r.residual > tail.beginning
),

day_excess AS (
    SELECT
        running.operation_type,
        running.days_ago,
        running.percent,
        min(running.excess) FILTER (WHERE running.so_far >= 0.5 * running.total) / ln(2::double precision) AS mean
    FROM (
        SELECT
            e.*,
            sum(e.metrics) OVER (
                PARTITION BY e.operation_type, e.percent, e.days_ago ORDER BY e.excess ROWS UNBOUNDED PRECEDING
            ) AS so_far,
            sum(e.metrics) OVER (PARTITION BY e.operation_type, e.percent, e.days_ago) AS total
        FROM excess AS e
    ) AS running
    GROUP BY running.operation_type, running.days_ago, running.percent
),

all_excess AS (
    SELECT
        running.operation_type,
        running.percent,
        max(running.total) AS metrics,
        min(running.excess) FILTER (WHERE running.so_far >= 0.5 * running.total) / ln(2::double precision) AS mean
    FROM (
        SELECT
            e.*,
            sum(e.metrics) OVER (
                PARTITION BY e.operation_type, e.percent ORDER BY e.excess ROWS UNBOUNDED PRECEDING
            ) AS so_far,
            sum(e.metrics) OVER (PARTITION BY e.operation_type, e.percent) AS total
        FROM excess AS e
    ) AS running
    GROUP BY running.operation_type, running.percent
),

-- A day has its say about a tail if three of its metrics are to be expected there.
tail AS (
    SELECT
        d.operation_type,
        kind.percent,
        count(*)::integer AS days,
        count(*) FILTER (WHERE d.metrics * (100 - kind.percent) >= 300) AS full_days,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY coalesce(e.mean, 0))
        FILTER (WHERE d.metrics * (100 - kind.percent) >= 300) AS median_of_days
    FROM day AS d
    CROSS JOIN (VALUES (95), (99)) AS kind (percent)
    LEFT JOIN day_excess AS e
        ON d.operation_type = e.operation_type AND d.days_ago = e.days_ago AND kind.percent = e.percent
    GROUP BY d.operation_type, kind.percent
),

-- What few metrics say of a tail is uncertain by one part in the root of their number, and taken at its worse end.
judged_tail AS (
    SELECT
        tail.operation_type,
        tail.percent,
        tail.days,
        coalesce(a.metrics, 0) AS metrics,
        greatest(0.02, CASE WHEN tail.full_days >= 3 THEN tail.median_of_days ELSE a.mean END)
        * (1 + 1 / sqrt(greatest(coalesce(a.metrics, 0), 1))) AS excess
    FROM tail
    LEFT JOIN all_excess AS a ON tail.operation_type = a.operation_type AND tail.percent = a.percent
)

SELECT
    q.operation_type,
    p_to,
    q.total::bigint,
    tail95.days,
    (
        SELECT array_agg(center.bucket * pggit.latency_bucket_width() ORDER BY center.hour_of_day)
        FROM center
        WHERE center.operation_type = q.operation_type
    ),
    q.q50,
    greatest(1.4826 * (q.q75 - q.q50), 0.02),
    q.q95,
    tail95.excess,
    greatest(tail95.metrics, 0.5) / q.total,
    q.q99,
    tail99.excess,
    greatest(tail99.metrics, 0.5) / q.total,
    CASE WHEN q.total >= 2000 THEN q.q99865 END,
    clock_timestamp()
FROM quantile AS q
INNER JOIN judged_tail AS tail95 ON q.operation_type = tail95.operation_type AND tail95.percent = 95
INNER JOIN judged_tail AS tail99 ON q.operation_type = tail99.operation_type AND tail99.percent = 99
$$;

COMMENT ON FUNCTION pggit.latency_profile(text, timestamp, timestamp) IS
'What was usual between two times for one operation, or for each for NULL; no row where nothing was measured.';

REVOKE EXECUTE ON FUNCTION pggit.latency_profile(text, timestamp, timestamp) FROM PUBLIC;
