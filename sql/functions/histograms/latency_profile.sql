-- What is usual for an operation in a span of time: the median of each hour of the day, and the shape of the tail.
-- All on the scale ln(microseconds), from histograms. docs/design/statistics.md has the reasons; in short:
-- * The center of an hour counts once the hour was seen on three days; it is drawn towards the median of all hours as
--   if twelve more metrics lay there. Centers are rounded to whole buckets, so that residuals fall on buckets as well.
-- * Above q95, and again above q99, excess is the mean excess. It is taken from the median excess of all ordinary days,
--   so that history's own spikes don't count by their size, and one bad day can't make slow calls normal.
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
        max(running.total) - min(running.so_far) FILTER (WHERE running.so_far >= 0.95 * running.total) AS above95,
        max(running.total) - min(running.so_far) FILTER (WHERE running.so_far >= 0.99 * running.total) AS above99,
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
            sum(r.metrics) OVER (PARTITION BY r.operation_type ORDER BY r.residual RANGE UNBOUNDED PRECEDING) AS so_far,
            sum(r.metrics) OVER (PARTITION BY r.operation_type) AS total
        FROM residual AS r
    ) AS running
    GROUP BY running.operation_type
),

-- A day with more than twice as much above a tail's beginning as the others has no say about that tail. Half a metric
-- is added, so that days with a few metrics are not left out for nothing.
day_share AS (
    SELECT
        counted.operation_type,
        counted.days_ago,
        tail.percent,
        (tail.above + 0.5) / (counted.metrics + 50.0 / (100 - tail.percent)) AS share
    FROM (
        SELECT
            r.operation_type,
            r.days_ago,
            sum(r.metrics) AS metrics,
            coalesce(sum(r.metrics) FILTER (WHERE r.residual > q.q95), 0) AS above95,
            coalesce(sum(r.metrics) FILTER (WHERE r.residual > q.q99), 0) AS above99
        FROM residual AS r
        INNER JOIN quantile AS q ON r.operation_type = q.operation_type
        GROUP BY r.operation_type, r.days_ago
    ) AS counted
    CROSS JOIN LATERAL (VALUES (95, counted.above95), (99, counted.above99)) AS tail (percent, above)
),

ordinary AS (
    SELECT
        d.operation_type,
        d.percent,
        count(*)::integer AS days,
        CASE
            WHEN count(*) >= 3 THEN 2 * percentile_cont(0.5) WITHIN GROUP (ORDER BY d.share) ELSE 1
        END AS highest
    FROM day_share AS d
    GROUP BY d.operation_type, d.percent
),

excess AS (
    SELECT
        r.operation_type,
        tail.percent,
        r.residual - tail.beginning AS excess,
        sum(r.metrics) AS metrics
    FROM residual AS r
    INNER JOIN quantile AS q ON r.operation_type = q.operation_type
    CROSS JOIN LATERAL (VALUES (95, q.q95), (99, q.q99)) AS tail (percent, beginning)
    INNER JOIN day_share AS d
        ON r.operation_type = d.operation_type AND r.days_ago = d.days_ago AND tail.percent = d.percent
    INNER JOIN ordinary AS o ON d.operation_type = o.operation_type AND d.percent = o.percent
    WHERE r.residual > tail.beginning AND d.share <= o.highest
    GROUP BY r.operation_type, tail.percent, r.residual - tail.beginning
),

-- In an exponential tail the share above the median excess m is exp(-m / mean) of what is above the tail's beginning.
-- Counting it instead of taking it for a half is right where many durations are equal, too; but a step that takes more
-- than six sevenths says no more about what comes beyond it.
mean_excess AS (
    SELECT
        m.operation_type,
        m.percent,
        (m.excess + 0.5 * pggit.latency_bucket_width())
        / least(2, ln((m.total + 0.5) / (m.total - m.so_far + 0.5))) AS mean
    FROM (
        SELECT DISTINCT ON (running.operation_type, running.percent) running.*
        FROM (
            SELECT
                e.*,
                sum(e.metrics) OVER (
                    PARTITION BY e.operation_type, e.percent ORDER BY e.excess ROWS UNBOUNDED PRECEDING
                ) AS so_far,
                sum(e.metrics) OVER (PARTITION BY e.operation_type, e.percent) AS total
            FROM excess AS e
        ) AS running
        WHERE running.so_far >= 0.5 * running.total
        ORDER BY running.operation_type, running.percent, running.excess
    ) AS m
),

-- What lies above q99 is a fifth of what lies above q95. Where both are one smooth tail the mean excess shrinks to 0.8 of
-- itself in between (as that of a normal distribution), and that counts like a hundred metrics. What few metrics say of a
-- tail is uncertain by one part in the root of their number, and taken at its worse end.
judged_tail AS (
    SELECT
        raw.operation_type,
        raw.days,
        raw.above95,
        raw.above99,
        raw.mean95 * (1 + 1 / sqrt(greatest(raw.above95, 1))) AS excess95,
        CASE
            WHEN raw.mean99 > 0.5 * raw.mean95 AND raw.mean99 < 1.2 * raw.mean95
                THEN (raw.above99 * raw.mean99 + 100 * 0.8 * raw.mean95) / (raw.above99 + 100)
            ELSE raw.mean99
        END * (1 + 1 / sqrt(greatest(raw.above99, 1))) AS excess99
    FROM (
        SELECT
            q.operation_type,
            q.above95,
            q.above99,
            max(o.days) AS days,
            greatest(0.02, max(m.mean) FILTER (WHERE m.percent = 95)) AS mean95,
            greatest(0.02, max(m.mean) FILTER (WHERE m.percent = 99)) AS mean99
        FROM quantile AS q
        INNER JOIN ordinary AS o ON q.operation_type = o.operation_type
        LEFT JOIN mean_excess AS m ON o.operation_type = m.operation_type AND o.percent = m.percent
        GROUP BY q.operation_type, q.above95, q.above99
    ) AS raw
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
    tail.excess95,
    greatest(tail.above95, 0.5) / q.total,
    q.q99,
    tail.excess99,
    greatest(tail.above99, 0.5) / q.total,
    CASE WHEN q.total >= 2000 THEN q.q99865 END,
    clock_timestamp()
FROM quantile AS q
INNER JOIN judged_tail AS tail ON q.operation_type = tail.operation_type
$$;

COMMENT ON FUNCTION pggit.latency_profile(text, timestamp, timestamp) IS
'What was usual between two times for one operation, or for each for NULL; no row where nothing was measured.';

REVOKE EXECUTE ON FUNCTION pggit.latency_profile(text, timestamp, timestamp) FROM PUBLIC;
