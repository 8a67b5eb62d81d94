-- What is usual for an operation in a span of time: the median of each hour of the day, and the shape of the tail.
-- All on the scale ln(microseconds), from histograms. docs/design/statistics.md has the reasons; in short:
-- * The center of an hour counts once the hour was seen on three days; it is drawn towards the median of all hours as
--   if twelve more metrics lay there. Centers are rounded to whole buckets, so that residuals fall on buckets as well.
-- * A day with more than twice the usual share of slow calls has no say, so that a bad day can't make them normal.
-- * Above q95, and again above q99, excess is the mean excess, taken from the median excess, so that history's own
--   spikes don't count by their size. tail_shape and tail_scale describe the tail as a whole where it is one.
-- * q95, q99 and those beyond are the upper ends of their buckets, so that share95 is exactly the share above q95: with
--   few distinct values it may be far from 5 %.
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

-- Five metrics are added to a day's slow ones, so that a day with few is not left out for nothing.
day_share AS MATERIALIZED (
    SELECT
        r.operation_type,
        r.days_ago,
        sum(r.metrics) AS metrics,
        (coalesce(sum(r.metrics) FILTER (WHERE r.residual > slow.beginning), 0) + 5) / (sum(r.metrics) + 500) AS share
    FROM residual AS r
    INNER JOIN (
        SELECT
            running.operation_type,
            min(running.residual) FILTER (WHERE running.so_far >= 0.99 * running.total) AS beginning
        FROM (
            SELECT
                r.operation_type,
                r.residual,
                sum(r.metrics) OVER (PARTITION BY r.operation_type ORDER BY r.residual RANGE UNBOUNDED PRECEDING) AS so_far,
                sum(r.metrics) OVER (PARTITION BY r.operation_type) AS total
            FROM residual AS r
        ) AS running
        GROUP BY running.operation_type
    ) AS slow ON r.operation_type = slow.operation_type
    GROUP BY r.operation_type, r.days_ago
),

history AS MATERIALIZED (
    SELECT
        d.operation_type,
        sum(d.metrics)::bigint AS metrics,
        count(*)::integer AS days,
        CASE
            WHEN count(*) >= 3 THEN 2 * percentile_cont(0.5) WITHIN GROUP (ORDER BY d.share) ELSE 1
        END AS highest_share
    FROM day_share AS d
    GROUP BY d.operation_type
),

ordinary AS MATERIALIZED (
    SELECT
        r.operation_type,
        r.residual,
        sum(r.metrics) AS metrics
    FROM residual AS r
    INNER JOIN day_share AS d ON r.operation_type = d.operation_type AND r.days_ago = d.days_ago
    INNER JOIN history ON d.operation_type = history.operation_type
    WHERE d.share <= history.highest_share
    GROUP BY r.operation_type, r.residual
),

quantile AS MATERIALIZED (
    SELECT
        running.operation_type,
        max(running.total) AS total,
        max(running.total) - max(running.so_far) FILTER (WHERE running.so_far <= 0.75 * running.total) AS above75,
        max(running.total) - min(running.so_far) FILTER (WHERE running.so_far >= 0.95 * running.total) AS above95,
        max(running.total) - min(running.so_far) FILTER (WHERE running.so_far >= 0.99 * running.total) AS above99,
        min(running.residual) FILTER (WHERE running.so_far >= 0.5 * running.total) AS q50,
        min(running.residual) FILTER (WHERE running.so_far >= 0.75 * running.total) AS q75,
        max(running.upper_end) FILTER (WHERE running.so_far <= 0.75 * running.total) AS below75,
        min(running.upper_end) FILTER (WHERE running.so_far >= 0.95 * running.total) AS q95,
        min(running.upper_end) FILTER (WHERE running.so_far >= 0.99 * running.total) AS q99,
        min(running.upper_end) FILTER (WHERE running.so_far >= 0.9975 * running.total) AS q9975,
        min(running.upper_end) FILTER (WHERE running.so_far >= 0.99865 * running.total) AS q99865
    FROM (
        SELECT
            r.operation_type,
            r.residual,
            r.residual + 0.5 * pggit.latency_bucket_width() AS upper_end,
            sum(r.metrics) OVER (PARTITION BY r.operation_type ORDER BY r.residual RANGE UNBOUNDED PRECEDING) AS so_far,
            sum(r.metrics) OVER (PARTITION BY r.operation_type) AS total
        FROM ordinary AS r
    ) AS running
    GROUP BY running.operation_type
),

excess AS (
    SELECT
        r.operation_type,
        tail.percent,
        r.residual - tail.beginning AS excess,
        r.metrics
    FROM ordinary AS r
    INNER JOIN quantile AS q ON r.operation_type = q.operation_type
    CROSS JOIN LATERAL (VALUES (95, q.q95), (99, q.q99)) AS tail (percent, beginning)
    WHERE r.residual > tail.beginning
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

-- What few metrics say of a tail is uncertain by one part in the root of their number, and taken at its worse end.
tail AS (
    SELECT
        q.*,
        greatest(q.above95, 0.5) / q.total AS share95,
        greatest(q.above99, 0.5) / q.total AS share99,
        greatest(0.02, m95.mean) * (1 + 1 / sqrt(greatest(q.above95, 1))) AS excess95,
        greatest(0.02, m99.mean) * (1 + 1 / sqrt(greatest(q.above99, 1))) AS excess99
    FROM quantile AS q
    LEFT JOIN mean_excess AS m95 ON q.operation_type = m95.operation_type AND m95.percent = 95
    LEFT JOIN mean_excess AS m99 ON q.operation_type = m99.operation_type AND m99.percent = 99
)

SELECT
    tail.operation_type,
    p_to,
    history.metrics,
    history.days,
    (
        SELECT array_agg(center.bucket * pggit.latency_bucket_width() ORDER BY center.hour_of_day)
        FROM center
        WHERE center.operation_type = tail.operation_type
    ),
    tail.q50,
    greatest(1.4826 * (tail.q75 - tail.q50), 0.02),
    tail.q95,
    tail.excess95,
    tail.share95,
    tail.q99,
    tail.excess99,
    tail.share99,
    CASE WHEN history.metrics >= 2000 THEN tail.q99865 END,
    clock_timestamp(),
    smooth.shape,
    (tail.q99 - tail.below75)
    / (
        pggit.tail_growth(-ln(tail.share99), smooth.shape) - pggit.tail_growth(-ln(tail.above75 / tail.total), smooth.shape)
    ),
    CASE WHEN history.metrics >= 2000 THEN tail.q9975 END
FROM tail
INNER JOIN history ON tail.operation_type = history.operation_type
-- Where the mean excess doubles from q95 to q99, something else begins between them.
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN history.metrics >= 300 AND tail.excess99 < 2 * tail.excess95 THEN pggit.tail_shape(
                ARRAY[tail.below75, tail.q95, tail.q99],
                ARRAY[tail.above75 / tail.total, tail.share95, tail.share99],
                tail.total
            )
        END AS shape
    OFFSET 0
) AS smooth
$$;

COMMENT ON FUNCTION pggit.latency_profile(text, timestamp, timestamp) IS
'What was usual between two times for one operation, or for each for NULL; no row where nothing was measured.';

REVOKE EXECUTE ON FUNCTION pggit.latency_profile(text, timestamp, timestamp) FROM PUBLIC;
